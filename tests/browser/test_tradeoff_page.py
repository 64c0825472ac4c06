"""The trade-off in a real JupyterLab: the slider moves along the curve, retrained points arrive."""

import pytest
from at_the_page import choose, grab, press, train, until_state

pytestmark = pytest.mark.usefixtures("quiet")

DATA = "e._chart.chart('tradeoff').to_dict()['datasets']"
PROGRESS = ".explorer-panel-tradeoff .explorer-retrain-progress"
FEW = "from explorer.ui.tabs import tradeoff; tradeoff.COMPRESSIONS, tradeoff.SEEDS = (2, 8), 1"


@pytest.mark.slow  # the Python half is in tests/ui
def test_the_slider_moves_along_the_curve(opened):
    notebook = opened()
    choose(notebook, "tradeoff")
    notebook.until_kernel(f"len({DATA}['curve']) >= 8")  # the others come as they do
    notebook.locator(".explorer-chart-tradeoff:visible canvas").wait_for()
    x, y = grab(notebook)
    notebook.page.mouse.move(x - 60, y, steps=4)
    notebook.until_kernel(f"{DATA}['mark'][0]['compression'] < 8")
    notebook.page.mouse.up()
    until_state(notebook, "ready")


@pytest.mark.slow
def test_the_whole_curve_of_a_run_and_retrained_points_arrive(opened):
    notebook = opened()
    train(notebook)
    choose(notebook, "tradeoff")
    notebook.until_kernel(f"len({DATA}['curve']) >= 64")
    notebook.run(FEW)
    press(notebook, "retrain")
    notebook.locator(f"{PROGRESS}:has-text('done')").wait_for()
    notebook.until_kernel(f"len({DATA}['retrained']) == 2")
    assert notebook.value(f"{DATA}['retrained'][0]['accuracy']") > 90
    notebook.until_at_rest()
