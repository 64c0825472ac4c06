"""The recipe in a figure: its file holds the Experiment that made it, and what happened in the run.

A chart carries them as Vega-Lite's ``usermeta``. On saving, a PNG gets them as a text chunk, an SVG as
``<metadata>``, a PDF as an entry of its document information, HTML as a script of JSON.
"""

import functools
import json
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from html import escape, unescape
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from explorer.experiment import Experiment

KEY = "pruning-explorer"
OF_ITSELF = ("prune", "tolerance")  # events that no slider made
PDF_KEY = "PruningExplorer"  # a name in a PDF; what is not in the standard is allowed beside it

# Every string that a person reads here.
NO_RECIPE = "{} holds no Experiment: it was not saved by the explorer, or another program took it out"
SEVERAL = "{} holds {} Experiments; explorer.figures.recipes(path) returns them all"
STEERED = (
    "sliders were moved while this ran (moves: {}), so the Experiment alone does not make the same; "
    "explorer.figures.provenance(path) tells when"
)
PDF_IS_NEW = "this PDF ends in an unknown way, so it is saved without its Experiment"

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
SVG_PART = re.compile(rf'<metadata id="{KEY}">(.*?)</metadata>', re.DOTALL)
HTML_PART = re.compile(rf'<script type="application/json" id="{KEY}">(.*?)</script>', re.DOTALL)
PDF_END = re.compile(
    rb"trailer\s*<<(?P<entries>.*?/Info (?P<number>\d+) 0 R.*?)>>\s*startxref\s*(?P<start>\d+)\s*%%EOF\s*$",
    re.DOTALL,
)
PDF_PART = re.compile(rf"/{PDF_KEY} <([0-9A-F]*)>".encode())

Provenance = dict[str, Any]
P, T = ParamSpec("P"), TypeVar("T")


# -- into a chart -------------------------------------------------------------------------------------


def signed(build: Callable[P, T]) -> Callable[P, T]:
    """Decorate a builder whose first argument is a run, so that its charts carry the run's recipe."""

    @functools.wraps(build)
    def signing(*args: P.args, **kwargs: P.kwargs) -> T:
        built, found = build(*args, **kwargs), getattr(args[0], "provenance", None)
        charts = built.values() if isinstance(built, Mapping) else [built]
        for chart in charts if found else ():
            chart.usermeta = usermeta([found])
        return built

    return signing


def usermeta(found: Iterable[Provenance]) -> dict[str, list[Provenance]]:
    """Return what a specification carries as ``usermeta``: each recipe once."""
    distinct = {json.dumps(each, sort_keys=True): each for each in found}
    return {KEY: list(distinct.values())}


def of_specs(specs: Iterable[Mapping[str, Any]]) -> list[Provenance]:
    """Return the recipes that specifications carry."""
    return [each for spec in specs for each in spec.get("usermeta", {}).get(KEY, ())]


# -- into a file --------------------------------------------------------------------------------------


def embed(content: bytes, suffix: str, found: list[Provenance]) -> bytes:
    """Return a file's content with recipes in it; JSON has them already."""
    put = {".png": _into_png, ".svg": _into_svg, ".pdf": _into_pdf, ".html": _into_html}.get(suffix)
    return put(content, json.dumps(found)) if put and found else content


def _into_png(content: bytes, text: str) -> bytes:
    """Add an iTXt chunk behind the header: keyword, not compressed, no language, then UTF-8."""
    data = b"iTXt" + KEY.encode() + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    header = len(PNG_HEAD) + 25  # IHDR comes first and is always so long
    return content[:header] + chunk + content[header:]


def _into_svg(content: bytes, text: str) -> bytes:
    part = f'<metadata id="{KEY}">{escape(text)}</metadata>'
    return re.sub(rb"<svg\b[^>]*>", lambda head: head[0] + part.encode(), content, count=1)


def _into_html(content: bytes, text: str) -> bytes:
    safe = text.replace("<", "\\u003c")  # or a string could end the script
    part = f'<script type="application/json" id="{KEY}">{safe}</script>\n'.encode()
    return content.replace(b"<script", part + b"<script", 1)  # "</head>" is in Vega's script, too


def _into_pdf(content: bytes, text: str) -> bytes:
    """Append a second version of the information object, as PDF's incremental updates have it."""
    end = PDF_END.search(content)
    old = end and re.search(rb"(?<!\d)%s 0 obj\s*<<(.*?)>>\s*endobj" % end["number"], content, re.DOTALL)
    if not (end and old):
        warnings.warn(PDF_IS_NEW, stacklevel=2)
        return content
    coded = text.encode("utf-16-be", "surrogatepass").hex().upper()
    body = content.rstrip() + b"\n"
    entry = f"/{PDF_KEY} <FEFF{coded}>".encode()
    info = b"%s 0 obj\n<<%s  %s\n>>\nendobj\n" % (end["number"], old[1], entry)
    table = b"xref\n0 1\n0000000000 65535 f\r\n%s 1\n%010d 00000 n\r\n" % (end["number"], len(body))
    trailer = b"trailer\n<<%s  /Prev %s\n>>\n" % (end["entries"], end["start"])
    return body + info + table + trailer + b"startxref\n%d\n%%%%EOF\n" % (len(body) + len(info))


# -- out of a file ------------------------------------------------------------------------------------


def recipe(path: str | Path) -> Experiment:
    """Return the Experiment that a saved figure or model holds: PNG, SVG, PDF, HTML, JSON or safetensors.

    Warns where sliders were moved while it ran. Raises ValueError where there is none, or more than one.
    """
    found = provenance(path)
    if len(found) > 1:
        raise ValueError(SEVERAL.format(path, len(found)))
    moves = sum(event["what"] not in OF_ITSELF for event in found[0]["events"])
    if found[0]["steered"]:
        warnings.warn(STEERED.format(moves), stacklevel=2)
    return _experiment(found[0])


def recipes(path: str | Path) -> list[Experiment]:
    """Return all the Experiments that a saved figure holds, in the order of its runs."""
    return [_experiment(each) for each in provenance(path)]


def provenance(path: str | Path) -> list[Provenance]:
    """Return all that a saved figure or model says of each run in it.

    A dictionary each: experiment, hash, status, steered, events (step, what, from, to), device, threads,
    versions.
    """
    path = Path(path)
    read = {
        ".png": _from_png,
        ".pdf": _from_pdf,
        ".svg": lambda content: _between(SVG_PART, content, unescape),
        ".html": lambda content: _between(HTML_PART, content, str),
        ".json": _from_json,
        ".safetensors": _from_safetensors,
    }.get(path.suffix.lower())
    text = read(path.read_bytes()) if read else None
    found: list[Provenance] = json.loads(text) if text else []
    if not found:
        raise ValueError(NO_RECIPE.format(path))
    return found


def _experiment(found: Provenance) -> Experiment:
    return Experiment.from_json(json.dumps(found["experiment"]))


def _from_png(content: bytes) -> str | None:
    at = len(PNG_HEAD)
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        data = content[at + 8 : at + 8 + length]
        if kind == b"iTXt" and data.startswith(KEY.encode() + b"\0"):
            return data[len(KEY) + 5 :].decode()
        at += length + 12
    return None


def _from_pdf(content: bytes) -> str | None:
    found = PDF_PART.findall(content)
    return bytes.fromhex(found[-1].decode()).decode("utf-16") if found else None


def _between(pattern: re.Pattern[str], content: bytes, plain: Callable[[str], str]) -> str | None:
    found = pattern.search(content.decode())
    return plain(found[1]) if found else None


def _from_json(content: bytes) -> str:
    return json.dumps(of_specs([json.loads(content)]))


def _from_safetensors(content: bytes) -> str | None:
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    text: str | None = header.get("__metadata__", {}).get(KEY)
    return text
