"""Validation accuracy of the pruned network and its dense twin over time, and the gap between them.

Datasets:
    points: epoch, accuracy (percent), net ("pruned" or "dense")
    events: epoch, label, kind ("prune" or "move")
    shift: epoch, accuracy, label; one row, at the last point
"""

from typing import Any

import altair as alt
import polars as pl

from explorer.figures import theme

TITLE = "Validation accuracy"
X_TITLE, Y_TITLE = "epoch", "accuracy (%)"
NETS = ("pruned", "dense")
DESCRIPTION = (
    "Line chart of validation accuracy in percent over epochs, for the pruned network and its dense twin; "
    "vertical rules mark prune events, triangles mark moved sliders."
)
PRUNE_LABEL, ROUND_LABEL = "pruned to {:.3g} %", "{:.3g} %"
NO_VALIDATION = "no validation images are held out"
SAMPLE = "n = {:,} validation images, 1 seed"
HEIGHT = 200
LABELLED_EVENTS = 6  # more rules than this are drawn without words: they would overlap

# The axis begins in steps of five below the lowest point, so that the depth of a fall is always seen. The
# untrained network's 10 % is left out of the points, as it would squash the curves.
FLOOR = "length(data('points')) ? 5*floor(extent(pluck(data('points'),'accuracy'))[0]/5) : 0"


def accuracy(
    points: Any = None,
    events: Any = None,
    shift: Any = None,
    *,
    subtitle: str = "",
    epochs: float | None = None,
) -> alt.LayerChart:
    """Draw accuracy over epochs; without tables the chart is live and waits for its datasets.

    Args:
        points: Table of epoch, accuracy in percent, net.
        events: Table of epoch, label, kind.
        shift: Table of epoch, accuracy, label; worked out from ``points`` where absent.
        subtitle: What was measured: n and the number of seeds.
        epochs: Length of the run, which keeps the horizontal axis still.
    """
    layers = [_rules(), _moves(), _lines(epochs), _dots(), _event_labels(epochs), _shift()]
    title = alt.Title(TITLE, subtitle=subtitle) if subtitle else alt.Title(TITLE)
    chart = alt.layer(*layers).properties(
        title=title, width=theme.WIDTH, height=HEIGHT, description=DESCRIPTION, config=theme.config()
    )
    if points is None:
        return chart
    shift = shift_of(points) if shift is None else shift
    return theme.inline(chart, {"points": points, "events": events, "shift": shift})


def _lines(epochs: float | None) -> alt.Chart:
    reach = alt.Undefined if epochs is None else epochs
    x = alt.X("epoch:Q", title=X_TITLE, scale=alt.Scale(domainMin=0, domainMax=reach, nice=False))
    y_scale = alt.Scale(domainMin=alt.ExprRef(FLOOR), domainMax=100, zero=False, nice=False)
    y = alt.Y("accuracy:Q", title=Y_TITLE, scale=y_scale, axis=alt.Axis(tickCount=5))
    dash = alt.StrokeDash("net:N", scale=alt.Scale(domain=NETS, range=[[1, 0], [5, 3]]))
    return alt.Chart(theme.named("points")).mark_line(clip=True, strokeWidth=2).encode(x, y, _colour(), dash)


def _dots() -> alt.Chart:
    tooltip = [
        alt.Tooltip("net:N"),
        alt.Tooltip("epoch:Q", format=".2f"),
        alt.Tooltip("accuracy:Q", format=".2f", title=Y_TITLE),
    ]
    dots = alt.Chart(theme.named("points")).mark_point(clip=True, filled=True, size=22, opacity=1)
    return dots.encode(alt.X("epoch:Q"), alt.Y("accuracy:Q"), _colour(), tooltip=tooltip)


def _colour() -> alt.Color:
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=400)
    return alt.Color("net:N", scale=alt.Scale(domain=NETS, range=[theme.PRUNED, theme.DENSE]), legend=legend)


def _events(kind: str) -> alt.Chart:
    return alt.Chart(theme.named("events")).transform_filter(f"datum.kind == '{kind}'")


def _rules() -> alt.Chart:
    rule = _events("prune").mark_rule(color=theme.MUTED, strokeDash=[2, 3])
    return rule.encode(alt.X("epoch:Q"), tooltip=alt.Tooltip("label:N", title="event"))


def _event_labels(epochs: float | None) -> alt.LayerChart:
    """Words at the foot of each rule, on its left if there is room: the curve recovers on its right."""
    last = "extent(pluck(data('points'),'epoch'))[1]" if epochs is None else repr(float(epochs))
    early = f"datum.epoch < 0.3*{last}"
    align, dx = alt.ExprRef(f"{early} ? 'left' : 'right'"), alt.ExprRef(f"{early} ? 6 : -6")
    mark = theme.text(color=theme.MUTED, baseline="bottom", align=align, dx=dx, dy=-6)
    return theme.label(
        _events("prune"), mark, x=alt.X("epoch:Q"), y=alt.value("height"), text=alt.Text("label:N")
    )


def _moves() -> alt.Chart:
    moves = _events("move").mark_point(
        shape="triangle-up", filled=True, size=45, color=theme.MUTED, yOffset=-4
    )
    return moves.encode(
        alt.X("epoch:Q"), y=alt.value("height"), tooltip=alt.Tooltip("label:N", title="slider moved")
    )


def _shift() -> alt.LayerChart:
    mark = theme.text(align="right", baseline="top", dx=-2, dy=9, fontWeight=600, fontSize=13)
    data = alt.Chart(theme.named("shift")).transform_calculate(accuracy=f"max(datum.accuracy, {FLOOR})")
    return theme.label(data, mark, x=alt.X("epoch:Q"), y=alt.Y("accuracy:Q"), text=alt.Text("label:N"))


def shift_label(pruned: float, dense: float) -> str:
    """Return the difference of two accuracies in percent as words: '−0.4 points'."""
    points = round(pruned - dense, 1)
    return f"{'−' if points < 0 else '+' if points > 0 else '±'}{abs(points):.1f} points"


def shift_of(points: pl.DataFrame) -> pl.DataFrame:
    """Return the gap at the last epoch at which both networks were measured; empty without a pair."""
    pairs = points.pivot("net", index="epoch", values="accuracy", aggregate_function="last").sort("epoch")
    if not set(NETS) <= set(pairs.columns) or not (pairs := pairs.drop_nulls(NETS)).height:
        return pl.DataFrame(schema={"epoch": pl.Float64, "accuracy": pl.Float64, "label": pl.String})
    last = pairs.row(-1, named=True)
    low = min(last["pruned"], last["dense"])
    return pl.DataFrame(
        {"epoch": [last["epoch"]], "accuracy": [low], "label": [shift_label(last["pruned"], last["dense"])]}
    )


def points_of(run: Any) -> pl.DataFrame:
    """Return validation accuracy in percent of a run and of its dense twin."""
    own = "dense" if run.experiment.pruning is None else "pruned"
    nets = [(own, run)] + ([("dense", run.dense)] if run.dense is not None else [])
    curves = [_curve(one.history, net) for net, one in nets]
    return pl.concat([_brink(run, curves[-1])] * (len(nets) > 1) + curves)


def _brink(run: Any, dense: pl.DataFrame) -> pl.DataFrame:
    """Return where the pruned curve stood just before its first prune event: on its twin's."""
    epoch = events_of(run).filter(pl.col("kind") == "prune")["epoch"].min()
    return dense.filter(pl.col("epoch") == epoch).with_columns(net=pl.lit("pruned"))


def _curve(history: pl.DataFrame, net: str) -> pl.DataFrame:
    # without the untrained network, whose 10 % would squash the curves
    wanted = (pl.col("metric") == "val_accuracy") & pl.col("layer").is_null() & (pl.col("step") > 0)
    return history.filter(wanted).select("epoch", accuracy=pl.col("value") * 100, net=pl.lit(net))


def events_of(run: Any) -> pl.DataFrame:
    """Return prune events and slider moves, placed in epochs and put into words."""
    steps, epochs = run.history["step"].max() or 1, run.history["epoch"].max() or 0.0
    prunes = run.events.filter(pl.col("what") == "prune").height
    found = [_event(row, epochs / steps, prunes) for row in run.events.iter_rows(named=True)]
    schema = {"epoch": pl.Float64, "label": pl.String, "kind": pl.String}
    return pl.DataFrame(found, schema=schema, orient="row")


def _event(row: dict[str, Any], rate: float, prunes: int) -> tuple[float, str, str]:
    if row["what"] == "prune":
        share = None if row["to"] is None or prunes > LABELLED_EVENTS else 100 * row["to"]
        words = PRUNE_LABEL if prunes == 1 else ROUND_LABEL
        return row["step"] * rate, "" if share is None else words.format(share), "prune"
    name = row["what"].rsplit(".", 1)[-1].replace("_", " ")
    numbers = ["" if row[end] is None else f"{row[end]:.4g}" for end in ("from", "to")]
    return row["step"] * rate, f"{name} {' → '.join(numbers)}", "move"


def accuracy_of(run: Any) -> alt.LayerChart:
    """Draw the accuracy of a finished run, its dense twin and its events."""
    exp = run.experiment
    subtitle = SAMPLE.format(exp.validation) if exp.validation else NO_VALIDATION
    return accuracy(points_of(run), events_of(run), subtitle=subtitle, epochs=exp.epochs)
