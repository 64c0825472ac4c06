"""Gradients through depth: the norm of each layer's gradient, and how the sizes of its entries are spread.

Datasets of `depth`:
    norms: layer, place, norm, record ("first record" or "last record"); place counts layers from the input
    note: text; one row
Datasets of `spread`:
    bins: place, base, top, left, right, count, layer; bars of a layer stand on its own line
    zeros: place, text; the share of entries that are 0
    note: text; one row
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from explorer.figures import theme
from explorer.figures.provenance import with_recipe

DEPTH_TITLE, SPREAD_TITLE = "Gradient norm of each layer", "Sizes of gradient entries"
DEPTH_X, SPREAD_X = "L2 norm of the weights' gradient (log scale)", "|∂L/∂w| before clipping (log scale)"
RECORDS = ("first record", "last record")
DEPTH_NOTE = "epochs {:g}, {:g}: {}"
FIRST_NOTE = "epoch {:g}: {}"
RATIO, NO_GRADIENT = "{} = {} / {}", "{} has none"
NO_RECORD = "measured at the first record after a step"
SPREAD_NOTE = "n = {:,} weights, masked, epoch {:g}"
ZEROS, ALL_ZERO = "{} % are 0", "all are 0"
DEPTH_TEXT = (
    "Line chart of the L2 norm of each layer's gradient, layers from the input at the top to the output at "
    "the bottom, at the first and the last record."
)
SPREAD_TEXT = "A histogram for each layer, from the input at the top, of the absolute values of its gradient."
HEIGHT, ROW = 150, 17  # pixels; of all, and of a layer's line where there are many
FULL = 0.85  # of its line a layer's highest bar takes
STEP, LEAST, MOST = 0.25, -14, 4  # of the bins, in decades
BINS = round((MOST - LEAST) / STEP)


def height(layers: Sequence[str]) -> int:
    """Return the height of a figure with a line for each layer."""
    return max(HEIGHT, ROW * len(layers))


def depth(layers: Sequence[str], norms: Any = None, note: Any = None) -> alt.LayerChart:
    """Draw norms by layer; without tables the chart is live and waits for its datasets."""
    y = alt.Y("layer:N", scale=alt.Scale(domain=list(layers)), sort=None, title=None, axis=_layer_axis())
    short = "format(datum.value, datum.value < 1e-3 || datum.value > 9999 ? '~e' : '~g')"
    ticks = alt.Axis(labelExpr=short, tickCount=5, labelOverlap="greedy", labelSeparation=6)
    x = alt.X("norm:Q", title=DEPTH_X, scale=alt.Scale(type="log"), axis=ticks)
    colour = alt.Color("record:N", scale=alt.Scale(domain=RECORDS, range=[theme.DENSE, theme.PRUNED]))
    shape = alt.Shape("record:N", scale=alt.Scale(domain=RECORDS, range=["diamond", "circle"]))
    dash = alt.StrokeDash("record:N", scale=alt.Scale(domain=RECORDS, range=[[4, 3], [1, 0]]))
    tooltip = [alt.Tooltip("layer:N"), alt.Tooltip("record:N"), alt.Tooltip("norm:Q", format=".3~g")]
    data = theme.on("norms").transform_filter("datum.norm > 0")
    line = data.mark_line(strokeWidth=1.5).encode(x, y, colour, dash, order="place:Q")
    dots = data.mark_point(filled=True, size=55, opacity=1).encode(x, y, colour, shape, tooltip=tooltip)
    chart = alt.LayerChart(layer=[line, dots, theme.note()])
    tables = {"norms": norms, "note": note}
    return theme.finish(chart, tables, theme.beside_note(DEPTH_TITLE), DEPTH_TEXT, height(layers))


def spread(layers: Sequence[str], bins: Any = None, zeros: Any = None, note: Any = None) -> alt.LayerChart:
    """Draw a histogram of gradient entries on each layer's line; without tables the chart is live."""
    names = "[" + ",".join(f"'{name}'" for name in layers) + "][datum.value]"
    places = list(range(len(layers)))
    axis = alt.Axis(values=places, labelExpr=names, labelBaseline="bottom", domain=False, ticks=False)
    axis.minExtent, axis.labelOverlap, axis.tickCount = 30, False, len(layers)  # or Vega leaves some out
    scale = alt.Scale(domain=[len(layers) - 1, -1], nice=False, zero=False)
    ticks = alt.Axis(format="~e", tickCount=5, labelOverlap="greedy", labelSeparation=6, grid=False)
    x = alt.X("left:Q", title=SPREAD_X, scale=alt.Scale(type="log", nice=False), axis=ticks)
    tooltip = [
        alt.Tooltip("layer:N"),
        alt.Tooltip("count:Q", format=","),
        alt.Tooltip("left:Q", title="from", format=".2~e"),
        alt.Tooltip("right:Q", title="to", format=".2~e"),
    ]
    bars: alt.Chart = theme.on("bins").mark_bar(color=theme.PRUNED, binSpacing=0)
    bars = bars.encode(
        x,
        alt.X2("right"),
        alt.Y("base:Q", title=None, scale=scale, axis=axis),
        alt.Y2("top"),
        tooltip=tooltip,
    )
    mark = theme.text(align="left", baseline="bottom", dx=6, dy=-2, color=theme.MUTED, fontSize=11)
    words = theme.label(theme.on("zeros"), mark, x=alt.value("width"), y=alt.Y("place:Q"), text="text:N")
    chart = alt.LayerChart(layer=[bars, words, theme.note()])
    tables = {"bins": bins, "zeros": zeros, "note": note}
    return theme.finish(chart, tables, theme.beside_note(SPREAD_TITLE), SPREAD_TEXT, height(layers))


def _layer_axis() -> alt.Axis:
    return alt.Axis(grid=True, minExtent=30, ticks=False, domain=False)


# -- tables -------------------------------------------------------------------------------------------


def depth_tables(rows: Sequence[tuple[float, str, float]]) -> dict[str, Any]:
    """Return "norms" and "note" from recorded rows of epoch, layer, norm: the first and the last epoch's."""
    names = ("layer", "place", "norm", "record")
    if not rows:
        return {"norms": theme.columns([], names), "note": {"text": [NO_RECORD]}}
    first, last = rows[0][0], rows[-1][0]
    norms = [
        (layer, place, norm, record)
        for record, epoch in [(RECORDS[0], first)] * (first != last) + [(RECORDS[1], last)]
        for place, (layer, norm) in enumerate([(la, value) for at, la, value in rows if at == epoch])
    ]
    note = _depth_note(first, last, {la: value for at, la, value in rows if at == last})
    return {"norms": theme.columns(norms, names), "note": {"text": [note]}}


def _depth_note(first: float, last: float, norms: Mapping[str, float]) -> str:
    positive = {layer: norm for layer, norm in norms.items() if norm > 0 and math.isfinite(norm)}
    if not positive:
        return ""
    low, high = min(positive, key=positive.__getitem__), max(positive, key=positive.__getitem__)
    without = [layer for layer, norm in norms.items() if norm == 0]
    times = float(f"{positive[high] / positive[low]:.2g}")
    ratio = RATIO.format(low, high, f"{times:,.0f}" if times >= 10 else f"{times:g}")
    words = NO_GRADIENT.format(", ".join(without)) if without else ratio
    first, last = round(first, 2), round(last, 2)
    return FIRST_NOTE.format(last, words) if first == last else DEPTH_NOTE.format(first, last, words)


def spread_tables(entries: Mapping[str, tuple[np.ndarray, int]], epoch: float) -> dict[str, Any]:
    """Return "bins", "zeros" and "note" from each layer's counts in the bins of `edges`, and its zeros."""
    sides = 10.0 ** edges()
    bins: list[tuple[Any, ...]] = []
    zeros: list[tuple[int, str]] = []
    for place, (layer, (counts, none)) in enumerate(entries.items()):
        top, total = max(1, int(counts.max())), int(counts.sum()) + none
        for i in np.flatnonzero(counts):
            high = place - FULL * counts[i] / top
            bins.append((place, place, high, sides[i], sides[i + 1], int(counts[i]), layer))
        zeros.append((place, ALL_ZERO if none == total else ZEROS.format(_percent(none, total))))
    n = sum(int(counts.sum()) + none for counts, none in entries.values())
    return {
        "bins": theme.columns(bins, ("place", "base", "top", "left", "right", "count", "layer")),
        "zeros": theme.columns(zeros, ("place", "text")),
        "note": {"text": [SPREAD_NOTE.format(n, round(epoch, 2))]},
    }


def edges() -> np.ndarray:
    """Return the edges of the bins, as powers of ten."""
    return np.arange(LEAST, MOST + STEP / 2, STEP)


def _percent(part: int, total: int) -> str:
    """Return a share in percent, never rounded to none or all."""
    return "0" if not part else f"{min(max(100 * part / total, 0.1), 99.9):.1f}"


@with_recipe
def depth_of(run: Any) -> alt.LayerChart:
    """Draw the norm of each layer's gradient at the first and the last record of a run."""
    rows = list(_layered(run).select("epoch", "layer", "value").iter_rows())
    return depth(list(dict.fromkeys(layer for _, layer, _ in rows)), **depth_tables(rows))


def has_depth(run: Any) -> bool:
    """Return whether a run has recorded the gradients of several layers."""
    return _layered(run)["layer"].n_unique() > 1


def _layered(run: Any) -> pl.DataFrame:
    history: pl.DataFrame = run.history
    return history.filter((pl.col("metric") == "grad_norm") & pl.col("layer").is_not_null())
