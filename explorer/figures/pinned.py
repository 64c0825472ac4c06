"""Pinned runs: further curves behind those of the present run, each with a name of its own.

Dataset:
    pinned: epoch, accuracy (percent), name
"""

from collections.abc import Iterable, Mapping

import altair as alt

from explorer.figures import curves, theme

COLOURS = (theme.REMOVED, theme.REVIVED, theme.CLIPPED, theme.OCHRE)  # each twice, the second time dashed
SOLID, DASHED = [1, 0], [6, 3]
LABEL_LIMIT = 170  # pixels: a name in a chart of a laptop's width; longer ones stand two in a row
NAME_TITLE = "pinned run"


def behind(chart: alt.LayerChart, pins: Mapping[str, int], limit: int = LABEL_LIMIT) -> alt.LayerChart:
    """Put the curves of pinned runs, name to the number of its colour, behind a chart of accuracies.

    Their legend is below the chart's own, so that nothing above it moves when one more run is pinned.
    """
    legend = alt.Legend(
        symbolType="stroke",
        symbolStrokeWidth=2,
        symbolSize=300,
        direction="vertical",
        columns=1 if limit <= LABEL_LIMIT else 2,
        labelLimit=limit,
    )
    lines = _lines(theme.on("pinned"), pins, None)
    key = _lines(alt.Chart(alt.InlineData([])), pins, legend)  # legends stand in the order of layers
    layers = alt.LayerChart(layer=[lines, chart, key])
    both: alt.LayerChart = layers.resolve_scale(color="independent", strokeDash="independent")
    return both


def _lines(chart: alt.Chart, pins: Mapping[str, int], legend: alt.Legend | None) -> alt.Chart:
    """Draw the curves of runs of these names, in the colours of their slots."""
    colours = [COLOURS[slot % len(COLOURS)] for slot in pins.values()]
    dashes = [DASHED if slot >= len(COLOURS) else SOLID for slot in pins.values()]
    colour = alt.Color("name:N", scale=alt.Scale(domain=list(pins), range=colours), legend=legend)
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=list(pins), range=dashes), legend=legend)
    tooltip = [alt.Tooltip("name:N", title=NAME_TITLE)]
    lines: alt.Chart = chart.mark_line(clip=True, strokeWidth=1.5)
    return lines.encode(
        alt.X("epoch:Q"), alt.Y("accuracy:Q"), colour, dash, alt.Detail("name:N"), tooltip=tooltip
    )


def pinned_table(runs: Mapping[str, Iterable[curves.Measurement]]) -> theme.Columns:
    """Return the "pinned" columns from what was measured of each run's own network, by the run's name."""
    points = [
        (epoch, 100 * value, name)
        for name, rows in runs.items()
        for _, epoch, _, metric, value in sorted(rows, key=lambda row: row[1])
        if metric == "val_accuracy"
    ]
    return theme.columns(points, ("epoch", "accuracy", "name"))
