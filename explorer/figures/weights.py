"""Histogram of one layer's weights or scores: what is kept above the line, what was pruned hanging below it.

The two halves have a count axis each. At 90 % sparsity one shared axis would leave the kept weights a few
pixels; and as a pruned weight falls from the upper half into the lower, the eye follows the threshold.

Datasets:
    bins: left, right, count, state ("kept", "revived" or "pruned")
    cutoffs: value, label; where the threshold cuts: ±τ on the weight axis, τ on the score axis
    note: text; one row, such as "10 % of 100,352 kept"
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from explorer.figures import theme
from explorer.figures.combining import Figure, combine
from explorer.figures.provenance import with_recipe

TITLES = {"weight": "{} weights", "score": "{} scores"}
X_TITLES = {"weight": "weight (first and last bar: all beyond)", "score": "score", "log": "score (log scale)"}
KEPT_TITLE, PRUNED_TITLE, LOG_TITLE = "kept", "pruned", "{} (log)"
STATES = ("kept", "revived", "pruned")
CUTOFF_LABEL, NOTE = "τ = {:.3g}", "{} of {:,} kept"
NO_HISTOGRAMS = "this run has no histograms of axis {!r}; it has {}"
DESCRIPTION = (
    "Histogram of {}: counts of kept and revived weights upwards, of pruned weights downwards, each with its "
    "own count axis; dashed rules mark the threshold."
)
DECADES = [0, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000]
LABEL_ROOM = 92  # pixels
HEIGHT = 200  # pixels
KEPT_FLOOR, PRUNED_TOP = 0.59, 0.62  # shares of it: where the upper half ends, and the lower begins


def weights(
    bins: Any = None,
    cutoffs: Any = None,
    note: Any = None,
    *,
    title: str = "",
    axis: str = "weight",
    log: bool | None = None,
    counts: str = "linear",
) -> alt.LayerChart:
    """Draw one layer's histogram; without tables the chart is live and waits for its datasets.

    Args:
        bins: Table of left, right, count, state.
        cutoffs: Table of value, label.
        note: Table of text.
        title: The layer's name.
        axis: "weight" or "score".
        log: Logarithmic horizontal axis; scores have one unless told otherwise, as they span decades.
        counts: "linear" or "log", the axes of both halves; "log" shows a bin with few weights, too.
    """
    log = axis == "score" if log is None else log
    name = TITLES[axis].format(title).strip()
    bars = [_upper_bars(axis, log, counts), _lower_bars(axis, log, counts)]
    chart = alt.LayerChart(layer=[*bars, _rules(), _rule_labels(), theme.note()])
    chart = chart.resolve_scale(y="independent")
    tables = {"bins": bins, "cutoffs": cutoffs, "note": note}
    return theme.finish(chart, tables, theme.beside_note(name), DESCRIPTION.format(name), HEIGHT)


def _upper_bars(axis: str, log: bool, counts: str) -> alt.Chart:
    data = theme.on("bins").transform_filter(_on_axis("datum.state != 'pruned'", log))
    data = data.transform_stack(
        ["base", "top"], stack="count", groupby=["left"], sort=[alt.SortField("state")]
    )
    y = _count("top", KEPT_TITLE, [_share(KEPT_FLOOR), 0], counts)
    bars: alt.Chart = data.mark_bar(binSpacing=0)
    return bars.encode(_left(axis, log), alt.X2("right"), y, alt.Y2("base"), *_common())


def _lower_bars(axis: str, log: bool, counts: str) -> alt.Chart:
    data = theme.on("bins").transform_filter(_on_axis("datum.state == 'pruned'", log))
    y = _count("count", PRUNED_TITLE, [_share(PRUNED_TOP), _share(1)], counts)
    bars: alt.Chart = data.mark_bar(binSpacing=0)
    return bars.encode(_left(axis, log), alt.X2("right"), y, alt.Y2Datum(0), *_common())


def _on_axis(test: str, log: bool) -> str:
    """Return an expression: whether a bin passes the test, and has a place on the axis."""
    return f"{test} && datum.left > 0" if log else test


def _left(axis: str, log: bool) -> alt.X:
    scale = alt.Scale(type="log" if log else "linear", nice=False, zero=False)
    ticks = alt.Axis(
        grid=False, format="~e" if log else "~g", tickCount=4, labelOverlap="greedy", labelSeparation=8
    )
    return alt.X("left:Q", title=X_TITLES["log" if log else axis], scale=scale, axis=ticks)


def _share(part: float) -> alt.ExprRef:
    """Return a share of the height, which a large page makes larger."""
    return alt.ExprRef(f"{part} * height")


def _count(field: str, title: str, pixels: Sequence[Any], counts: str) -> alt.Y:
    if counts == "log":  # linear below 1, so that a bar stands on 0
        scale = alt.Scale(type="symlog", constant=1, range=list(pixels), domainMin=0, nice=False)
        short = "datum.value ? format(datum.value, '~s') : ''"
        axis = alt.Axis(title=LOG_TITLE.format(title), orient="left", labelExpr=short, values=DECADES)
        axis.minExtent, axis.labelOverlap = 30, "greedy"
        return alt.Y(f"{field}:Q", scale=scale, axis=axis)
    scale = alt.Scale(range=list(pixels), domainMin=0, nice=True)
    # 500, 5k: the axis' own format would write 0k; zero is the line between the halves
    short = "datum.value ? format(datum.value, '~s') : ''"
    axis = alt.Axis(title=title, orient="left", labelExpr=short, tickCount=3, tickMinStep=1, minExtent=30)
    return alt.Y(f"{field}:Q", scale=scale, axis=axis)


def _common() -> tuple[Any, ...]:
    colours = alt.Scale(domain=STATES, range=[theme.KEPT, theme.REVIVED, theme.REMOVED])
    tooltip = [
        alt.Tooltip("state:N"),
        alt.Tooltip("count:Q", format=","),
        alt.Tooltip("left:Q", title="from", format=".3~g"),
        alt.Tooltip("right:Q", title="to", format=".3~g"),
    ]
    return alt.Color("state:N", scale=colours), tooltip


def _rules() -> alt.Chart:
    rule: alt.Chart = theme.on("cutoffs").mark_rule(color=theme.INK, strokeDash=[4, 3])
    return rule.encode(alt.X("value:Q"), tooltip=alt.Tooltip("value:Q", title="threshold", format=".4~g"))


def _rule_labels() -> alt.LayerChart:
    """Write beside the rule in the lower half, which is empty beyond the threshold; before it at the end."""
    end = f"scale('x', datum.value) > width - {LABEL_ROOM}"
    side = {"align": alt.ExprRef(f"{end} ? 'right' : 'left'"), "dx": alt.ExprRef(f"{end} ? -5 : 5")}
    return theme.label(
        theme.on("cutoffs"),
        theme.text(**side, dy=-5, baseline="bottom"),
        x=alt.X("value:Q"),
        y=alt.value("height"),
        text="label:N",
    )


def stacked(left: Any, right: Any, kept: Any, pruned: Any, revived: Any) -> dict[str, Any]:
    """Return the "bins" columns from per-bin counts, one array a state."""
    n = len(left)
    counts = [np.asarray(column) for column in (kept, revived, pruned)]
    return {
        "left": np.tile(np.asarray(left), 3),
        "right": np.tile(np.asarray(right), 3),
        "count": np.concatenate(counts),
        "state": np.repeat(STATES, n),
    }


def layer_tables(
    left: Any, right: Any, kept: Any, pruned: Any, revived: Any, *, cutoff: float | None, axis: str = "weight"
) -> dict[str, Any]:
    """Return "bins", "cutoffs" and "note" from a layer's per-bin counts and where the threshold cuts it."""
    fallen, total = int(sum(pruned)), int(sum(kept) + sum(pruned) + sum(revived))
    return {
        "bins": stacked(left, right, kept, pruned, revived),
        "cutoffs": cutoffs_at(cutoff, axis),
        "note": kept_note(total - fallen, total),
    }


def cutoffs_at(value: float | None, axis: str = "weight") -> dict[str, list[Any]]:
    """Return the "cutoffs" columns: ±τ on the weight axis with one label, τ on the score axis."""
    if value is None or not np.isfinite(value):
        return {"value": [], "label": []}
    label = CUTOFF_LABEL.format(value)
    return (
        {"value": [-value, value], "label": ["", label]}
        if axis == "weight"
        else {"value": [value], "label": [label]}
    )


def kept_note(kept: int, total: int) -> dict[str, list[str]]:
    """Return the "note" columns: the share of weights that is kept, never rounded to a false 0 or 100 %."""
    percent = 100 * kept / max(total, 1)
    share = "100 %" if kept == total else f"{min(max(percent, 0.1), 99.9):.1f} %" if kept else "0 %"
    return {"text": [NOTE.format(share.replace(".0 ", " "), total)]}


def weights_of(run: Any, step: int | None = None, axis: str | None = None) -> Figure:
    """Draw every layer's histogram of a run at one record, as ``layers_of`` does, in one figure."""
    return combine(layers_of(run, step, axis))


@with_recipe
def layers_of(run: Any, step: int | None = None, axis: str | None = None) -> dict[str, alt.LayerChart]:
    """Return each layer's histogram of a run at one record, the last by default.

    Args:
        run: Anything with the frames ``histograms`` and ``cutoffs`` and an ``experiment``.
        step: The record; the nearest one before it is drawn.
        axis: "weight" or "score"; by default that on which the criterion cuts, if the run recorded it.
    """
    pruning, recorded = run.experiment.pruning, run.histograms["axis"].unique().sort().to_list()
    cut_axis = "weight" if pruning is None or pruning.cuts_weights else "score"
    axis = axis or (cut_axis if cut_axis in recorded else "weight")
    if axis not in recorded:
        raise ValueError(NO_HISTOGRAMS.format(axis, ", ".join(recorded) or "none at all"))
    frame = _at(run.histograms.filter(pl.col("axis") == axis), step)
    cutoffs = _at(run.cutoffs, step) if axis == cut_axis and run.cutoffs.height else None
    return {
        layer: _layer(frame, cutoffs, layer, axis) for layer in frame["layer"].unique(maintain_order=True)
    }


def _at(frame: pl.DataFrame, step: int | None) -> pl.DataFrame:
    """Return each layer's rows at its newest record that is not after ``step``."""
    past = frame if step is None else frame.filter(pl.col("step") <= step)
    return past.filter(pl.col("step") == pl.col("step").max().over("layer"))


def _layer(frame: pl.DataFrame, cutoffs: pl.DataFrame | None, layer: str, axis: str) -> alt.LayerChart:
    rows = frame.filter(pl.col("layer") == layer).sort("left")
    cut = [] if cutoffs is None else cutoffs.filter(pl.col("layer") == layer)["cutoff"].to_list()
    columns = [rows[name].to_numpy() for name in ("left", "right", "kept", "pruned", "revived")]
    return weights(
        **layer_tables(*columns, cutoff=cut[-1] if cut else None, axis=axis),
        title=layer,
        axis=axis,
        log=axis == "score" and bool((columns[0] > 0).any()) and not (columns[1] < 0).any(),
    )
