"""The recipe in a figure: its file holds the Experiment that made it, and what happened in the run.

A chart carries them as Vega-Lite's ``usermeta``. On saving, a PNG gets them as a text chunk, an SVG as
``<metadata>``, a PDF as an entry of its document information, HTML as a script of JSON.
"""

import functools
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from html import escape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from textwrap import shorten
from typing import Any, ParamSpec, TypeVar

from explorer.experiment import Experiment

KEY = "pruning-explorer"
AUTOMATIC_EVENTS = ("prune", "tolerance")  # that no slider made
PDF_KEY = "/PruningExplorer"  # a name in a PDF; what is not in the standard is allowed beside it

# Every string that a person reads here.
NO_RECIPE = "{} holds no Experiment: it was not saved by the explorer, or another program took it out"
DAMAGED = "{} holds no Experiment that can be read: it is damaged, or not what its name says ({})"
OF_STUDY = (
    "{} is the figure of a study of {} runs, and holds no single Experiment: study.runs[i].experiment has "
    "each run's; a figure of one run holds that run's"
)
SEVERAL = "{} holds {} Experiments; explorer.figures.recipes(path) returns them all"
STEERED = (
    "sliders were moved while this ran (moves: {}), so the Experiment alone does not make the same; "
    "explorer.figures.provenance(path) tells when"
)

STUDY = "study"  # the entry of a figure that is of many runs: how many
WORDS = 150  # of a reader's own message, at most

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


def of_study(runs: int) -> dict[str, list[Provenance]]:
    """Return what the specification of a study's figure carries as ``usermeta``."""
    return {KEY: [{STUDY: runs}]}


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
        ".svg": _from_svg,
        ".html": _from_html,
        ".json": _from_json,
        ".safetensors": _from_safetensors,
    }.get(path.suffix.lower())
    path.open("rb").close()  # one that is not there is not damaged
    try:
        origins = _checked(read(path) if read else None)
    except Exception as error:
        reason = shorten(f"{type(error).__name__}: {error}", WORDS)
        raise ValueError(DAMAGED.format(path, reason)) from error
    of_runs = [each for each in origins if STUDY not in each]
    if origins and not of_runs:
        raise ValueError(OF_STUDY.format(path, origins[0][STUDY]))
    if not origins:
        raise ValueError(NO_RECIPE.format(path))
    return of_runs


def _checked(text: str | None) -> list[Provenance]:
    """Return recipes from JSON; raise where they are not what a figure holds."""
    origins: list[Provenance] = json.loads(text) if text else []
    for origin in origins:
        if STUDY not in origin:
            kinds = [event["what"] for event in origin["events"]]
            if not isinstance(origin["experiment"], dict) or not all(isinstance(w, str) for w in kinds):
                raise TypeError("experiment and events are not what they should be")
            bool(origin["steered"])
    return origins


def _experiment(origin: Provenance) -> Experiment:
    return Experiment.from_json(json.dumps(origin["experiment"]))


def _from_png(path: Path) -> str | None:
    from PIL.PngImagePlugin import PngImageFile  # noqa: PLC0415

    with PngImageFile(path) as image:
        return image.info.get(KEY) or image.text.get(KEY)  # the second reads all, for what is at the end


def _from_pdf(path: Path) -> str | None:
    from pypdf import PdfReader  # noqa: PLC0415

    metadata = PdfReader(path).metadata
    return str(metadata[PDF_KEY]) if metadata and PDF_KEY in metadata else None


def _from_svg(path: Path) -> str | None:
    from xml.etree import ElementTree  # noqa: PLC0415

    with path.open("rb") as file:
        for _, element in ElementTree.iterparse(file):  # to what is looked for, and no further
            if element.get("id") == KEY:
                return element.text
    return None


class _Script(HTMLParser):
    """Reads the text of the script of this name in a page."""

    text: str | None = None
    inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "script" and dict(attrs).get("id") == KEY

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.text = (self.text or "") + data

    def handle_endtag(self, _tag: str) -> None:
        self.inside = False


def _from_html(path: Path) -> str | None:
    page = _Script()
    with path.open(encoding="utf-8", errors="replace") as file:
        while (page.text is None or page.inside) and (part := file.read(2**16)):
            page.feed(part)
    return page.text


def _from_json(path: Path) -> str:
    return json.dumps(of_specs([json.loads(path.read_bytes())]))


def _from_safetensors(path: Path) -> str | None:
    from safetensors import safe_open  # noqa: PLC0415

    with safe_open(path, "np") as file:
        metadata: dict[str, str] | None = file.metadata()
    return (metadata or {}).get(KEY)
