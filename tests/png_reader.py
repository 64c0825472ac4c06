"""Reads the little images of figures."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image


def decoded(url):
    """The codes of a PNG in a URL, the colours of codes, and how strong each of these is."""
    start, _, content = url.partition(",")
    assert start == "data:image/png;base64"
    with Image.open(BytesIO(base64.b64decode(content))) as image:
        assert (image.format, image.mode) == ("PNG", "P")
        colours = np.array(image.getpalette(), np.uint8).reshape(256, 3)
        return np.array(image), colours, np.frombuffer(image.info["transparency"], np.uint8)
