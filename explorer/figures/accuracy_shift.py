"""What pruning did to accuracy: the difference between the pruned network and its dense twin over time.

Datasets:
    points: epoch, shift (points of accuracy, pruned − dense)
    events: epoch, label, kind ("prune" or "move")
"""

from typing import Any

import altair as alt
import polars as pl

from explorer.figures import theme, timeline

TITLE, Y_TITLE = "Accuracy shift: pruned − dense", "points"
DESCRIPTION = (
    "Area chart of the difference in validation accuracy between the pruned network and its dense twin, in "
    "points over epochs; the line at zero is the dense twin."
)
HEIGHT = 84
# A shift of a tenth of a point is chance, and must not fill the chart.
LOW = "length(data('points')) ? min(-1, extent(pluck(data('points'),'shift'))[0]) : -1"
HIGH = "length(data('points')) ? max(0.2, extent(pluck(data('points'),'shift'))[1]) : 0.2"
LABEL = {"epoch": pl.Float64, "accuracy": pl.Float64, "label": pl.String}


def shift_band(points: Any = None, events: Any = None, *, epochs: float | None = None) -> alt.LayerChart:
    """Draw the shift over epochs; without tables the chart is live and waits for its datasets.

    Args:
        points: Table of epoch, shift in points.
        events: Table of epoch, label, kind.
        epochs: Length of the run, which keeps the horizontal axis still.
    """
    chart = alt.LayerChart(layer=[_area(epochs), *timeline.event_marks(), _zero(), _line()])
    return theme.finish(chart, {"points": points, "events": events}, TITLE, DESCRIPTION, HEIGHT)


def _area(epochs: float | None) -> alt.Chart:
    scale = alt.Scale(domainMin=alt.ExprRef(LOW), domainMax=alt.ExprRef(HIGH), nice=False)
    axis = alt.Axis(tickCount=3, format=timeline.NUMBER, minExtent=timeline.AXIS_EXTENT)
    y = alt.Y("shift:Q", title=Y_TITLE, scale=scale, axis=axis)
    area: alt.Chart = theme.on("points").mark_area(clip=True, color=theme.PRUNED, opacity=0.25)
    return area.encode(timeline.epoch_axis(epochs), y, alt.Y2Datum(0))


def _zero() -> alt.Chart:
    rule: alt.Chart = alt.Chart().mark_rule(color=theme.DENSE, strokeDash=[5, 3])
    return rule.encode(y=alt.datum(0))


def _line() -> alt.Chart:
    tooltip = [
        alt.Tooltip("epoch:Q", format=".2f"),
        alt.Tooltip("shift:Q", format="+.2f", title=Y_TITLE),
    ]
    line: alt.Chart = theme.on("points").mark_line(clip=True, color=theme.PRUNED, strokeWidth=2)
    return line.encode(alt.X("epoch:Q"), alt.Y("shift:Q"), tooltip=tooltip)


def shift_label(pruned: float, dense: float) -> str:
    """Return the difference of two accuracies in percent as words: '−0.4 points'."""
    points = round(pruned - dense, 1)
    return f"{'−' if points < 0 else '+' if points > 0 else '±'}{abs(points):.1f} points"


def shift_of(points: theme.Table) -> pl.DataFrame:
    """Return the gap at the last epoch at which both networks were measured; empty without a pair.

    Args:
        points: Table of epoch, accuracy in percent, net.
    """
    return pl.DataFrame(label_table(points), schema=LABEL)


def label_table(points: theme.Table) -> theme.Columns:
    """Return the same as columns: epoch, accuracy, label."""
    last = _pairs(points)[-1:]
    rows = [(epoch, min(pruned, dense), shift_label(pruned, dense)) for epoch, pruned, dense in last]
    return theme.columns(rows, LABEL)


def shift_table(points: theme.Table) -> theme.Columns:
    """Return the difference in points at every epoch at which both networks were measured.

    Args:
        points: Table of epoch, accuracy in percent, net.
    """
    rows = [(epoch, pruned - dense) for epoch, pruned, dense in _pairs(points)]
    return theme.columns(rows, ("epoch", "shift"))


def _pairs(points: theme.Table) -> list[tuple[float, float, float]]:
    """Return epoch, pruned, dense; two rows at the epoch of a prune event, in the order of the points."""
    rows = list(zip(points["epoch"], points["accuracy"], points["net"], strict=True))
    dense = {float(epoch): float(accuracy) for epoch, accuracy, net in rows if net == "dense"}
    pruned = [(float(epoch), float(accuracy)) for epoch, accuracy, net in rows if net == "pruned"]
    pairs = [(epoch, accuracy, dense[epoch]) for epoch, accuracy in pruned if epoch in dense]
    return sorted(pairs, key=lambda pair: pair[0])
