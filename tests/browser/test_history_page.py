"""The History slider in a real JupyterLab: Masks and Digits go back with it, and can be exported so."""

import pytest
from at_the_page import press, until_state
from lab_notebook import PATIENCE
from playwright.sync_api import expect

import explorer as ex

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

KNOB = ".explorer-scrub-slider .noUi-handle"


def test_masks_and_digits_go_back_and_come_forward_again(opened, lab):
    notebook = opened()
    press(notebook, "train")
    until_state(notebook, "done")
    notebook.locator(".explorer-tab-masks").click()
    told = notebook.locator(".explorer-masks-told")
    expect(told).to_contain_text("fc1 keeps 9,", timeout=PATIENCE)
    notebook.locator(KNOB).focus()
    for _ in range(3):
        notebook.page.keyboard.press("ArrowLeft")
    expect(told).to_contain_text("As of epoch 0.25. Nothing is pruned yet.", timeout=PATIENCE)
    crossed = notebook.locator(".explorer-masks-units .explorer-tile.explorer-dead")
    expect(crossed).to_have_count(0, timeout=PATIENCE)
    press(notebook, "export")
    notebook.locator(".explorer-export-shown-png").click()
    wanted = ex.Experiment.from_json(notebook.value("e.experiment.to_json()"))
    expect(notebook.locator(".explorer-export-path")).to_have_text(
        f"explorer-exports/{wanted.hash}-masks.png", timeout=PATIENCE
    )
    assert ex.figures.recipe(lab.root / "explorer-exports" / f"{wanted.hash}-masks.png") == wanted
    notebook.locator(".explorer-tab-digits").click()
    told = notebook.locator(".explorer-digits-told")
    expect(told).to_contain_text(
        "As of epoch 0.25. Nothing is pruned yet: the two networks are still one.", timeout=PATIENCE
    )
    expect(notebook.locator(".explorer-sheet-lost .explorer-tile")).to_have_count(0, timeout=PATIENCE)
    press(notebook, "scrub-now")
    expect(told).to_contain_text("Of 5,000 validation images the pruned network loses", timeout=PATIENCE)
    expect(notebook.locator(".explorer-sheet-lost .explorer-tile")).not_to_have_count(0, timeout=PATIENCE)
