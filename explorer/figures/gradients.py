"""Norm of the gradient at each step, before and after clipping, and how often the clip bound.

Datasets:
    norms: epoch, norm, state ("clipped", "not clipped", or "after clipping" beside each that is clipped)
    clip: value, label; the clip norm, no row without one
    note: text; one row, such as "38 % of steps clipped"
    events: epoch, label, kind ("prune" or "move")
"""

from collections.abc import Iterable
from typing import Any

import altair as alt
import polars as pl

from explorer.figures import curves, theme, timeline
from explorer.figures.provenance import with_recipe

TITLE = "Gradient norm and clipping"
Y_TITLES = {False: "L2 norm", True: "L2 norm (log scale)"}
STATES = CLIPPED, FREE, AFTER = "clipped", "not clipped", "after clipping"
SHORT = "after"  # in the legend of a narrow chart
CLIP_LABEL, NOTE, NO_CLIPPING = "clip {}", "{:.0f} % of steps clipped", "no clipping"
RECORDED = "; each mark is a mean over a quarter epoch"
DESCRIPTION = (
    "Scatter chart of the gradient's L2 norm over epochs; marks tell clipped steps from others, before and "
    "after clipping, and a horizontal rule marks the clip norm."
)
HEIGHT = 150
WIDE = 20  # largest over smallest norm, from which a linear axis would hide the small ones


def gradients(
    norms: Any = None,
    clip: Any = None,
    note: Any = None,
    events: Any = None,
    *,
    log: bool | None = None,
    epochs: float | None = None,
) -> alt.LayerChart:
    """Draw gradient norms over epochs; without tables the chart is live and waits for its datasets.

    Args:
        norms: Table of epoch, norm, state.
        clip: Table of value, label.
        note: Table of text.
        events: Table of epoch, label, kind.
        log: Logarithmic axis; by default where the norms span more than a factor of 20, and on live charts.
        epochs: Length of the run, which keeps the horizontal axis still.
    """
    log = (norms is None or _wide(norms)) if log is None else log
    marks = [*timeline.event_marks(), _dots(log, epochs), _rule(), _rule_label(), theme.note()]
    chart = alt.LayerChart(layer=marks)
    tables = {"norms": norms, "clip": clip, "note": note, "events": events}
    return theme.finish(chart, tables, theme.beside_note(TITLE), DESCRIPTION, HEIGHT)


def _wide(norms: Any) -> bool:
    values = [value for value in norms["norm"] if value is not None and value > 0]
    return bool(values) and max(values) > WIDE * min(values)


def _dots(log: bool, epochs: float | None) -> alt.Chart:
    scale = alt.Scale(type="log") if log else alt.Scale(domainMin=0)
    y = alt.Y(
        "norm:Q",
        title=Y_TITLES[log],
        scale=scale,
        axis=alt.Axis(tickCount=5, format=timeline.NUMBER, minExtent=timeline.AXIS_EXTENT),
    )
    colour = alt.Color(
        "state:N",
        scale=alt.Scale(domain=STATES, range=[theme.CLIPPED, theme.UNCLIPPED, theme.DENSE]),
        legend=alt.Legend(labelExpr=f"datum.label == '{AFTER}' ? '{SHORT}' : datum.label"),
    )
    shape = alt.Shape("state:N", scale=alt.Scale(domain=STATES, range=["triangle-up", "circle", "diamond"]))
    tooltip = [
        alt.Tooltip("state:N"),
        alt.Tooltip("epoch:Q", format=".2f"),
        alt.Tooltip("norm:Q", format=".3~g"),
    ]
    data = theme.on("norms")
    data = data.transform_filter("datum.norm > 0") if log else data
    dots: alt.Chart = data.mark_point(filled=True, size=24, opacity=0.75)
    return dots.encode(timeline.epoch_axis(epochs), y, colour, shape, tooltip=tooltip)


def _rule() -> alt.Chart:
    rule: alt.Chart = theme.on("clip").mark_rule(color=theme.INK, strokeDash=[4, 3])
    return rule.encode(alt.Y("value:Q"), tooltip=alt.Tooltip("value:Q", title="clip norm", format=".4~g"))


def _rule_label() -> alt.LayerChart:
    mark = theme.text(align="right", baseline="bottom", dx=-2, dy=-4, fontWeight=600)
    return theme.label(
        theme.on("clip"), mark, x=alt.value("width"), y=alt.Y("value:Q"), text=alt.Text("label:N")
    )


def clip_at(max_norm: float | None) -> dict[str, list[Any]]:
    """Return the "clip" columns; no row where nothing bounds the norm."""
    if max_norm is None:
        return {"value": [], "label": []}
    rounded = float(f"{max_norm:.4g}")  # a float32 from the device would read 0.10000000149
    return {"value": [max_norm], "label": [CLIP_LABEL.format(rounded)]}


def clipped_note(share: float | None) -> dict[str, list[str]]:
    """Return the "note" columns from the share of clipped steps, 0 to 1; None says "no clipping"."""
    return {"text": [NO_CLIPPING if share is None else NOTE.format(100 * share)]}


def norm_table(
    steps: Iterable[tuple[float, float, float | None, Any]], *, after_on_top: bool = False
) -> theme.Columns:
    """Return the "norms" columns: a mark for each step, and one for what clipping left of it.

    Args:
        steps: Rows of epoch, norm, norm after clipping, and whether the bound held.
        after_on_top: Draw what clipping left over all the other marks, not step by step.
    """
    rows: list[tuple[Any, ...]] = []
    for epoch, norm, after, bound in steps:
        rows.append((epoch, norm, CLIPPED if bound else FREE))
        if bound and after is not None:
            rows.append((epoch, after, AFTER))
    if after_on_top:
        rows.sort(key=lambda row: row[2] == AFTER)
    return theme.columns(rows, ("epoch", "norm", "state"))


def _norms_of(run: Any) -> theme.Columns:
    """Return the recorded norms, each a mean over steps; "clipped" where the bound held in most of these."""
    after, rates = (
        {step: value for step, _, value in curves.records(run.history, metric)}
        for metric in ("clipped_grad_norm", "clip_rate")
    )
    steps = [
        (epoch, norm, after.get(step), rates.get(step, 0) > 0.5)
        for step, epoch, norm in sorted(curves.records(run.history, "grad_norm"))
    ]
    return norm_table(steps, after_on_top=True)


def clipped_share(history: pl.DataFrame) -> float | None:
    """Return the share of all steps that were clipped: each record's rate counts for the steps it covers."""
    clipped, before = 0.0, 0
    for step, _, rate in sorted(curves.records(history, "clip_rate")):
        clipped, before = clipped + rate * (step - before), step
    return clipped / before if before else None


@with_recipe
def gradients_of(run: Any, *, log: bool | None = None) -> alt.LayerChart:
    """Draw the recorded gradient norms of a run with its clip norm."""
    clipping = run.experiment.clipping
    bound = clipping.max_norm if clipping and "norm" in clipping.rules else None
    share = None if clipping is None else clipped_share(run.history)
    epochs = run.experiment.epochs
    note = {"text": [clipped_note(share)["text"][0] + RECORDED]}
    events = timeline.events_of(run)
    return gradients(_norms_of(run), clip_at(bound), note, events, log=log, epochs=epochs)
