"""Many charts as one figure: side by side, each with its own scales, legends and datasets."""

import re
from collections.abc import Container, Mapping
from typing import Any

import altair as alt

from explorer.figures.provenance import of_specs, usermeta
from explorer.figures.theme import config

TOP_LEVEL = ("$schema", "config", "datasets", "usermeta")  # what a part of a combined figure can't have

Figure = alt.ConcatChart | alt.VConcatChart


def combine(charts: Mapping[str, alt.TopLevelMixin], columns: int = 2, wide: Container[str] = ()) -> Figure:
    """Lay charts out as one figure; those that are wide stand below the others, a row each."""
    specs = {name: chart.to_dict(validate=False) for name, chart in charts.items()}
    spec = page(specs, columns, wide)
    kind = alt.VConcatChart if "vconcat" in spec else alt.ConcatChart
    figure: Figure = kind.from_dict(spec, validate=False)
    return figure


def page(specs: Mapping[str, dict[str, Any]], columns: int = 2, wide: Container[str] = ()) -> dict[str, Any]:
    """Lay specifications out as one; a dataset's name gets the chart's as a prefix, or they would collide."""
    parts: list[dict[str, Any]] = []
    rows_below: list[dict[str, Any]] = []
    datasets: dict[str, Any] = {}
    for number, (name, spec) in enumerate(specs.items()):
        part = _renamed({key: spec[key] for key in spec if key not in TOP_LEVEL}, name)
        part = {**_placed(part, part, f"part{number}"), "name": f"part{number}"}
        (rows_below if name in wide else parts).append(part)
        datasets |= {f"{name}-{dataset}": table for dataset, table in spec.get("datasets", {}).items()}
    channels = ("color", "shape", "strokeDash", "strokeWidth", "strokeOpacity")
    independent = dict.fromkeys(channels, "independent")
    layout = {"columns": columns, "spacing": 28, "resolve": {"scale": independent, "legend": independent}}
    recipes = of_specs(specs.values())
    origin = {"usermeta": usermeta(recipes)} if recipes else {}
    grid: dict[str, Any] = {"concat": parts, **layout}
    if rows_below:
        layout.pop("columns")
        grid = {"vconcat": [*([grid] if parts else []), *rows_below], **layout}
    return {**origin, "config": config(), "datasets": datasets, **grid}


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
