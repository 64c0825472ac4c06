"""Pinned runs: further curves behind those of the present run, each with a name of its own.

Dataset:
    pinned: epoch, accuracy (percent), name
"""

from collections.abc import Mapping, Sequence

import altair as alt

from explorer.figures import theme

COLOURS = (theme.REMOVED, theme.REVIVED, theme.CLIPPED, theme.OCHRE)  # each twice, the second time dashed
SOLID, DASHED = [1, 0], [6, 3]
LABEL_LIMIT = 170  # pixels: a name in a chart of a laptop's width; longer ones stand two in a row
NAME_TITLE = "pinned run"


def behind(chart: alt.LayerChart, pins: Mapping[str, int], limit: int = LABEL_LIMIT) -> alt.LayerChart:
    """Put the curves of pinned runs, name to the number of its colour, behind a chart of accuracies."""
    both = alt.layer(_curves(list(pins), list(pins.values()), limit), chart)
    return both.resolve_scale(color="independent", strokeDash="independent")


def _curves(names: Sequence[str], slots: Sequence[int], limit: int) -> alt.Chart:
    """Return the curves of runs of these names, in the colours of these slots."""
    colours = [COLOURS[slot % len(COLOURS)] for slot in slots]
    dashes = [DASHED if slot >= len(COLOURS) else SOLID for slot in slots]
    stroke = alt.Legend(
        symbolType="stroke",
        symbolStrokeWidth=2,
        symbolSize=300,
        columns=1 if limit <= LABEL_LIMIT else 2,
        labelLimit=limit,
        orient="top",
    )
    colour = alt.Color("name:N", scale=alt.Scale(domain=list(names), range=colours), legend=stroke)
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=list(names), range=dashes), legend=stroke)
    lines = alt.Chart(theme.named("pinned")).mark_line(clip=True, strokeWidth=1.5)
    tooltip = [alt.Tooltip("name:N", title=NAME_TITLE)]
    return lines.encode(
        alt.X("epoch:Q"), alt.Y("accuracy:Q"), colour, dash, alt.Detail("name:N"), tooltip=tooltip
    )
