"""How often the clip rule bound: the share of clipped steps, by stretches of the run.

Datasets:
    shares: epoch, until, share in percent, steps
    note: text; one row
    events: epoch, label, kind ("prune" or "move")
"""

from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt

from explorer.figures import curves, theme, timeline
from explorer.figures.provenance import with_recipe

TITLE, Y_TITLE = "Clipped steps", "% of steps"
NOTE = "{:.0f} % of {:,} steps; a bar is {:,}"
RECORDED = "{:.0f} % of {:,} steps; a bar from record to record"
NO_CLIPPING = "no clipping"
TEXT = "Bar chart of the share of training steps in which the clip rule changed the gradient, over epochs."
HEIGHT = 150
NAMES = ("epoch", "until", "share", "steps")


def clip_share(
    shares: Any = None, note: Any = None, events: Any = None, *, epochs: float | None = None
) -> alt.LayerChart:
    """Draw the share of clipped steps; without tables the chart is live and waits for its datasets."""
    scale = alt.Scale(domain=[0, 100])
    axis = alt.Axis(tickCount=5, minExtent=timeline.AXIS_EXTENT)
    tooltip = [
        alt.Tooltip("share:Q", title="clipped, %", format=".1f"),
        alt.Tooltip("steps:Q", format=","),
        alt.Tooltip("epoch:Q", title="from epoch", format=".2f"),
        alt.Tooltip("until:Q", title="to epoch", format=".2f"),
    ]
    bars: alt.Chart = theme.on("shares").mark_bar(color=theme.CLIPPED, binSpacing=1)
    bars = bars.encode(
        timeline.epoch_axis(epochs),
        alt.X2("until"),
        alt.Y("share:Q", title=Y_TITLE, scale=scale, axis=axis),
        alt.Y2Datum(0),
        tooltip=tooltip,
    )
    chart = alt.LayerChart(layer=[bars, *timeline.event_marks(), theme.note()])
    tables = {"shares": shares, "note": note, "events": events}
    return theme.finish(chart, tables, theme.beside_note(TITLE), TEXT, HEIGHT)


def share_tables(bound: npt.ArrayLike | None, a_bar: int, per_epoch: int) -> dict[str, Any]:
    """Return "shares" and "note" from whether each step was clipped; None where nothing clips."""
    if bound is None:
        return _tables([], NO_CLIPPING)
    clipped = np.asarray(bound, np.uint8)
    parts = [(at, clipped[at : at + a_bar]) for at in range(0, len(clipped), a_bar)]
    rows = [
        (at / per_epoch, (at + len(part)) / per_epoch, 100 * float(part.mean()), len(part))
        for at, part in parts
    ]
    total = 100 * float(clipped.mean()) if len(clipped) else 0.0
    return _tables(rows, NOTE.format(total, len(clipped), a_bar) if len(clipped) else "")


def _tables(rows: list[tuple[float, float, float, int]], note: str) -> dict[str, Any]:
    return {"shares": theme.columns(rows, NAMES), "note": {"text": [note]}}


def _tables_of(run: Any) -> dict[str, Any]:
    """Return "shares" and "note" from the records of a run: a bar from each to the next."""
    if run.experiment.clipping is None:
        return _tables([], NO_CLIPPING)
    rows, before = [], (0, 0.0)
    for step, epoch, rate in sorted(curves.records(run.history, "clip_rate")):
        if step > before[0]:
            rows.append((before[1], epoch, 100 * rate, step - before[0]))
        before = step, epoch
    steps = sum(row[3] for row in rows)
    mean = sum(row[2] * row[3] for row in rows) / steps if steps else 0.0
    return _tables(rows, RECORDED.format(mean, steps))


@with_recipe
def clip_share_of(run: Any) -> alt.LayerChart:
    """Draw the share of clipped steps between the records of a run."""
    return clip_share(**_tables_of(run), events=timeline.events_of(run), epochs=run.experiment.epochs)
