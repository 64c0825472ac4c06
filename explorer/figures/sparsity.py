"""How much of the network is pruned over time.

Datasets:
    points: epoch, sparsity (percent)
    events: epoch, label, kind ("prune" or "move")
"""

from collections.abc import Iterable
from typing import Any

import altair as alt

from explorer.figures import curves, theme, timeline
from explorer.figures.provenance import with_recipe

TITLE, Y_TITLE = "Sparsity", "pruned (%)"
DESCRIPTION = "Step chart of the share of weights that is pruned, in percent over epochs."
HEIGHT = 84


def sparsity(points: Any = None, events: Any = None, *, epochs: float | None = None) -> alt.LayerChart:
    """Draw sparsity over epochs; without tables the chart is live and waits for its datasets.

    Args:
        points: Table of epoch, sparsity in percent.
        events: Table of epoch, label, kind.
        epochs: Length of the run, which keeps the horizontal axis still.
    """
    chart = alt.LayerChart(layer=[_area(epochs), *timeline.event_marks(), _line()])
    return theme.finish(chart, {"points": points, "events": events}, TITLE, DESCRIPTION, HEIGHT)


def _area(epochs: float | None) -> alt.Chart:
    axis = alt.Axis(values=[0, 50, 100], minExtent=timeline.AXIS_EXTENT)
    y = alt.Y("sparsity:Q", title=Y_TITLE, scale=alt.Scale(domain=[0, 100]), axis=axis)
    area: alt.Chart = theme.on("points").mark_area(
        color=theme.REMOVED, opacity=0.25, interpolate="step-after"
    )
    return area.encode(timeline.epoch_axis(epochs), y)


def _line() -> alt.Chart:
    tooltip = [
        alt.Tooltip("epoch:Q", format=".2f"),
        alt.Tooltip("sparsity:Q", format=".1f", title=Y_TITLE),
    ]
    line: alt.Chart = theme.on("points").mark_line(
        color=theme.REMOVED, strokeWidth=2, interpolate="step-after"
    )
    return line.encode(alt.X("epoch:Q"), alt.Y("sparsity:Q"), tooltip=tooltip)


def sparsity_table(rows: Iterable[curves.Measurement]) -> theme.Columns:
    """Return the "points" columns from what was measured of one network."""
    points = [(epoch, 100 * value) for _, epoch, _, metric, value in rows if metric == "sparsity"]
    return theme.columns(points, ("epoch", "sparsity"))


@with_recipe
def sparsity_of(run: Any) -> alt.LayerChart:
    """Draw the sparsity of a finished run over its records."""
    points = sparsity_table(curves.history_rows(run.history, curves.net_of(run), ["sparsity"]))
    return sparsity(points, timeline.events_of(run), epochs=run.experiment.epochs)
