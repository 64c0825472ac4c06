"""Training and validation loss of the pruned network and its dense twin over time.

Datasets:
    points: epoch, loss, net ("pruned" or "dense"), part ("validation" or "training")
    events: epoch, label, kind ("prune" or "move")
"""

from typing import Any

import altair as alt
import polars as pl

from explorer.figures import theme, timeline
from explorer.figures.provenance import signed

TITLE, Y_TITLES = "Loss", {False: "loss", True: "loss (log scale)"}
SUBTITLE = "{}, mean over images"
PARTS = {"validation": "val_loss", "training": "train_loss"}
DESCRIPTION = (
    "Line chart of loss over epochs, on validation images and on the training batches, for the pruned "
    "network and its dense twin; vertical rules mark prune events, triangles mark moved sliders."
)
HEIGHT = 180
LOSSES = {"epoch": pl.Float64, "loss": pl.Float64, "net": pl.String, "part": pl.String}


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
    chart = alt.layer(*timeline.event_marks(), _lines(epochs, log)).properties(
        title=alt.Title(TITLE, subtitle=subtitle) if subtitle else alt.Title(TITLE),
        width=theme.WIDTH,
        height=HEIGHT,
        description=DESCRIPTION,
        config=theme.config(),
    )
    return chart if points is None else theme.inline(chart, {"points": points, "events": events})


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
    data = alt.Chart(theme.named("points"))
    data = data.transform_filter("datum.loss > 0") if log else data
    marks = data.mark_line(clip=True)
    look = (timeline.net_colour(), timeline.net_dash(), *_strength())
    return marks.encode(timeline.epoch_axis(epochs), y, *look, tooltip=tooltip)


def _strength() -> tuple[alt.StrokeWidth, alt.StrokeOpacity]:
    """What is judged is drawn strong, what is only fitted thin."""
    names = list(PARTS)
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


def losses_of(run: Any) -> pl.DataFrame:
    """Return the recorded losses of a run and of its dense twin."""
    own = "dense" if run.experiment.pruning is None else "pruned"
    nets = [(own, run)] + ([("dense", run.dense)] if run.dense is not None else [])
    parts = [_curve(one.history, net, part) for net, one in nets for part in PARTS]
    return pl.concat([_brink(run, parts)] * (len(nets) > 1) + parts)


def _curve(history: pl.DataFrame, net: str, part: str) -> pl.DataFrame:
    wanted = (pl.col("metric") == PARTS[part]) & pl.col("layer").is_null() & (pl.col("step") > 0)
    found = history.filter(wanted)
    return found.select("epoch", loss=pl.col("value"), net=pl.lit(net), part=pl.lit(part))


def _brink(run: Any, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return where the pruned network's validation loss stood just before its first prune event."""
    at = (
        (pl.col("epoch") == pl.lit(timeline.first_prune(run), pl.Float64))  # never where there is none
        & (pl.col("net") == "dense")
        & (pl.col("part") == "validation")
    )
    return pl.concat(parts).filter(at).with_columns(net=pl.lit("pruned"))


@signed
def loss_of(run: Any, *, log: bool = True) -> alt.LayerChart:
    """Draw the losses of a finished run, its dense twin and its events."""
    exp = run.experiment
    subtitle = SUBTITLE.format(exp.loss)
    return loss(losses_of(run), timeline.events_of(run), subtitle=subtitle, epochs=exp.epochs, log=log)
