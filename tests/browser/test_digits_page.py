"""The Digits tab in a real JupyterLab: charts, flipped images, and a digit drawn with the mouse."""

import pytest
from at_the_page import press, until_state

pytestmark = pytest.mark.usefixtures("quiet")

PAD = ".explorer-sketch-pad"
BARS = ".explorer-sketch-bar"


def draw_a_one(notebook):
    box = notebook.locator(PAD).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 30
    notebook.page.mouse.move(x, y)
    notebook.page.mouse.down()
    for i in range(12):
        notebook.page.mouse.move(x, y + 10 * i)
    notebook.page.mouse.up()


def test_flips_are_shown_and_a_digit_can_be_drawn(opened):
    notebook = opened()
    press(notebook, "train")
    until_state(notebook, "done")
    notebook.locator(".explorer-tab-digits").click()
    notebook.locator(".explorer-chart-digits-pruned:visible canvas").wait_for()
    notebook.locator(".explorer-sheet-lost .explorer-tile figcaption").first.wait_for()
    shown = notebook.value("[s.count for s in e._gallery.tabs['digits'].images.sheets]")
    counts = [
        notebook.locator(f".explorer-sheet-{name} .explorer-tile").count() for name in ("lost", "gained")
    ]
    assert counts == shown
    notebook.locator(PAD).scroll_into_view_if_needed()
    draw_a_one(notebook)
    notebook.until(f"() => document.querySelectorAll('{BARS}').length === 20")
    told = notebook.locator(".explorer-sketch-told")
    notebook.until(
        "() => document.querySelector('.explorer-sketch-told').textContent.includes('dense answers 1')"
    )
    notebook.locator(".explorer-sketch-random").click()  # as one may without a mouse that draws
    notebook.until(
        "() => document.querySelector('.explorer-sketch-told').textContent.startsWith('Validation')"
    )
    assert "pruned answers" in told.inner_text()
    notebook.locator(".explorer-sketch-clear").click()
    notebook.until(f"() => document.querySelectorAll('{BARS}').length === 0")
