"""What figures over epochs share: the axis, the two networks, and marks for prune events and slider moves.

Dataset:
    events: epoch, label, kind ("prune" or "move")
"""

from collections.abc import Iterable
from typing import Any

import altair as alt
import polars as pl

from explorer.figures import theme

X_TITLE = "epoch"
NETS = ("pruned", "dense")
PRUNE_LABEL, ROUND_LABEL, MOVE_LABEL = "pruned to {:.3g} %", "{:.3g} %", "{} {}"
EVENT_TITLE, MOVE_TITLE = "event", "slider moved"
LABELLED_EVENTS = 6  # more rules than this are drawn without words: they would overlap
NUMBER = ".6~g"  # without a precision Vega takes that of the ticks' distance, and 10 becomes 1e+1
AXIS_EXTENT = 30  # pixels left of the axis, so that charts below one another begin at one line
SCHEMA = {"epoch": pl.Float64, "label": pl.String, "kind": pl.String}


def epoch_axis(epochs: float | None) -> alt.X:
    """Return the horizontal axis; a run's length keeps it still."""
    reach = alt.Undefined if epochs is None else epochs
    scale = alt.Scale(domainMin=0, domainMax=reach, nice=False)
    return alt.X("epoch:Q", title=X_TITLE, scale=scale, axis=alt.Axis(tickCount=6, format=NUMBER))


def net_colour() -> alt.Color:
    """Return the colour of the pruned network and of its dense twin, with a legend of lines."""
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=400)
    return alt.Color("net:N", scale=alt.Scale(domain=NETS, range=[theme.PRUNED, theme.DENSE]), legend=legend)


def net_dash() -> alt.StrokeDash:
    """Return the dashes that tell the two networks apart without colour."""
    return alt.StrokeDash("net:N", scale=alt.Scale(domain=NETS, range=[[1, 0], [5, 3]]))


def event_marks() -> list[alt.Chart]:
    """Return a rule at each prune event, and a triangle on the axis at each slider move."""
    faint = alt.ExprRef(f"length(data('events')) > {LABELLED_EVENTS} ? 0.4 : 1")  # or they would hide curves
    rule = _events("prune").mark_rule(color=theme.MUTED, strokeDash=[2, 3], opacity=faint)
    move = _events("move").mark_point(
        shape="triangle-up", filled=True, size=45, color=theme.MUTED, yOffset=-4
    )
    return [
        rule.encode(alt.X("epoch:Q"), tooltip=alt.Tooltip("label:N", title=EVENT_TITLE)),
        move.encode(
            alt.X("epoch:Q"), y=alt.value("height"), tooltip=alt.Tooltip("label:N", title=MOVE_TITLE)
        ),
    ]


def event_labels(epochs: float | None) -> alt.LayerChart:
    """Return words at the foot of each rule, on its left if there is room: curves recover on its right."""
    last = "extent(pluck(data('points'),'epoch'))[1]" if epochs is None else repr(float(epochs))
    early = f"datum.epoch < 0.3*{last}"
    align, dx = alt.ExprRef(f"{early} ? 'left' : 'right'"), alt.ExprRef(f"{early} ? 6 : -6")
    mark = theme.text(color=theme.MUTED, baseline="bottom", align=align, dx=dx, dy=-6)
    return theme.label(
        _events("prune"), mark, x=alt.X("epoch:Q"), y=alt.value("height"), text=alt.Text("label:N")
    )


def _events(kind: str) -> alt.Chart:
    return theme.on("events").transform_filter(f"datum.kind == '{kind}'")


def event_table(events: Iterable[tuple[Any, ...]], epochs_a_step: float) -> theme.Columns:
    """Return the "events" columns from rows of step, what, from, to."""
    events = list(events)
    prunes = sum(what == "prune" for _, what, *_ in events)
    rows = [
        (step * epochs_a_step, *_in_words(what, before, after, prunes))
        for step, what, before, after in events
    ]
    return theme.columns(rows, SCHEMA)


def _in_words(what: str, before: float | None, after: float | None, prunes: int) -> tuple[str, str]:
    """Return an event in words, and its kind."""
    if what == "prune":
        words = PRUNE_LABEL if prunes == 1 else ROUND_LABEL
        return ("" if after is None or prunes > LABELLED_EVENTS else words.format(100 * after)), "prune"
    name = what.rsplit(".", 1)[-1].replace("_", " ")
    numbers = ["" if value is None else f"{value:.4g}" for value in (before, after)]
    return MOVE_LABEL.format(name, " → ".join(filter(None, numbers))).strip(), "move"


def events_of(run: Any) -> pl.DataFrame:
    """Return prune events and slider moves of a run, placed in epochs and put into words."""
    steps, epochs = run.history["step"].max() or 1, run.history["epoch"].max() or 0.0
    return pl.DataFrame(event_table(run.events.iter_rows(), epochs / steps), schema=SCHEMA)
