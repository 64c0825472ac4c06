"""The Gradients tab in a real JupyterLab: all four charts are painted, and again as a run goes on."""

import re

import pytest
from at_the_page import choose, expect, train

pytestmark = pytest.mark.usefixtures("quiet")

NAMES = """() => [...document.querySelectorAll('.explorer-chart')].filter((f) => f.offsetParent)
  .map((f) => f.dataset.chart)"""
CHARTS = ["gradients", "clip-share", "gradient-depth", "gradient-spread"]


@pytest.mark.slow  # the Python half is in tests/ui
def test_all_charts_are_painted_with_a_runs_gradients(opened):
    notebook = opened()
    choose(notebook, "gradients")
    notebook.until_reads(NAMES, CHARTS)
    empty = notebook.pixels()
    train(notebook)
    notebook.until_pixels_change(empty)
    for name in CHARTS:
        expect(notebook.locator(f".explorer-chart-{name}")).to_have_attribute("aria-label", re.compile(r"\w"))
    share = notebook.value("len(e._chart.chart('clip-share').to_dict()['datasets']['shares'])")
    assert share == 4
