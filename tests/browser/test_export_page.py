"""Export in a real JupyterLab: the menu by mouse and keys, a file beside the notebook, and its download."""

import pytest
from at_the_page import expect, press, train

import explorer as ex

pytestmark = pytest.mark.usefixtures("quiet")

MENU = ".explorer-export-menu"


@pytest.mark.slow  # the Python half is in tests/ui
def test_a_figure_is_written_beside_the_notebook_and_downloaded(opened, lab, tmp_path):
    notebook = opened()
    train(notebook)
    press(notebook, "export")
    notebook.locator(".explorer-export-shown-svg").click()
    link = notebook.locator(".explorer-export-link")
    link.wait_for()
    wanted = ex.Experiment.from_json(notebook.value("e.experiment.to_json()"))
    written = lab.root / "explorer-exports" / f"{wanted.hash}-live.svg"
    expect(notebook.locator(".explorer-export-path")).to_have_text(f"explorer-exports/{written.name}")
    with notebook.page.expect_download() as download:
        link.click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == written.name
    assert saved.read_bytes() == written.read_bytes()
    assert ex.figures.recipe(saved) == wanted


@pytest.mark.slow
def test_the_menu_by_keys(opened):
    notebook = opened()
    button = notebook.locator(".explorer-export")
    button.focus()
    notebook.page.keyboard.press("Enter")
    notebook.locator(MENU).wait_for()
    expect(button).to_have_attribute("aria-expanded", "true")
    notebook.page.keyboard.press("Tab")
    notebook.until_reads("() => document.activeElement.textContent", "PNG")
    notebook.page.keyboard.press("Escape")
    notebook.locator(MENU).wait_for(state="hidden")
    expect(button).to_be_focused()


@pytest.mark.slow  # the Python half is in tests/ui
def test_an_error_is_told_in_the_error_box(opened):
    notebook = opened()
    notebook.run(
        "def fail(*_): raise RuntimeError('out of paper')\n"
        "from explorer.ui.widgets.export_menu import saving\nkept, saving.write = saving.write, fail"
    )
    try:
        press(notebook, "export")
        notebook.locator(".explorer-export-shown-png").click()
        notebook.locator(".explorer-error [role=alert]", has_text="RuntimeError: out of paper").wait_for()
        notebook.locator(".explorer-export-status:text-is('It could not be written.')").wait_for()
    finally:
        notebook.run("saving.write = kept")
    assert notebook.locator(".explorer-export-status").inner_text() == "It could not be written."
    notebook.locator(".explorer-tab-live").click()  # outside: the menu closes
    notebook.locator(MENU).wait_for(state="hidden")
