"""Keys in a real JupyterLab: with the focus in the explorer, they do nothing to the notebook."""

import pytest
from at_the_page import expect

pytestmark = pytest.mark.usefixtures("quiet")

CELLS = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
STOPS = (".explorer-criterion select", ".explorer-lr .noUi-handle", ".explorer-tab-live", ".explorer-train")


def test_keys_stay_in_the_explorer(opened):
    notebook = opened()
    cells = notebook.page.evaluate(CELLS)
    for stop in STOPS:
        place = notebook.locator(stop)
        place.focus()
        for key in ("b", "x"):  # a new cell below, and cut
            notebook.page.keyboard.press(key)
        expect(place).to_be_focused()
    assert notebook.page.evaluate(CELLS) == cells
    menu = notebook.locator(".explorer-optimizer select")
    menu.focus()
    notebook.page.keyboard.type("ad")
    expect(menu).to_have_value("Adam")
    notebook.until_kernel("e.experiment.optimizer == 'adam'")
