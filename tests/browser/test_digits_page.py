"""The Digits tab in a real JupyterLab: charts, flipped images, and a digit drawn with the mouse."""

import re

import pytest
from at_the_page import expect, train

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
    train(notebook)
    notebook.locator(".explorer-tab-digits").click()
    notebook.locator(".explorer-chart-digits-pruned:visible canvas").wait_for()
    notebook.locator(".explorer-sheet-lost .explorer-tile figcaption").first.wait_for()
    shown = notebook.value("[s.count for s in e._gallery.tabs['digits'].images.sheets]")
    for name, count in zip(("lost", "gained"), shown, strict=True):
        expect(notebook.locator(f".explorer-sheet-{name} .explorer-tile")).to_have_count(count)
    notebook.until_at_rest()
    notebook.locator(PAD).hover()  # scrolls there, and waits until the page has stopped moving
    draw_a_one(notebook)
    notebook.until(f"() => document.querySelectorAll('{BARS}').length === 20")
    told = notebook.locator(".explorer-sketch-told")
    expect(told).to_contain_text("dense answers 1")
    notebook.locator(".explorer-sketch-random").click()  # as one may without a mouse that draws
    expect(told).to_have_text(re.compile("^Validation.*pruned answers"))
    notebook.locator(".explorer-sketch-clear").click()
    notebook.until(f"() => document.querySelectorAll('{BARS}').length === 0")


ALONE = """
import torch
from explorer.ui.widgets.drawing_pad import DrawingPad

pad = DrawingPad(print, print, print)
outputs = {"pruned": [0.9, 0.1], "dense": [0.4, 0.6]}
pad.show(torch.full((28, 28), 255, dtype=torch.uint8), ["0", "1"], outputs, source="full", unit="probability")
pad"""
PIXEL = (
    "() => document.querySelector('.explorer-sketch-pad').getContext('2d').getImageData(70, 70, 1, 1).data[3]"
)


@pytest.mark.slow
def test_a_pad_that_comes_with_an_image_shows_it_in_the_figures_colours(notebook):
    notebook.show(ALONE)
    notebook.until_reads(PIXEL, 255)
    for i, colour in enumerate(("rgb(0, 114, 178)", "rgb(111, 118, 129)")):
        expect(notebook.locator(f"{BARS} > i").nth(i)).to_have_css("background-color", colour)
    expect(notebook.locator(".explorer-sketch-told")).to_contain_text("pruned answers 0")
