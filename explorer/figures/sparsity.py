"""How much of the network is pruned over time.

Datasets:
    points: epoch, sparsity (percent)
    events: epoch, label, kind ("prune" or "move")
"""

from typing import Any

import altair as alt
import polars as pl

from explorer.figures import theme, timeline
from explorer.figures.provenance import signed

TITLE, Y_TITLE = "Sparsity", "pruned (%)"
DESCRIPTION = "Step chart of the share of weights that is pruned, in percent over epochs."
HEIGHT = 84
SHARES = {"epoch": pl.Float64, "sparsity": pl.Float64}


def sparsity(points: Any = None, events: Any = None, *, epochs: float | None = None) -> alt.LayerChart:
    """Draw sparsity over epochs; without tables the chart is live and waits for its datasets.

    Args:
        points: Table of epoch, sparsity in percent.
        events: Table of epoch, label, kind.
        epochs: Length of the run, which keeps the horizontal axis still.
    """
    chart = alt.layer(_area(epochs), *timeline.event_marks(), _line()).properties(
        title=TITLE, width=theme.WIDTH, height=HEIGHT, description=DESCRIPTION, config=theme.config()
    )
    return chart if points is None else theme.inline(chart, {"points": points, "events": events})


def _area(epochs: float | None) -> alt.Chart:
    axis = alt.Axis(values=[0, 50, 100], minExtent=timeline.AXIS_EXTENT)
    y = alt.Y("sparsity:Q", title=Y_TITLE, scale=alt.Scale(domain=[0, 100]), axis=axis)
    area = alt.Chart(theme.named("points")).mark_area(
        color=theme.REMOVED, opacity=0.25, interpolate="step-after"
    )
    return area.encode(timeline.epoch_axis(epochs), y)


def _line() -> alt.Chart:
    tooltip = [
        alt.Tooltip("epoch:Q", format=".2f"),
        alt.Tooltip("sparsity:Q", format=".1f", title=Y_TITLE),
    ]
    line = alt.Chart(theme.named("points")).mark_line(
        color=theme.REMOVED, strokeWidth=2, interpolate="step-after"
    )
    return line.encode(alt.X("epoch:Q"), alt.Y("sparsity:Q"), tooltip=tooltip)


@signed
def sparsity_of(run: Any) -> alt.LayerChart:
    """Draw the sparsity of a finished run over its records."""
    wanted = (pl.col("metric") == "sparsity") & pl.col("layer").is_null()
    points = run.history.filter(wanted).select("epoch", sparsity=pl.col("value") * 100)
    return sparsity(points, timeline.events_of(run), epochs=run.experiment.epochs)
