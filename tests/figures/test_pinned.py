"""The legend of pinned runs: below the chart's own, and nothing above it moves."""

import json
import re

import polars as pl
import vl_convert

from explorer import figures
from explorer.figures import saving


def drawn(pins):
    """Where the plot begins, and the texts from top to bottom, as they come in the file."""
    points = pl.DataFrame({"epoch": [1.0, 1.0], "accuracy": [90.0, 91.0], "net": ["pruned", "dense"]})
    chart = figures.accuracy(points, epochs=1, pins=pins)
    spec = chart.to_dict()
    spec["datasets"]["pinned"] = [{"epoch": 1, "accuracy": 80, "name": name} for name in pins]
    svg = vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=saving.vegalite_version())
    start = re.search(r'<g fill="none"[^>]*transform="translate\(([^)]+)\)', svg).group(1)
    return start, int(re.search(r'height="(\d+)"', svg).group(1)), re.findall(r">([^<>]+)</text>", svg)


def test_the_plot_stays_where_it_is_however_many_runs_are_pinned():
    alone, low, _ = drawn({})
    many = {f"run {i}": i for i in range(8)}
    start, high, texts = drawn(many)
    assert start == alone
    assert high > low
    names = [text for text in texts if text in many or text in ("pruned", "dense")]
    assert names == ["pruned", "dense", *many]
