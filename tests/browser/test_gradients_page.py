"""The Gradients tab in a real JupyterLab: all four charts are painted, and again as a run goes on."""

import pytest
from at_the_page import choose, press, until_state

pytestmark = pytest.mark.usefixtures("quiet")

NAMES = """() => [...document.querySelectorAll('.explorer-chart')].filter((f) => f.offsetParent)
  .map((f) => f.dataset.chart)"""
CHARTS = ["gradients", "clip-share", "gradient-depth", "gradient-spread"]


def test_all_charts_are_painted_with_a_runs_gradients(opened):
    notebook = opened()
    choose(notebook, "gradients")
    assert notebook.page.evaluate(NAMES) == CHARTS
    empty = notebook.pixels()
    press(notebook, "train")
    until_state(notebook, "done")
    notebook.until_pixels_change(empty)
    assert all(notebook.locator(f".explorer-chart-{name}").get_attribute("aria-label") for name in CHARTS)
    share = notebook.value("len(e._chart.chart('clip-share').to_dict()['datasets']['shares'])")
    assert share == 4
