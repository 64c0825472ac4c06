"""The recipe in a figure: its file holds the Experiment that made it, and what happened in the run.

A chart carries them as Vega-Lite's ``usermeta``. On saving, a PNG gets them as a text chunk, an SVG as
``<metadata>``, a PDF as an entry of its document information, HTML as a script of JSON.
"""

import functools
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from html import escape, unescape
from io import BytesIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from explorer.experiment import Experiment

KEY = "pruning-explorer"
AUTOMATIC_EVENTS = ("prune", "tolerance")  # that no slider made
PDF_KEY = "/PruningExplorer"  # a name in a PDF; what is not in the standard is allowed beside it

# Every string that a person reads here.
NO_RECIPE = "{} holds no Experiment: it was not saved by the explorer, or another program took it out"
SEVERAL = "{} holds {} Experiments; explorer.figures.recipes(path) returns them all"
STEERED = (
    "sliders were moved while this ran (moves: {}), so the Experiment alone does not make the same; "
    "explorer.figures.provenance(path) tells when"
)

SVG_PART = re.compile(rf'<metadata id="{KEY}">(.*?)</metadata>', re.DOTALL)
HTML_PART = re.compile(rf'<script type="application/json" id="{KEY}">(.*?)</script>', re.DOTALL)

Provenance = dict[str, Any]  # of one run
P = ParamSpec("P")
T = TypeVar("T")


# -- into a chart -------------------------------------------------------------------------------------


def with_recipe(build: Callable[P, T]) -> Callable[P, T]:
    """Decorate a builder whose first argument is a run, so that its charts carry the run's recipe."""

    @functools.wraps(build)
    def build_with_recipe(*args: P.args, **kwargs: P.kwargs) -> T:
        product = build(*args, **kwargs)
        origin: Provenance | None = getattr(args[0], "provenance", None)
        charts: Iterable[Any] = product.values() if isinstance(product, Mapping) else [product]
        if origin:
            for chart in charts:
                chart.usermeta = usermeta([origin])
        return product

    return build_with_recipe


def usermeta(origins: Iterable[Provenance]) -> dict[str, list[Provenance]]:
    """Return what a specification carries as ``usermeta``: each recipe once."""
    distinct = {json.dumps(each, sort_keys=True): each for each in origins}
    return {KEY: list(distinct.values())}


def of_specs(specs: Iterable[Mapping[str, Any]]) -> list[Provenance]:
    """Return the recipes that specifications carry."""
    return [each for spec in specs for each in spec.get("usermeta", {}).get(KEY, ())]


# -- into a file --------------------------------------------------------------------------------------


def embed(content: bytes, suffix: str, origins: list[Provenance]) -> bytes:
    """Return a file's content with recipes in it; JSON has them already."""
    put = {".png": _into_png, ".svg": _into_svg, ".pdf": _into_pdf, ".html": _into_html}.get(suffix)
    return put(content, json.dumps(origins)) if put and origins else content


def _into_png(content: bytes, text: str) -> bytes:
    """Write the same pixels anew, which makes the file smaller by two thirds as well."""
    from PIL.PngImagePlugin import PngImageFile, PngInfo  # noqa: PLC0415  takes long, and few save

    info, file = PngInfo(), BytesIO()
    info.add_itxt(KEY, text)
    with PngImageFile(BytesIO(content)) as image:  # `Image.open` would refuse a poster as a bomb
        image.save(file, "PNG", pnginfo=info, dpi=image.info.get("dpi"))
    return file.getvalue()


def _into_svg(content: bytes, text: str) -> bytes:
    part = f'<metadata id="{KEY}">{escape(text)}</metadata>'
    return re.sub(rb"<svg\b[^>]*>", lambda head: head[0] + part.encode(), content, count=1)


def _into_html(content: bytes, text: str) -> bytes:
    safe = text.replace("<", "\\u003c")  # or a string could end the script
    part = f'<script type="application/json" id="{KEY}">{safe}</script>\n'.encode()
    return content.replace(b"<script", part + b"<script", 1)  # "</head>" is in Vega's script, too


def _into_pdf(content: bytes, text: str) -> bytes:
    """Append a second version of the information, so that the page stays as it is, to the byte."""
    from pypdf import PdfWriter  # noqa: PLC0415

    file = BytesIO()
    writer = PdfWriter(BytesIO(content + b"\n"), incremental=True)
    writer.add_metadata({PDF_KEY: text})
    writer.write(file)
    return file.getvalue()


# -- out of a file ------------------------------------------------------------------------------------


def recipe(path: str | Path) -> Experiment:
    """Return the Experiment that a saved figure or model holds: PNG, SVG, PDF, HTML, JSON or safetensors.

    Warns where sliders were moved while it ran. Raises ValueError where there is none, or more than one.
    """
    origins = provenance(path)
    if len(origins) > 1:
        raise ValueError(SEVERAL.format(path, len(origins)))
    moves = sum(event["what"] not in AUTOMATIC_EVENTS for event in origins[0]["events"])
    if origins[0]["steered"]:
        warnings.warn(STEERED.format(moves), stacklevel=2)
    return _experiment(origins[0])


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
        ".svg": lambda path: _between(SVG_PART, path, unescape),
        ".html": lambda path: _between(HTML_PART, path, str),
        ".json": _from_json,
        ".safetensors": _from_safetensors,
    }.get(path.suffix.lower())
    text = read(path) if read else None
    origins: list[Provenance] = json.loads(text) if text else []
    if not origins:
        raise ValueError(NO_RECIPE.format(path))
    return origins


def _experiment(origin: Provenance) -> Experiment:
    return Experiment.from_json(json.dumps(origin["experiment"]))


def _from_png(path: Path) -> str | None:
    from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415

    try:
        with PngImageFile(path) as image:
            return image.text.get(KEY)
    except SyntaxError:  # what Pillow says of a file of another kind
        return None


def _from_pdf(path: Path) -> str | None:
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import PdfReadError  # noqa: PLC0415

    try:
        metadata = PdfReader(path).metadata
    except PdfReadError:
        return None
    return str(metadata[PDF_KEY]) if metadata and PDF_KEY in metadata else None


def _between(pattern: re.Pattern[str], path: Path, plain: Callable[[str], str]) -> str | None:
    part = pattern.search(path.read_text(encoding="utf-8"))
    return plain(part[1]) if part else None


def _from_json(path: Path) -> str:
    return json.dumps(of_specs([json.loads(path.read_bytes())]))


def _from_safetensors(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    try:
        with safe_open(path, "np") as file:
            metadata: dict[str, str] | None = file.metadata()
    except SafetensorError:
        return None
    return (metadata or {}).get(KEY)
