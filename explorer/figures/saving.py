"""A figure as a file, with the recipe that made it: PNG, SVG, PDF, HTML or Vega-Lite JSON."""

import json
import os
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

from explorer.figures.provenance import embed, of_specs

SUFFIXES = (".png", ".svg", ".pdf", ".html", ".json")
POINTS = 72  # an inch
SCALES, PPIS = (0.1, 50), (10, 3600)  # from, to
MOST = 100_000_000  # pixels of a picture: 400 MB while it is drawn; the process aborts where memory ends

# Every string that a person reads here.
OUT_OF_BOUNDS = "{} = {!r}: give {:g} to {:g}; scale is pixels a point (2 by default), ppi pixels an inch"
TOO_LARGE = (
    "a picture of {:,.0f} × {:,.0f} pixels has more than 100 million: give a smaller scale or ppi "
    "(divide it by {:.3g} or more), or save it as .svg or .pdf, which have no pixels"
)
NO_PATH = "path = {}: no file can have such a name ({})"


@cache
def vegalite_version() -> str:
    """Return the Vega-Lite that Altair writes for, as vl-convert names it, or vl-convert's newest."""
    versions: list[str] = vl_convert.get_vegalite_versions()
    altairs = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return altairs if altairs in versions else versions[-1]


def save(
    chart: alt.TopLevelMixin, path: str | Path, scale: float | None = None, ppi: float | None = None
) -> Path:
    """Write ``chart`` to ``path``: .png, .svg, .pdf, .html (needs no network) or .json (Vega-Lite).

    The file holds the Experiments of the runs in it, which ``explorer.figures.recipe(path)`` reads back.

    Args:
        chart: Any chart of Altair's.
        path: A file, whose name's end says the format.
        scale: Of a PNG: how many pixels a point of the chart has; 2, or 1 where ``ppi`` is given.
        ppi: Of a PNG: pixels per inch, of 72 points; the file says them, so that a printer keeps the size.

    Raises:
        ValueError: where scale or ppi is out of bounds, or a PNG would have more than 100 million pixels.
    """
    return write(chart.to_dict(validate=False), path, scale, ppi)


def write(
    spec: dict[str, Any], path: str | Path, scale: float | None = None, ppi: float | None = None
) -> Path:
    """Write a Vega-Lite specification to ``path``, as ``save`` does."""
    path, version = Path(path), vegalite_version()
    _check_path(path)
    scale = _bounded("scale", (2 if ppi is None else 1) if scale is None else scale, SCALES)
    ppi = _bounded("ppi", POINTS if ppi is None else ppi, PPIS)
    suffix = path.suffix.lower()
    match suffix:
        case ".png":
            svg = vl_convert.vegalite_to_svg(spec, vl_version=version)
            _check_size(svg, scale * ppi / POINTS)
            content = vl_convert.svg_to_png(svg, scale=scale, ppi=ppi)
        case ".svg":
            content = vl_convert.vegalite_to_svg(spec, vl_version=version).encode()
        case ".pdf":
            content = vl_convert.vegalite_to_pdf(spec, vl_version=version)
        case ".html":
            content = _closed(vl_convert.vegalite_to_html(spec, vl_version=version, bundle=True)).encode()
        case ".json":
            content = json.dumps(spec, indent=1, ensure_ascii=False).encode()
        case other:
            raise ValueError(
                f"can't save a figure as {other or path.name!r}: end the name in {', '.join(SUFFIXES)}"
            )
    path.write_bytes(embed(content, suffix, of_specs([spec])))
    return path


def _check_path(path: Path) -> None:
    try:
        os.stat(path)  # noqa: PTH116  pathlib's own may swallow what is to be seen
    except OSError:  # it is not there, which is as good
        pass
    except ValueError as error:  # a lone surrogate, or a zero
        raise ValueError(NO_PATH.format(ascii(str(path)), error)) from None


def _bounded(name: str, value: float, bounds: tuple[float, float]) -> float:
    """Return a number; raise where it is none, or is out of bounds."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(OUT_OF_BOUNDS.format(name, value, *bounds))
    if not bounds[0] <= value <= bounds[1]:
        raise ValueError(OUT_OF_BOUNDS.format(name, value, *bounds))
    return float(value)


def _check_size(svg: str, scale: float) -> None:
    """Raise ValueError where an SVG would have too many pixels."""
    head = ElementTree.fromstring(svg).attrib
    width, height = (scale * float(head[side]) for side in ("width", "height"))
    if width * height > MOST:
        raise ValueError(TOO_LARGE.format(width, height, (width * height / MOST) ** 0.5))


def _closed(page: str) -> str:
    """Keep a string of the user's own, such as a run's name, from ending the script that it stands in."""
    start, mark, rest = page.rpartition("\n    const spec = ")
    spec, end, rest = rest.partition("\n")  # one line of JSON
    return start + mark + spec.replace("<", "\\u003c") + end + rest
