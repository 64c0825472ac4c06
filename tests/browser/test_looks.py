"""How the explorer looks: a second view, a reloaded page, both themes, folded groups, names for all."""

import pytest
from at_the_page import CANVAS, choose, expect, press, train, until_state
from lab_notebook import KERNEL

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.slow
def test_a_second_view_and_a_reloaded_page_show_the_present_state(opened):
    notebook = opened()
    train(notebook)
    tag = notebook.value("e._tag")
    notebook.until("(tag) => document.querySelector('.explorer-charts').dataset.tag === String(tag)", tag)
    notebook.until_at_rest()
    state, pixels = notebook.locator(".explorer-status").inner_text(), notebook.pixels()
    notebook.show("e", at=-2)
    notebook.locator(CANVAS).nth(7).wait_for()
    notebook.until("(n) => document.querySelectorAll('.explorer-charts[data-tag]').length === 2", tag)
    notebook.until_views_agree(4)
    expect(notebook.locator(".explorer-status")).to_have_text([state, state], use_inner_text=True)
    notebook.show("", at=-2)

    notebook.save()
    notebook.reload()
    notebook.locator(CANVAS).nth(3).wait_for()
    notebook.until_pixels_are(pixels)
    expect(notebook.locator(".explorer-status")).to_have_text(state, use_inner_text=True)
    press(notebook, "reset")  # and it is no picture: the controls still act
    until_state(notebook, "ready")


CONTRAST = """() => {
  const light = (colour) => {
    const part = colour.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ground = (el) => {
    for (let at = el; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = document.querySelectorAll(
    ".explorer-group-head, .explorer-tab, .explorer label, .explorer-fact, .explorer-fact b, " +
    ".explorer-train");
  return [...texts].filter((el) => el.offsetParent).map((el) => {
    const [a, b] = [light(getComputedStyle(el).color), light(ground(el))].sort((x, y) => y - x);
    return [el.textContent.slice(0, 20), (a + 0.05) / (b + 0.05)];
  });
}"""


@pytest.mark.slow
def test_both_themes_can_be_read(opened):
    notebook = opened()
    light = notebook.pixels()
    readable = {"JupyterLab Light": notebook.page.evaluate(CONTRAST)}
    notebook.theme("JupyterLab Dark")
    try:
        notebook.until_pixels_change(light)
        readable["JupyterLab Dark"] = notebook.page.evaluate(CONTRAST)
    finally:
        notebook.theme("JupyterLab Light")
    notebook.until_pixels_are(light)
    for theme, texts in readable.items():
        assert len(texts) > 20
        assert [(theme, *text) for text in texts if text[1] < 4.5] == []


# -- groups, names and keys ---------------------------------------------------------------------------

HEAD = ".explorer-group-training .explorer-group-head"
NAMES = """() => [...document.querySelectorAll('.explorer-controls .noUi-handle')]
  .filter((el) => el.offsetParent).map((el) => [el.ariaLabel, el.ariaValueText])"""


@pytest.mark.slow
def test_a_group_folds_by_key_and_stays_so_after_a_reload(opened):
    notebook = opened()
    slider = notebook.locator(".explorer-lr")
    expect(slider).to_be_visible()
    notebook.locator(HEAD).focus()
    notebook.page.keyboard.press("Space")
    slider.wait_for(state="hidden")
    notebook.locator(f"{HEAD}[aria-expanded=false]").wait_for()
    notebook.until_kernel("not e._groups.box.children[3].children[0].value")
    notebook.save()
    notebook.reload()
    notebook.locator(CANVAS).first.wait_for()
    notebook.locator(f"{HEAD}[aria-expanded=false]").wait_for()
    expect(slider).to_be_hidden()
    notebook.locator(HEAD).click()
    slider.wait_for()


BUSY = "import time, pathlib\nwhile not pathlib.Path('enough').exists(): time.sleep(0.01)"


@pytest.mark.slow
def test_folding_needs_no_kernel(opened, lab):
    notebook = opened()
    notebook.page.evaluate(f"(code) => {{ {KERNEL}.requestExecute({{code}}) }}", BUSY)
    try:
        notebook.until(f"() => {KERNEL}.status === 'busy'")
        notebook.locator(HEAD).click()
        notebook.locator(".explorer-lr").wait_for(state="hidden")
        assert notebook.page.evaluate(f"() => {KERNEL}.status") == "busy"
    finally:
        (lab.root / "enough").touch()


@pytest.mark.slow
def test_sliders_have_names_and_say_their_values(opened):
    notebook = opened()
    notebook.until_reads(
        NAMES, [["Threshold (%)", "90.0"], ["Clip norm", "1.00"], ["Learning rate", "0.398"], ["Epochs", "1"]]
    )
    notebook.locator(".explorer-lr .noUi-handle").focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.until_kernel("e.experiment.lr < 0.38")
    wanted = notebook.value("f'{e.experiment.lr:.3g}'")  # and not its logarithm
    notebook.until(f"(wanted) => ({NAMES})()[2][1] === wanted", wanted)
    notebook.locator(".explorer-schedule select").select_option("iterative")  # a control that comes later
    notebook.until(f"() => ({NAMES})().some(([name]) => name === 'Rounds')")
    assert all(name and text for name, text in notebook.page.evaluate(NAMES))


SAID = "() => document.querySelector('.explorer .explorer-said').textContent"


@pytest.mark.slow
def test_what_a_run_does_is_read_out_by_one_element_that_stays(opened):
    notebook = opened()
    notebook.until_reads(SAID, "ready")
    notebook.page.evaluate("() => { window.said = document.querySelector('.explorer-said[role=status]') }")
    train(notebook)
    notebook.until_reads(SAID, "done")
    assert notebook.page.evaluate("() => window.said.isConnected")
    assert notebook.locator(".explorer-status [role=status]").count() == 0


UNEXPLAINED = """() => [...document.querySelectorAll('.explorer-controls :is(select, input, .noUi-handle)')]
  .filter((el) => el.offsetParent && !el.closest('[title]')).map((el) => el.outerHTML)"""


@pytest.mark.slow
def test_every_control_shows_its_tooltip_on_the_page(opened):
    notebook = opened()
    notebook.until_reads(UNEXPLAINED, [])
    criterion = notebook.locator(".explorer-criterion").get_attribute("title")
    assert criterion == notebook.value("e.controls['criterion'].tooltip")
    notebook.locator(".explorer-schedule select").select_option("iterative")  # controls that come later
    notebook.locator(".explorer-rounds").wait_for()
    notebook.until_reads(UNEXPLAINED, [])


BUTTONS = """() => [...document.querySelectorAll('.explorer :is(button, select, input)')]
  .filter((el) => el.offsetParent && !el.closest('[title]:not([title=""])')).map((el) => el.outerHTML)"""


@pytest.mark.slow
def test_all_that_can_be_pressed_says_what_it_does(opened):
    notebook = opened()
    train(notebook)
    for name in notebook.value("list(e._gallery.tabs)"):
        choose(notebook, name)
        notebook.until_reads(BUTTONS, [])
        assert notebook.page.evaluate(BUTTONS) == []


@pytest.mark.slow  # the Python half is in tests/ui
def test_what_is_hidden_is_gone_and_comes_back(opened):
    notebook = opened()
    notebook.run("e.hide('lr', 'gradients')")
    rate, tab = notebook.locator(".explorer-lr"), notebook.locator(".explorer-tab-gradients")
    rate.wait_for(state="hidden")
    tab.wait_for(state="detached")
    expect(tab).to_have_count(0)
    notebook.run("e.show('lr', 'gradients')")
    rate.wait_for()
    tab.wait_for()
    expect(rate).to_be_visible()


HEIGHT = """() => document.querySelector('.explorer-charts').getBoundingClientRect().bottom
  - document.querySelector('.explorer-status').getBoundingClientRect().top"""


@pytest.mark.slow
def test_the_live_tab_fits_a_laptop(opened):
    notebook = opened()
    notebook.page.set_viewport_size({"width": 1010, "height": 720})  # what the file browser leaves of 1280
    try:
        notebook.until_at_rest()
        notebook.until(f"() => ({HEIGHT})() < 600")
        assert notebook.page.evaluate(HEIGHT) > 200, "nothing is drawn that could be too high"
        notebook.until(
            "() => { const e = document.querySelector('.explorer'); return e.scrollWidth <= e.clientWidth }"
        )
    finally:
        notebook.page.set_viewport_size({"width": 1400, "height": 1000})
