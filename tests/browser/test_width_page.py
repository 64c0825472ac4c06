"""A chart whose scale is worked out from its width keeps its shape when the theme changes and goes back."""

import pytest

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

CODE = """
import altair as alt, numpy as np
from explorer import figures
from explorer.ui.widgets.live_chart import LiveChart

def spread(**scale):
    spec = figures.spread(["fc1", "fc2"]).to_dict(validate=False)
    spec["layer"][0]["encoding"]["x"]["scale"] |= scale
    return alt.LayerChart.from_dict(spec, validate=False)

room = {"expr": "width - 70"}
charts = LiveChart({"one": spread(rangeMax=room), "two": spread(range=[0, room])})
tables = figures.spread_tables({n: (np.arange(72) % 17, 5000) for n in ("fc1", "fc2")}, 1.0)
charts.update({(chart, n): t for chart in ("one", "two") for n, t in tables.items()}, tag=1)
charts"""


def test_a_theme_switch_cuts_nothing(notebook):
    notebook.show(CODE)
    notebook.until("() => document.querySelector('.explorer-charts')?.dataset.tag === '1'")
    notebook.until_at_rest()
    light = notebook.pixels()
    notebook.theme("JupyterLab Dark")
    try:
        notebook.until_pixels_change(light)
        notebook.until_at_rest()
    finally:
        notebook.theme("JupyterLab Light")
    notebook.until_pixels_are(light)
