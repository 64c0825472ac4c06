"""What all figures share: colours, type, and how data get into a chart and a chart onto disk.

Colours follow Okabe and Ito's palette, so that readers with a colour vision deficiency can tell them apart,
and the same thing has the same colour in every figure. Each colour is a role with one value for light and one
for dark pages; a dark figure is the light one with its colours swapped.
"""

import json
import math
import re
from collections.abc import Container, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from explorer.figures import png
from explorer.figures.provenance import embed, of_specs, usermeta

INK, MUTED, LINE, GRID, PAPER = "#1f2328", "#59606b", "#8c939d", "#e4e7eb", "#ffffff"
DENSE, PRUNED = "#6f7681", "#0072b2"  # the two networks that are compared
KEPT, REMOVED, REVIVED = PRUNED, "#d55e00", "#009e73"  # weights: what is kept *is* the pruned network
CLIPPED, UNCLIPPED = "#a8467f", PRUNED
OCHRE = "#8a6d00"  # one more, where runs are many

# role in light, its value in dark, and JupyterLab's own variable for it, which wins on a live page
ROLES = (
    (INK, "#e6e8eb", "--jp-ui-font-color1"),
    (MUTED, "#abb2bd", "--jp-ui-font-color2"),
    (LINE, "#7d858f", ""),
    (GRID, "#363b42", "--jp-border-color2"),
    (PAPER, "#111111", "--jp-layout-color0"),
    (DENSE, "#a3abb5", ""),
    (PRUNED, "#4aa3df", ""),
    (REMOVED, "#f0883e", ""),
    (REVIVED, "#2cc295", ""),
    (CLIPPED, "#dd8fc0", ""),
    (OCHRE, "#d9b93b", ""),
)

WIDTH = 360
TOP_LEVEL = ("$schema", "config", "datasets", "usermeta")  # what a part of a combined figure can't have
BELOW_EACH_OTHER = (
    "{bottom: {anchor: 'start', direction: 'vertical'}}"  # legends; side by side they are cropped
)
SUFFIXES = (".png", ".svg", ".pdf", ".html", ".json")


def config() -> dict[str, Any]:
    """Vega-Lite configuration of every figure, in light colours."""
    axis = {
        "labelColor": MUTED,
        "titleColor": INK,
        "domainColor": LINE,
        "tickColor": LINE,
        "gridColor": GRID,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    }
    legend = {"labelColor": INK, "labelFontSize": 12, "symbolSize": 90, "orient": "bottom", "title": None}
    title = {"color": INK, "fontSize": 14, "fontWeight": 600, "subtitleColor": MUTED, "subtitleFontSize": 12}
    return {
        "background": PAPER,
        "view": {"stroke": None},
        "axis": axis,
        "legend": {**legend, "offset": 8, "layout": {"expr": BELOW_EACH_OTHER}},
        "title": {**title, "anchor": "start", "frame": "group", "subtitlePadding": 4},
    }


def text(**mark: Any) -> dict[str, Any]:
    """Return a text mark's properties: readable on both themes, as Vega's own default is black on either."""
    return {"color": INK, "fontSize": 12, **mark}


def label(data: alt.Chart, mark: dict[str, Any], **encoding: Any) -> alt.LayerChart:
    """Draw text that stays readable across lines and dots: over a halo in the page's colour."""
    halo = {**mark, "stroke": PAPER, "strokeWidth": 4, "strokeOpacity": 0.85, "strokeJoin": "round"}
    return alt.layer(data.mark_text(**halo).encode(**encoding), data.mark_text(**mark).encode(**encoding))


def named(dataset: str) -> alt.NamedData:
    """Data that come later, under a name; types are already right, so Vega need not parse and copy them."""
    return alt.NamedData(dataset, format=alt.DataFormat(parse=None))


def rows(table: Any) -> list[dict[str, Any]]:
    """Turn a DataFrame, or a mapping of columns, into JSON rows; what is not finite becomes null."""
    records = table.to_dicts() if hasattr(table, "to_dicts") else _zip(table)
    return [{name: _plain(value) for name, value in record.items()} for record in records]


def _zip(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = [getattr(values, "tolist", lambda values=values: list(values))() for values in columns.values()]
    return [dict(zip(columns, record, strict=True)) for record in zip(*lists, strict=True)]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def inline(chart: alt.TopLevelMixin, tables: Mapping[str, Any]) -> Any:
    """Return a copy of ``chart`` that carries ``tables`` by dataset name; a table of None is left out."""
    chart = chart.copy(deep=False)
    chart.datasets = {name: rows(table) for name, table in tables.items() if table is not None}
    return chart


def combine(
    charts: Mapping[str, alt.TopLevelMixin], columns: int = 2, wide: Container[str] = ()
) -> alt.ConcatChart | alt.VConcatChart:
    """Lay charts out as one figure; those that are wide stand below the others, a row each."""
    specs = {name: chart.to_dict(validate=False) for name, chart in charts.items()}
    made = page(specs, columns, wide)
    return (alt.VConcatChart if "vconcat" in made else alt.ConcatChart).from_dict(made, validate=False)


def page(specs: Mapping[str, dict[str, Any]], columns: int = 2, wide: Container[str] = ()) -> dict[str, Any]:
    """Lay specifications out as one; a dataset's name gets the chart's as a prefix, or they would collide."""
    parts, rows_below, datasets = [], [], {}
    for number, (name, spec) in enumerate(specs.items()):
        part = _renamed({key: spec[key] for key in spec if key not in TOP_LEVEL}, name)
        part = {**_placed(part, part, f"part{number}"), "name": f"part{number}"}
        (rows_below if name in wide else parts).append(part)
        datasets |= {f"{name}-{dataset}": table for dataset, table in spec.get("datasets", {}).items()}
    channels = ("color", "shape", "strokeDash", "strokeWidth", "strokeOpacity")
    independent = dict.fromkeys(channels, "independent")
    layout = {"columns": columns, "spacing": 28, "resolve": {"scale": independent, "legend": independent}}
    made = of_specs(specs.values())
    signed = {"usermeta": usermeta(made)} if made else {}
    grid = {"concat": parts, **layout}
    if rows_below:
        layout.pop("columns")
        grid = {"vconcat": [*([grid] if parts else []), *rows_below], **layout}
    return {**signed, "config": config(), "datasets": datasets, **grid}


def _renamed(node: Any, prefix: str) -> Any:
    """Prefix each dataset a specification names, also where an expression reads it."""
    if isinstance(node, list):
        return [_renamed(item, prefix) for item in node]
    if isinstance(node, str):
        return node.replace("data('", f"data('{prefix}-")
    if not isinstance(node, dict):
        return node
    node = {key: _renamed(value, prefix) for key, value in node.items()}
    if isinstance(node.get("data"), dict) and "name" in node["data"]:
        node["data"]["name"] = f"{prefix}-{node['data']['name']}"
    return node


def _placed(node: Any, part: Mapping[str, Any], name: str) -> Any:
    """Have expressions say which part's scale they mean, and its size, as a figure of many has none."""
    if isinstance(node, list):
        return [_placed(item, part, name) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _placed(value, part, name) for key, value in node.items()}
    if isinstance(text := node.get("expr"), str):
        for side in ("width", "height"):
            if isinstance(pixels := part.get(side), int | float):
                text = re.sub(rf"\b{side}\b", str(pixels), text)
        node["expr"] = text.replace("scale('", f"scale('{name}_")
    return node


def dark(chart: alt.TopLevelMixin) -> Any:
    """Return the same chart for a dark page or slide."""
    spec = json.dumps(chart.to_dict(validate=False))
    for light, night, _ in ROLES:
        spec = spec.replace(f'"{light}"', f'"{night}"')
    spec = png.repainted(spec, {png.rgb(light): png.rgb(night) for light, night, _ in ROLES})
    return type(chart).from_dict(json.loads(spec), validate=False)


@cache
def vegalite_version() -> str:
    """Return the Vega-Lite that Altair writes for, as vl-convert names it, or vl-convert's newest."""
    known = vl_convert.get_vegalite_versions()
    wanted = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return wanted if wanted in known else known[-1]


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
    """Have no string of the user's own, such as a run's name, end the script that it stands in."""
    start, mark, rest = page.rpartition("\n    const spec = ")
    spec, end, rest = rest.partition("\n")  # one line of JSON
    return start + mark + spec.replace("<", "\\u003c") + end + rest
