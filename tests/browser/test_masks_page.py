"""The Masks tab in a real JupyterLab: pictures are painted, in either theme, and can be read aloud."""

import re

import pytest
from at_the_page import expect, train

pytestmark = pytest.mark.usefixtures("quiet")

TILES = ".explorer-masks-units .explorer-tile canvas"
INK = f"""() => [...document.querySelectorAll('{TILES}')].map((c) =>
  c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((value, i) => i % 4 < 3 && value))"""
CORNER = """() => [...document.querySelector('.explorer-sheet-map canvas').getContext('2d')
  .getImageData(0, 0, 1, 1).data]"""


def test_masks_are_painted_crossed_out_and_read_aloud(opened):
    notebook = opened()
    notebook.run("e.experiment = e.experiment.replace({'pruning.threshold': 0.99})")
    notebook.locator(".explorer-tab-masks").click()
    train(notebook)
    notebook.until("() => document.querySelectorAll('.explorer-masks-units .explorer-dead').length > 1")
    notebook.until_reads(INK, [True] * 128)
    dead = notebook.value("sum(e._gallery.tabs['masks'].units.sheets[0].dead)")
    expect(notebook.locator(".explorer-masks-units .explorer-tile.explorer-dead")).to_have_count(dead)
    expect(notebook.locator(".explorer-masks-told")).to_contain_text(f"{dead} of 128 hidden units are dead")
    named = notebook.locator(".explorer-masks [role=img]")
    expect(named).to_have_count(3)
    for each in named.all():
        expect(each).to_have_attribute("aria-label", re.compile(".{30}"))
    notebook.locator(".explorer-sheet-map canvas").hover(position={"x": 1, "y": 1})
    expect(notebook.locator(".explorer-sheet-map canvas")).to_have_attribute(
        "title", "row 1, column 1: 0 of 128"
    )


@pytest.mark.slow
def test_pictures_follow_the_theme(opened):
    notebook = opened()
    notebook.locator(".explorer-tab-masks").click()
    notebook.locator(TILES).first.wait_for()
    light = notebook.page.evaluate(CORNER)
    notebook.theme("JupyterLab Dark")
    try:
        notebook.until(f"(light) => JSON.stringify(({CORNER})()) !== JSON.stringify(light)", light)
    finally:
        notebook.theme("JupyterLab Light")
    notebook.until(f"(light) => JSON.stringify(({CORNER})()) === JSON.stringify(light)", light)
    assert notebook.page.evaluate(CORNER) == light
