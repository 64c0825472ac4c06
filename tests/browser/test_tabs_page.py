"""Tabs in a real JupyterLab: mouse, keys, and charts that are drawn only while they are seen."""

import pytest

pytestmark = pytest.mark.usefixtures("quiet")

STATE = ".explorer-fact-state b"
SELECTED = ".explorer-tabs [role=tab][aria-selected=true]"
VISIBLE = """() => [...document.querySelectorAll('.explorer-chart')].filter((f) => f.offsetParent)
  .map((f) => f.dataset.chart)"""
DRAWN = "() => [...document.querySelectorAll('.explorer-chart canvas')].length"
LIVE = ["accuracy", "loss", "shift", "sparsity"]


@pytest.fixture
def opened(notebook):
    notebook.show(
        "import explorer as ex\ne = ex.Explorer(ex.Experiment(epochs=1, batch_size=128, lr=0.4))\ne"
    )
    notebook.locator(f"{STATE}:text-is('ready')").wait_for()
    notebook.locator(".explorer-chart:not([hidden]) canvas").nth(3).wait_for()
    notebook.until_at_rest()
    return notebook


def selected(notebook, name):
    notebook.locator(f"{SELECTED}.explorer-tab-{name}").wait_for()


def test_live_is_first_and_alone(opened):
    selected(opened, "live")
    assert opened.page.evaluate(VISIBLE) == LIVE
    assert opened.page.evaluate(DRAWN) == 4  # what nobody has asked for is not even made
    tabs = opened.locator(".explorer-tabs[role=tablist] [role=tab]")
    assert tabs.count() == len(opened.value("list(e._gallery.tabs)"))
    assert all(tab.get_attribute("title") for tab in tabs.all())


def test_a_click_shows_another_tab_with_the_present_data(opened):
    opened.locator(".explorer-tab-weights").click()
    opened.locator(".explorer-chart-weights-fc2 canvas").wait_for()
    opened.until_at_rest()
    assert opened.page.evaluate(VISIBLE) == ["weights-fc1", "weights-fc2"]
    opened.locator(".explorer-train").click()
    opened.locator(f"{STATE}:text-is('done')").wait_for()
    opened.locator(".explorer-tab-live").click()
    opened.until(f"() => JSON.stringify(({VISIBLE})()) === JSON.stringify({LIVE})")
    tag = opened.value("e._tag")
    opened.until("(tag) => Number(document.querySelector('.explorer-charts').dataset.tag) >= tag", tag)
    opened.until_at_rest()
    after = opened.pixels()
    opened.locator(".explorer-tab-gradients").click()
    opened.locator(".explorer-chart-gradients:visible canvas").wait_for()
    opened.locator(".explorer-tab-live").click()
    opened.until_pixels_are(after)  # nothing was lost or drawn askew while it was hidden


def test_arrow_keys_move_along_the_tabs(opened):
    opened.locator(SELECTED).focus()
    names = opened.value("list(e._gallery.tabs)")
    for key, name in (
        ("ArrowRight", names[1]),
        ("End", names[-1]),
        ("ArrowRight", names[0]),
        ("Home", names[0]),
    ):
        opened.page.keyboard.press(key)
        selected(opened, name)
        assert opened.page.evaluate("() => document.activeElement.dataset.tab") == name
        opened.until_kernel(f"e.tab == {name!r}")
    assert opened.locator(".explorer-tabs [tabindex='0']").count() == 1


def test_a_tab_shown_after_the_page_changed_its_width_fits(opened):
    opened.locator(".explorer-tab-weights").click()
    opened.locator(".explorer-chart-weights-fc1:visible canvas").wait_for()
    opened.page.set_viewport_size({"width": 1000, "height": 1000})
    try:
        opened.until_at_rest()
        opened.locator(".explorer-tab-live").click()
        opened.locator(".explorer-chart-accuracy:visible canvas").wait_for()
        opened.until_at_rest()  # which asks that each canvas fills its figure
        assert opened.locator(".explorer-chart-accuracy canvas").bounding_box()["width"] > 100
    finally:
        opened.page.set_viewport_size({"width": 1400, "height": 1000})


def test_the_kernel_can_choose_too(opened):
    opened.run("e.tab = 'gradients'")
    selected(opened, "gradients")
    opened.locator(".explorer-chart-gradients:visible canvas").wait_for()
