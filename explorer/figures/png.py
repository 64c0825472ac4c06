"""Little images for figures: PNGs in URLs, with a table of colours that can be swapped for other ones."""

import base64
import re
import struct
import zlib
from collections.abc import Mapping

import numpy as np

HEAD = b"\x89PNG\r\n\x1a\n"
START = "data:image/png;base64,"
URL = re.compile(f"{START}([A-Za-z0-9+/]+=*)")

Colour = tuple[int, ...]  # red, green, blue


def encode(image: np.ndarray, colours: np.ndarray) -> bytes:
    """Return an image of codes, uint8 [rows, columns], as a PNG whose colours are given, uint8 [256, 4]."""
    rows, columns = image.shape
    lines = np.zeros((rows, columns + 1), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = image
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0),
        b"PLTE": colours[:, :3].tobytes(),
        b"tRNS": colours[:, 3].tobytes(),
        b"IDAT": zlib.compress(lines.tobytes(), 9),
        b"IEND": b"",
    }
    return HEAD + b"".join(_chunk(name, data) for name, data in parts.items())


def url(content: bytes) -> str:
    """Return a PNG as a URL that holds it."""
    return START + base64.b64encode(content).decode()


def of_url(text: str) -> bytes:
    """Return the PNG that such a URL holds."""
    return base64.b64decode(text.removeprefix(START))


def rgb(name: str) -> Colour:
    """Return "#0072b2" as numbers."""
    return tuple(bytes.fromhex(name.lstrip("#")))


def repainted(text: str, swap: Mapping[Colour, Colour]) -> str:
    """Return a text with the colours swapped in all images that its URLs hold."""
    return URL.sub(lambda found: url(_repaint(of_url(found[0]), swap)), text)


def _repaint(content: bytes, swap: Mapping[Colour, Colour]) -> bytes:
    at = content.find(b"PLTE")
    if at < 0:
        return content
    length = int.from_bytes(content[at - 4 : at], "big")
    table = content[at + 4 : at + 4 + length]
    colours = [tuple(table[i : i + 3]) for i in range(0, length, 3)]
    painted = b"".join(bytes(swap.get(colour, colour)) for colour in colours)
    return content[: at - 4] + _chunk(b"PLTE", painted) + content[at + 8 + length :]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
