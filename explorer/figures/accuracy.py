"""Validation accuracy of the pruned network and its dense twin over time, and the gap between them.

Datasets:
    points: epoch, accuracy (percent), net ("pruned" or "dense")
    events: epoch, label, kind ("prune" or "move")
    shift: epoch, accuracy, label; one row, at the last point
    pinned: epoch, accuracy (percent), name; only where runs are pinned
"""

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

from explorer.figures import curves, pinned, theme, timeline
from explorer.figures.accuracy_shift import shift_band, shift_of, shift_table
from explorer.figures.provenance import with_recipe

TITLE = "Validation accuracy"
Y_TITLE = "accuracy (%)"
DESCRIPTION = (
    "Line chart of validation accuracy in percent over epochs, for the pruned network and its dense twin; "
    "vertical rules mark prune events, triangles mark moved sliders."
)
NO_VALIDATION = "no validation images are held out"
SAMPLE = "n = {:,} validation images, 1 seed"
HEIGHT = 180

# The axis begins in steps of five below the lowest point, so that the depth of a fall is always seen. The
# untrained network's 10 % is left out of the points, as it would squash the curves.
LOWEST = "(length(data('{0}')) ? extent(pluck(data('{0}'),'accuracy'))[0] : 100)"
FLOOR = f"length(data('points')) ? 5*floor({LOWEST.format('points')}/5) : 0"
FLOOR_OF_ALL = (
    "length(data('points')) + length(data('pinned')) ? "
    f"5*floor(min({LOWEST.format('points')}, {LOWEST.format('pinned')})/5) : 0"
)


def accuracy(
    points: Any = None,
    events: Any = None,
    shift: Any = None,
    *,
    subtitle: str = "",
    epochs: float | None = None,
    pins: Mapping[str, int] | None = None,
    names: int = pinned.LABEL_LIMIT,
) -> alt.LayerChart:
    """Draw accuracy over epochs; without tables the chart is live and waits for its datasets.

    Args:
        points: Table of epoch, accuracy in percent, net.
        events: Table of epoch, label, kind.
        shift: Table of epoch, accuracy, label; worked out from ``points`` where absent.
        subtitle: What was measured: n and the number of seeds.
        epochs: Length of the run, which keeps the horizontal axis still.
        pins: Pinned runs whose curves are drawn as well: name to the number of its colour.
        names: Pixels of a pinned run's name in the legend, at most.
    """
    floor = FLOOR_OF_ALL if pins else FLOOR
    words = [timeline.event_labels(epochs), _shift(floor)]
    chart = alt.LayerChart(layer=[*timeline.event_marks(), _lines(epochs, floor), _dots(), *words])
    if shift is None and points is not None:
        shift = shift_of(points)
    chart = pinned.behind(chart, pins, names) if pins else chart
    tables = {"points": points, "events": events, "shift": shift}
    title = alt.Title(TITLE, subtitle=subtitle or alt.Undefined)
    return theme.finish(chart, tables, title, DESCRIPTION, HEIGHT)


def _lines(epochs: float | None, floor: str) -> alt.Chart:
    scale = alt.Scale(domainMin=alt.ExprRef(floor), domainMax=100, zero=False, nice=False)
    axis = alt.Axis(tickCount=5, minExtent=timeline.AXIS_EXTENT)
    y = alt.Y("accuracy:Q", title=Y_TITLE, scale=scale, axis=axis)
    lines: alt.Chart = theme.on("points").mark_line(clip=True, strokeWidth=2)
    return lines.encode(timeline.epoch_axis(epochs), y, timeline.net_colour(), timeline.net_dash())


def _dots() -> alt.Chart:
    tooltip = [
        alt.Tooltip("net:N"),
        alt.Tooltip("epoch:Q", format=".2f"),
        alt.Tooltip("accuracy:Q", format=".2f", title=Y_TITLE),
    ]
    dots: alt.Chart = theme.on("points").mark_point(clip=True, filled=True, size=22, opacity=1)
    return dots.encode(alt.X("epoch:Q"), alt.Y("accuracy:Q"), timeline.net_colour(), tooltip=tooltip)


def _shift(floor: str) -> alt.LayerChart:
    mark = theme.text(align="right", baseline="top", dx=-2, dy=13, fontWeight=600, fontSize=13)
    data = theme.on("shift").transform_calculate(accuracy=f"max(datum.accuracy, {floor})")
    return theme.label(data, mark, x=alt.X("epoch:Q"), y=alt.Y("accuracy:Q"), text=alt.Text("label:N"))


def accuracy_table(rows: Iterable[curves.Measurement]) -> theme.Columns:
    """Return the "points" columns from what was measured."""
    points = [  # without the untrained network, whose 10 % would squash the curves
        (epoch, 100 * value, net)
        for step, epoch, net, metric, value in rows
        if metric == "val_accuracy" and step > 0
    ]
    return theme.columns(points, ("epoch", "accuracy", "net"))


def sample(experiment: Any) -> str:
    """Return what accuracy is measured on, in words."""
    return SAMPLE.format(experiment.validation) if experiment.validation else NO_VALIDATION


@with_recipe
def accuracy_of(run: Any) -> alt.LayerChart:
    """Draw the accuracy of a finished run, its dense twin and its events."""
    exp, points = run.experiment, accuracy_table(curves.rows_of(run))
    return accuracy(points, timeline.events_of(run), subtitle=sample(exp), epochs=exp.epochs)


@with_recipe
def shift_band_of(run: Any) -> alt.LayerChart:
    """Draw the shift of a finished run over time."""
    points = accuracy_table(curves.rows_of(run))
    return shift_band(shift_table(points), timeline.events_of(run), epochs=run.experiment.epochs)
