"""The tabs as WAI-ARIA has them: each names its panel, and the panel the tab that is shown."""

import pytest
from at_the_page import CANVAS, choose

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

PANELS = """() => [...document.querySelectorAll('.explorer')].map((explorer) => {
  const [...tabs] = explorer.querySelectorAll('[role=tab]');
  const [...panels] = explorer.querySelectorAll('[role=tabpanel]');
  return {
    controls: tabs.map((tab) => tab.getAttribute('aria-controls')),
    panels: panels.map((panel) => panel.id),
    label: panels.map((panel) => document.getElementById(panel.getAttribute('aria-labelledby'))?.textContent),
    holds: panels.every((panel) => panel.contains(explorer.querySelector('.explorer-charts'))),
  };
})"""
IDS = "() => [...document.querySelectorAll('.explorer [id]')].map((each) => each.id)"


def test_the_panel_is_named_after_the_tab_that_is_shown(opened):
    notebook = opened()
    for name, title in notebook.value("[(tab.name, tab.title) for tab in e._gallery.tabs.values()]"):
        choose(notebook, name)
        notebook.until(f"(title) => ({PANELS})()[0].label.join() === title", title)
        [found] = notebook.page.evaluate(PANELS)
        assert len(found["panels"]) == 1
        assert set(found["controls"]) == set(found["panels"])
        assert found["holds"]


def test_the_panel_is_the_next_stop_of_the_keyboard(opened):
    notebook = opened()
    notebook.locator(".explorer-tab[aria-selected=true]").focus()
    notebook.page.keyboard.press("Tab")
    assert notebook.page.evaluate("() => document.activeElement.role") == "tabpanel"


def test_two_views_share_no_id(opened):
    notebook = opened()
    notebook.show("e2 = ex.Explorer(brisk)\nfrom IPython.display import display\ndisplay(e, e2)", at=-2)
    notebook.locator(CANVAS).nth(11).wait_for()
    notebook.until(f"() => ({PANELS})().filter((each) => each.panels.length === 1).length === 3")
    ids = notebook.page.evaluate(IDS)
    assert len(ids) == len(set(ids))
    each = notebook.page.evaluate(PANELS)
    assert [set(one["controls"]) for one in each] == [set(one["panels"]) for one in each]
