"""Tabs in a real JupyterLab: mouse, keys, and charts that are drawn only while they are seen."""

import re

import pytest
from at_the_page import STATE, expect

pytestmark = pytest.mark.usefixtures("quiet")

SELECTED = ".explorer-tabs [role=tab][aria-selected=true]"
VISIBLE = """() => [...document.querySelectorAll('.explorer-chart')].filter((f) => f.offsetParent)
  .map((f) => f.dataset.chart)"""
DRAWN = "() => [...document.querySelectorAll('.explorer-chart canvas')].length"
LIVE = ["accuracy", "loss", "shift", "sparsity"]


@pytest.fixture
def shown(opened):
    return opened()


def selected(notebook, name):
    notebook.locator(f"{SELECTED}.explorer-tab-{name}").wait_for()


@pytest.mark.slow
def test_live_is_first_and_alone(shown):
    selected(shown, "live")
    shown.until_reads(VISIBLE, LIVE)
    assert shown.page.evaluate(DRAWN) == 4  # what nobody has asked for is not even made
    tabs = shown.locator(".explorer-tabs[role=tablist] [role=tab]")
    expect(tabs).to_have_count(len(shown.value("list(e._gallery.tabs)")))
    for tab in tabs.all():
        expect(tab).to_have_attribute("title", re.compile(r"\w"))


@pytest.mark.slow  # each tab's own story clicks on it
def test_a_click_shows_another_tab_with_the_present_data(shown):
    shown.locator(".explorer-tab-weights").click()
    shown.locator(".explorer-chart-weights-fc2 canvas").wait_for()
    shown.until_at_rest()
    shown.until_reads(VISIBLE, ["weights-fc1", "weights-fc2"])
    shown.locator(".explorer-train").click()
    shown.locator(f"{STATE}:text-is('done')").wait_for()
    shown.locator(".explorer-tab-live").click()
    shown.until_reads(VISIBLE, LIVE)
    tag = shown.value("e._tag")
    shown.until("(tag) => Number(document.querySelector('.explorer-charts').dataset.tag) >= tag", tag)
    shown.until_at_rest()
    after = shown.pixels()
    shown.locator(".explorer-tab-gradients").click()
    shown.locator(".explorer-chart-gradients:visible canvas").wait_for()
    shown.locator(".explorer-tab-live").click()
    shown.until_pixels_are(after)  # nothing was lost or drawn askew while it was hidden
    assert shown.page.evaluate(VISIBLE) == LIVE


@pytest.mark.slow
def test_arrow_keys_move_along_the_tabs(shown):
    shown.locator(SELECTED).focus()
    names = shown.value("list(e._gallery.tabs)")
    for key, name in (
        ("ArrowRight", names[1]),
        ("End", names[-1]),
        ("ArrowRight", names[0]),
        ("Home", names[0]),
    ):
        shown.page.keyboard.press(key)
        selected(shown, name)
        shown.until_reads("() => document.activeElement.dataset.tab", name)
        shown.until_kernel(f"e.tab == {name!r}")
    expect(shown.locator(".explorer-tabs [tabindex='0']")).to_have_count(1)


@pytest.mark.slow
def test_a_tab_shown_after_the_page_changed_its_width_fits(shown):
    shown.locator(".explorer-tab-weights").click()
    shown.locator(".explorer-chart-weights-fc1:visible canvas").wait_for()
    shown.page.set_viewport_size({"width": 1000, "height": 1000})
    try:
        shown.until_at_rest()
        shown.locator(".explorer-tab-live").click()
        shown.locator(".explorer-chart-accuracy:visible canvas").wait_for()
        shown.until_at_rest()  # which asks that each canvas fills its figure
        canvas = "document.querySelector('.explorer-chart-accuracy canvas')"
        shown.until(f"() => {canvas}.clientWidth > 100")
        assert shown.page.evaluate(f"{canvas}.clientWidth") < 1000
    finally:
        shown.page.set_viewport_size({"width": 1400, "height": 1000})


@pytest.mark.slow
def test_the_kernel_can_choose_too(shown):
    shown.run("e.tab = 'gradients'")
    selected(shown, "gradients")
    shown.locator(".explorer-chart-gradients:visible canvas").wait_for()
