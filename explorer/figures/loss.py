"""Training and validation loss of the pruned network and its dense twin over time.

Datasets:
    points: epoch, loss, net ("pruned" or "dense"), part ("validation" or "training")
    events: epoch, label, kind ("prune" or "move")
"""

from collections.abc import Iterable
from typing import Any

import altair as alt

from explorer.figures import curves, theme, timeline
from explorer.figures.provenance import with_recipe

TITLE, Y_TITLES = "Loss", {False: "loss", True: "loss (log scale)"}
SUBTITLE = "{}, mean over images"
PARTS = {"val_loss": "validation", "train_loss": "training"}
DESCRIPTION = (
    "Line chart of loss over epochs, on validation images and on the training batches, for the pruned "
    "network and its dense twin; vertical rules mark prune events, triangles mark moved sliders."
)
HEIGHT = 180


def loss(
    points: Any = None,
    events: Any = None,
    *,
    subtitle: str = "",
    epochs: float | None = None,
    log: bool = True,
) -> alt.LayerChart:
    """Draw losses over epochs; without tables the chart is live and waits for its datasets.

    Args:
        points: Table of epoch, loss, net, part.
        events: Table of epoch, label, kind.
        subtitle: Which loss it is.
        epochs: Length of the run, which keeps the horizontal axis still.
        log: Logarithmic axis, as losses fall by decades.
    """
    chart = alt.LayerChart(layer=[*timeline.event_marks(), _lines(epochs, log)])
    tables = {"points": points, "events": events}
    title = alt.Title(TITLE, subtitle=subtitle or alt.Undefined)
    return theme.finish(chart, tables, title, DESCRIPTION, HEIGHT)


def _lines(epochs: float | None, log: bool) -> alt.Chart:
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(domainMin=0)
    axis = alt.Axis(tickCount=4, format=timeline.NUMBER, minExtent=timeline.AXIS_EXTENT)
    y = alt.Y("loss:Q", title=Y_TITLES[log], scale=scale, axis=axis)
    tooltip = [
        alt.Tooltip("net:N"),
        alt.Tooltip("part:N", title="on"),
        alt.Tooltip("epoch:Q", format=".2f"),
        alt.Tooltip("loss:Q", format=".3~g"),
    ]
    data = theme.on("points")
    data = data.transform_filter("datum.loss > 0") if log else data
    marks: alt.Chart = data.mark_line(clip=True)
    look = (timeline.net_colour(), timeline.net_dash(), *_strength())
    return marks.encode(timeline.epoch_axis(epochs), y, *look, tooltip=tooltip)


def _strength() -> tuple[alt.StrokeWidth, alt.StrokeOpacity]:
    """Return the strength of lines: strong on images that judge, thin on those that are only fitted."""
    names = list(PARTS.values())
    legend = alt.Legend(  # in the corner that losses leave free: side by side, two would be cropped
        orient="top-right",
        direction="vertical",
        offset=2,
        fillColor=theme.PAPER,
        symbolType="stroke",
        symbolSize=250,
        symbolStrokeColor=theme.INK,
    )
    width = alt.StrokeWidth("part:N", scale=alt.Scale(domain=names, range=[2, 1]), legend=legend)
    return width, alt.StrokeOpacity("part:N", scale=alt.Scale(domain=names, range=[1, 0.75]), legend=legend)


def loss_table(rows: Iterable[curves.Measurement]) -> theme.Columns:
    """Return the "points" columns from what was measured; the untrained network is left out here, too."""
    points = [
        (epoch, value, net, PARTS[metric])
        for step, epoch, net, metric, value in rows
        if metric in PARTS and step > 0
    ]
    return theme.columns(points, ("epoch", "loss", "net", "part"))


@with_recipe
def loss_of(run: Any, *, log: bool = True) -> alt.LayerChart:
    """Draw the losses of a finished run, its dense twin and its events."""
    exp = run.experiment
    points, subtitle = loss_table(curves.rows_of(run)), SUBTITLE.format(exp.loss)
    return loss(points, timeline.events_of(run), subtitle=subtitle, epochs=exp.epochs, log=log)
