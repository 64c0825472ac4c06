"""Accuracy against sparsity: without training, retrained over seeds, and as published.

The vertical axis has accuracy in percent on a logarithmic scale of the error, 100 − accuracy: a tenth of a
point at 98 % and a collapse to chance are both seen. The horizontal axis has compression, prunable over kept
weights, on a logarithmic scale, with the sparsity that it amounts to, 1 − 1/compression.

Datasets (accuracy, error, low and high in percent; low and high are the errors at ± 1 sd):
    curve: compression, error, accuracy, sparsity: the weights as they are, not retrained
    mark: compression, error, label: the present threshold on that curve
    now: compression, error, label: the run that is shown
    retrained: compression, error, low, high, accuracy, sd, shift, shift_sd, sparsity, n
    dense: error, low, high, accuracy, sd, n: the dense twins; one row
    published: compression, error, sparsity, source, url
    note: text
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import altair as alt
import polars as pl

from explorer.figures import published, theme
from explorer.figures.provenance import of_study

TITLE = "Accuracy against sparsity"
X_TITLE, Y_TITLE = (
    "compression (all / kept weights), and share pruned",
    "{} accuracy (%), error on a log scale",
)
PARTS = ("validation", "test")
CURVE, NOW, RETRAINED, DENSE, PUBLISHED = (
    "not retrained",
    "this run",
    "retrained, mean ± sd",
    "dense, mean ± sd",
    "published, test error",
)
DESCRIPTION = (
    "Chart of accuracy over compression: a line for the weights as they are without retraining, a ring on it "
    "for the present threshold, points with error bars for retrained networks, a band for their dense twins."
)
SAMPLE = "retrained: n = {} {}, {:,} test images; bars and band ± 1 sd"
SEEDS = ("seed", "seeds")
SEVERAL = "the study varies {} too: a trade-off is over pruning.threshold alone; filter it, or draw several"
MISSING = "the study does not vary pruning.threshold, so there is no trade-off to draw"

HEIGHT = 300
MOST = 256  # times compression
ERRORS = (0.4, 95)  # the axis stands still, so that curves can be compared by eye
E_TICKS = [0.5, 1, 2, 5, 10, 20, 50, 90]
COLOURS = {
    CURVE: theme.REMOVED,
    NOW: theme.REVIVED,
    RETRAINED: theme.PRUNED,
    DENSE: theme.DENSE,
    PUBLISHED: theme.CLIPPED,
}
SHAPES = {CURVE: "stroke", NOW: "square", RETRAINED: "circle", DENSE: "stroke", PUBLISHED: "diamond"}
RETRAINED_COLUMNS = (
    *("compression", "error", "low", "high", "accuracy", "sd"),
    *("shift", "shift_sd", "sparsity", "n"),
)


def tradeoff(
    tables: Mapping[str, Any] | None = None,
    *,
    part: str = "validation",
    series: Iterable[str] = (CURVE, NOW, RETRAINED, DENSE),
    subtitle: str = "",
) -> alt.LayerChart:
    """Draw the trade-off; without tables the chart is live and waits for its datasets.

    Args:
        tables: The datasets by name, as above; those that are not there are left out.
        part: "validation" or "test": the images that accuracy is on.
        series: What the legend names.
        subtitle: What was measured; the live chart has a "note" dataset instead.
    """
    series = tuple(series)
    layers = [_band(part), _dense(), _curve(series), _bars(), *_points(series), _ring(), *_words()]
    chart = alt.LayerChart(layer=layers)
    title = alt.Title(TITLE, subtitle=subtitle) if subtitle else theme.beside_note(TITLE)
    return theme.finish(chart, tables, title, DESCRIPTION, HEIGHT, width=2 * theme.WIDTH)


def _x() -> alt.X:
    share = "format(100 - 100/datum.value, '.3~g') + ' %'"
    axis = alt.Axis(
        values=[2**i for i in range(9)],
        labelExpr=f"[datum.value + '×', {share}]",
        grid=False,
        labelFlush=True,
    )
    scale = alt.Scale(type="log", base=2, domain=[1, MOST], nice=False)
    return alt.X("compression:Q", title=X_TITLE, scale=scale, axis=axis)


def _y(part: str = PARTS[0]) -> alt.Y:
    axis = alt.Axis(values=E_TICKS, labelExpr="format(100 - datum.value, '~g')", minExtent=30)
    scale = alt.Scale(type="log", domain=ERRORS, reverse=True, nice=False, clamp=True)
    return alt.Y("error:Q", title=Y_TITLE.format(part), scale=scale, axis=axis)


def _colour(series: tuple[str, ...]) -> alt.Color:
    return alt.Color(
        "series:N", scale=alt.Scale(domain=list(series), range=[COLOURS[name] for name in series])
    )


def _band(part: str) -> alt.Chart:
    data = theme.on("dense").transform_calculate(error="datum.low")
    band: alt.Chart = data.mark_rect(color=theme.DENSE, opacity=0.22)
    return band.encode(_y(part), alt.Y2("high"))


def _dense() -> alt.Chart:
    tooltip = [*_accuracy_tips(), alt.Tooltip("n:Q", title="seeds")]
    rule: alt.Chart = theme.on("dense").mark_rule(color=theme.DENSE, strokeDash=[5, 3], strokeWidth=2)
    return rule.encode(alt.Y("error:Q"), tooltip=tooltip)


def _curve(series: tuple[str, ...]) -> alt.Chart:
    data = theme.on("curve").transform_calculate(series=f"'{CURVE}'")
    line: alt.Chart = data.mark_line(clip=True, strokeWidth=2, interpolate="monotone")
    return line.encode(_x(), alt.Y("error:Q"), _colour(series), order=alt.Order("compression:Q"))


def _bars() -> alt.Chart:
    data = theme.on("retrained").transform_filter("datum.low < datum.high")
    bars: alt.Chart = data.mark_rule(color=theme.PRUNED, strokeWidth=2, clip=True)
    return bars.encode(alt.X("compression:Q"), alt.Y("low:Q"), alt.Y2("high"))


def _points(series: tuple[str, ...]) -> list[alt.Chart]:
    size = [
        alt.Tooltip("compression:Q", format=".3~g"),
        alt.Tooltip("sparsity:Q", format=".2f", title="pruned (%)"),
    ]
    paired = [
        alt.Tooltip("shift:Q", format="+.2f", title="paired with its dense twin (points)"),
        alt.Tooltip("shift_sd:Q", format=".2f", title="sd of that"),
        alt.Tooltip("n:Q", title="seeds"),
    ]
    paper = [alt.Tooltip("source:N"), alt.Tooltip("error:Q", format=".2f", title="test error (%)"), *size]
    tips = {
        PUBLISHED: ("published", [*paper, alt.Tooltip("url:N", title="link")]),
        RETRAINED: ("retrained", [*_accuracy_tips(), *paired, *size]),
        NOW: ("now", [alt.Tooltip("label:N", title=NOW), size[0]]),
    }
    return [_point(name, *tips[name], series) for name in tips]


def _point(name: str, dataset: str, tooltip: list[alt.Tooltip], series: tuple[str, ...]) -> alt.Chart:
    data = theme.on(dataset).transform_calculate(series=f"'{name}'")
    points: alt.Chart = data.mark_point(clip=True, size=70, strokeWidth=2, fill=theme.PAPER, opacity=1)
    shape = alt.Shape("series:N", scale=alt.Scale(domain=list(series), range=[SHAPES[s] for s in series]))
    return points.encode(alt.X("compression:Q"), alt.Y("error:Q"), _colour(series), shape, tooltip=tooltip)


def _accuracy_tips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("accuracy:Q", format=".2f", title="accuracy (%)"),
        alt.Tooltip("sd:Q", format=".2f", title="sd (points)"),
    ]


def _ring() -> alt.Chart:
    """Draw the present threshold on the curve."""
    ring: alt.Chart = theme.on("mark").mark_point(
        filled=True, size=130, color=theme.REMOVED, stroke=theme.PAPER, strokeWidth=2, opacity=1
    )
    return ring.encode(alt.X("compression:Q"), alt.Y("error:Q"))


def _words() -> list[alt.Chart]:
    """Write what is drawn, and the numbers of ring and square, above the chart, clear of all that moves."""
    return [
        _line("note", "text", -26, color=theme.MUTED),
        _line("mark", "label", -8, fontWeight=600),
        _line("now", "label", -8, fontWeight=600, align="right"),
    ]


def _line(dataset: str, column: str, y: int, align: str = "left", **mark: Any) -> alt.Chart:
    text: alt.Chart = theme.on(dataset).mark_text(**theme.text(align=align, baseline="bottom", **mark))
    return text.encode(x=alt.value("width" if align == "right" else 0), y=alt.value(y), text=f"{column}:N")


def retrained_at(runs: Iterable[Mapping[str, float]]) -> tuple[theme.Columns, theme.Columns]:
    """Return the "retrained" and "dense" columns from runs: threshold, seed, sparsity, accuracy, dense.

    Accuracies are shares of 1. Runs of one threshold are one point: mean and sample standard deviation over
    seeds; the shift is that of the pairs. Each seed's dense twin counts once.
    """
    groups: dict[float, list[Mapping[str, float]]] = {}
    twins: dict[float, float] = {}
    for run in runs:
        if run["sparsity"] < 1:
            groups.setdefault(run["threshold"], []).append(run)
        twins[run["seed"]] = run["dense"]
    rows = [_row(group) for group in groups.values()]
    columns = {name: [row[name] for row in rows] for name in RETRAINED_COLUMNS}
    return columns, dense_table([*twins.values()])


def dense_table(accuracies: Sequence[float]) -> theme.Columns:
    """Return the "dense" columns from the accuracies of twins, shares of 1; no row where there is none."""
    return {name: [value] * bool(accuracies) for name, value in _spread(accuracies).items()}


def _row(group: list[Mapping[str, float]]) -> dict[str, float]:
    sparsity = fmean(run["sparsity"] for run in group)
    shifts = _spread([run["accuracy"] - run["dense"] for run in group])
    return {
        **_spread([run["accuracy"] for run in group]),
        "compression": 1 / (1 - sparsity),
        "sparsity": 100 * sparsity,
        "shift": shifts["accuracy"],
        "shift_sd": shifts["sd"],
    }


def _spread(shares: Sequence[float]) -> dict[str, float]:
    """Return mean, standard deviation and n in percent, with the errors that they are; one has no spread."""
    mean = 100 * fmean(shares) if shares else 0.0
    sd = 100 * stdev(shares) if len(shares) > 1 else 0.0
    low, high = max(100 - mean - sd, 0.01), 100 - mean + sd
    return {"accuracy": mean, "sd": sd, "error": 100 - mean, "low": low, "high": high, "n": len(shares)}


def tradeoff_of(study: Any) -> alt.LayerChart:
    """Draw a study over `pruning.threshold`: test accuracy, mean ± sd over seeds, and published points.

    Args:
        study: Anything with ``frame``, one row a run, and ``runs`` with their Experiments.
    """
    frame: pl.DataFrame = study.frame
    if "pruning.threshold" not in frame.columns:
        raise ValueError(MISSING)
    others = [n for n in frame.columns if "." in n and n != "pruning.threshold" and frame[n].n_unique() > 1]
    if others:
        raise ValueError(SEVERAL.format(", ".join(others)))
    names = {"threshold": "pruning.threshold", "accuracy": "test_accuracy", "dense": "dense_test_accuracy"}
    done = frame.filter(pl.col("status") == "done").select("seed", "sparsity", **names)
    retrained, dense = retrained_at(done.to_dicts())
    papers = published.of(study.runs[0].experiment.model)
    n = done["seed"].n_unique()
    subtitle = SAMPLE.format(n, SEEDS[n != 1], study.runs[0].summary["test_images"])
    chart = tradeoff(
        {"retrained": retrained, "dense": dense, "published": papers},
        part="test",
        series=(RETRAINED, DENSE, *([PUBLISHED] if papers["error"] else [])),
        subtitle=subtitle,
    )
    chart.usermeta = of_study(len(study.runs))
    return chart
