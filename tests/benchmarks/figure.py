"""The cost of an epoch against variants and against width, as a figure for light and for dark pages."""

from pathlib import Path
from typing import Any

import altair as alt
from report import median

from explorer.figures import saving, theme

NAMES = ("explorer", "JAX", "matrix products")
COLOURS = (theme.PRUNED, theme.REMOVED, theme.DENSE)
PANELS = (
    ("lanes", "variants side by side, hidden layer of 128", (1, 4, 16, 64)),
    ("hidden", "width of the hidden layer, one variant", (32, 128, 512)),
)


def cost(reading: dict[str, Any]) -> alt.HConcatChart:
    """Draw seconds an epoch, both axes logarithmic; what is unmeasured has no point."""
    panels = [_panel(reading, *panel) for panel in PANELS]
    machine = reading["machine"]
    about = f"{machine['gpu'] or machine['cpu']}, {machine['threads']} threads, {machine['date']}"
    title = alt.Title("Cost of an epoch", subtitle=f"median of n = {reading['n']} rounds; {about}")
    return alt.hconcat(*panels, title=title, config=theme.config())


def _panel(reading: dict[str, Any], field: str, title: str, values: tuple[int, ...]) -> alt.Chart:
    rows = [
        {"contender": name, "x": value, "seconds": median(reading, contender=name, **{field: value})}
        for name in NAMES
        for value in values
    ]
    scale = alt.Scale(domain=NAMES, range=COLOURS)
    known = alt.Data(values=[row for row in rows if row["seconds"] is not None])
    return (
        alt.Chart(known, width=theme.WIDTH, height=240)
        .mark_line(point={"size": 60, "filled": True}, strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title=title, scale=alt.Scale(type="log", base=2), axis=alt.Axis(values=values)),
            y=alt.Y("seconds:Q", title="seconds an epoch, all variants", scale=alt.Scale(type="log")),
            color=alt.Color("contender:N", scale=scale, sort=NAMES),
            shape=alt.Shape("contender:N", scale=alt.Scale(domain=NAMES), sort=NAMES),
        )
    )


def save(reading: dict[str, Any], beside: Path) -> None:
    """Write the figure beside a reading, once for light and once for dark pages."""
    chart = cost(reading)
    saving.save(chart, beside.with_name(f"{beside.stem}-light.svg"))
    saving.save(theme.dark(chart), beside.with_name(f"{beside.stem}-dark.svg"))
