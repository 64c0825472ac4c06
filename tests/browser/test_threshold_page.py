"""The page widget in a real JupyterLab: it reports grab and release of the threshold, and cleans up."""

import pytest
from at_the_page import expect

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

CONTROL = """
import ipywidgets
from explorer.ui.widgets.page import Page

heard = []
slider = ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.01, description="threshold")
slider.add_class("explorer-threshold")
other = ipywidgets.FloatSlider(value=0.5, min=0, max=1, description="other")
page = Page(lambda what, values: heard.append([what, *values]), [slider])
box = ipywidgets.VBox([slider, other, page])
page.root = box.model_id
box.add_class("explorer")
box
"""
NAMED = ".explorer-threshold .noUi-handle[aria-label=threshold]"


@pytest.fixture
def controlled(notebook):
    notebook.show(CONTROL)
    notebook.locator(NAMED).wait_for()
    return notebook


def heard(notebook, n):
    """Wait for n messages in the kernel."""
    notebook.until_kernel(f"len(heard) >= {n}")
    return notebook.value("heard")


def test_drag_with_the_mouse_reports_grab_and_release(controlled):
    knob = controlled.locator(".explorer-threshold .noUi-handle")
    knob.hover()  # waits until the page has stopped moving
    handle = knob.bounding_box()
    mouse, x, y = controlled.page.mouse, handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    mouse.move(x, y)
    mouse.down()
    assert heard(controlled, 1) == [["grab", 0.5]]
    mouse.move(x + 60, y, steps=5)
    mouse.move(x + 60, y + 300)  # let go far off the slider
    mouse.up()
    got = heard(controlled, 2)
    assert [what for what, _ in got] == ["grab", "release"]
    assert got[1][1] > 0.5
    controlled.until_kernel(f"slider.value == {got[1][1]}")  # ipywidgets' own message may come later


def test_keys_report_grab_and_release(controlled):
    controlled.locator(".explorer-threshold .noUi-handle").focus()
    controlled.page.keyboard.press("ArrowRight")
    assert heard(controlled, 2) == [["grab", 0.5], ["release", 0.51]]


@pytest.mark.parametrize("end", ["Enter", "blur"])
def test_typing_a_number_reports_grab_and_release(controlled, end):
    readout = controlled.locator(".explorer-threshold .widget-readout")
    readout.click()
    controlled.page.keyboard.press("Control+A")
    controlled.page.keyboard.type("0.75")
    if end == "Enter":
        controlled.page.keyboard.press("Enter")
    else:
        readout.blur()
    got = heard(controlled, 2)
    assert [what for what, _ in got] == ["grab", "release"]
    assert got[1][1] == (0.75 if end == "Enter" else 0.5)  # on blur ipywidgets 8.1 drops what was typed


def test_other_sliders_report_nothing(controlled):
    controlled.locator(".noUi-handle").nth(1).focus()
    controlled.page.keyboard.press("ArrowRight")
    controlled.locator(".explorer-threshold .noUi-handle").focus()
    controlled.page.keyboard.press("ArrowLeft")
    assert [what for what, _ in heard(controlled, 2)] == ["grab", "release"]


def test_names_values_and_tooltips_follow(controlled):
    handle = controlled.locator(NAMED)
    expect(handle).to_have_attribute("aria-valuetext", "0.50")
    controlled.run("slider.value = 0.25; slider.tooltip = 'What falls'")
    expect(handle).to_have_attribute("aria-valuetext", "0.25")
    expect(controlled.locator(".explorer-threshold")).to_have_attribute("title", "What falls")
    controlled.run("box.children += (ipywidgets.IntText(description='late', tooltip='It came later'),)")
    expect(controlled.locator(".widget-text")).to_have_attribute("title", "It came later")


LISTENERS = """() => { window.signalled = 0;
  const {addEventListener} = Document.prototype;
  document.addEventListener = function (type, hear, options) {
    if (options?.signal) window.signalled += 1;
    options?.signal?.addEventListener('abort', () => { window.signalled -= 1 });
    return addEventListener.call(this, type, hear, options) } }"""


def test_removing_the_output_cleans_up(notebook):
    notebook.page.evaluate(LISTENERS)
    notebook.show(CONTROL)
    notebook.locator(NAMED).wait_for()
    notebook.until_reads("() => window.signalled", 7)
    notebook.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    notebook.locator(".explorer-page").wait_for(state="detached")
    notebook.until("() => window.signalled === 0")
    notebook.page.evaluate("() => { delete document.addEventListener }")  # the page is that of later stories
