"""A figure as a file, with the recipe that made it: PNG, SVG, PDF, HTML or Vega-Lite JSON."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from explorer.figures.provenance import embed, of_specs

SUFFIXES = (".png", ".svg", ".pdf", ".html", ".json")


@cache
def vegalite_version() -> str:
    """Return the Vega-Lite that Altair writes for, as vl-convert names it, or vl-convert's newest."""
    versions: list[str] = vl_convert.get_vegalite_versions()
    altairs = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return altairs if altairs in versions else versions[-1]


def save(chart: alt.TopLevelMixin, path: str | Path, scale: float = 2) -> Path:
    """Write ``chart`` to ``path``: .png, .svg, .pdf, .html (needs no network) or .json (Vega-Lite).

    The file holds the Experiments of the runs in it, which ``explorer.figures.recipe(path)`` reads back.
    """
    return write(chart.to_dict(validate=False), path, scale)


def write(spec: dict[str, Any], path: str | Path, scale: float = 2) -> Path:
    """Write a Vega-Lite specification to ``path``, as ``save`` does."""
    path, version = Path(path), vegalite_version()
    suffix = path.suffix.lower()
    match suffix:
        case ".png":
            content = vl_convert.vegalite_to_png(spec, vl_version=version, scale=scale)
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


def _closed(page: str) -> str:
    """Keep a string of the user's own, such as a run's name, from ending the script that it stands in."""
    start, mark, rest = page.rpartition("\n    const spec = ")
    spec, end, rest = rest.partition("\n")  # one line of JSON
    return start + mark + spec.replace("<", "\\u003c") + end + rest
