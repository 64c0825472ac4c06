"""Reads the little images of figures, without the code that wrote them."""

import struct
import zlib

import numpy as np

from explorer.figures import png


def decoded(url):
    """The codes of a PNG in a URL, the colours of codes, and how strong each of these is."""
    content, at, parts = png.of_url(url), 8, {}
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        data = content[at + 8 : at + 8 + length]
        assert zlib.crc32(name + data) == int.from_bytes(content[at + 8 + length : at + 12 + length], "big")
        parts[name] = data
        at += 12 + length
    columns, rows = struct.unpack(">II", parts[b"IHDR"][:8])
    codes = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(rows, columns + 1)[:, 1:]
    colours = np.frombuffer(parts[b"PLTE"], np.uint8).reshape(256, 3)
    return codes, colours, np.frombuffer(parts[b"tRNS"], np.uint8)
