"""axe-core finds nothing serious in the explorer, on any tab and in both themes."""

import json
from importlib.resources import files

import pytest
from at_the_page import choose, press, train, unfold

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

GRAVE = ("serious", "critical")
# What comes after a tab's charts: without it there would be nothing to look at
CONTENT = {
    "masks": ".explorer-masks-units .explorer-tile",
    "digits": ".explorer-sheet-lost .explorer-tile figcaption",
    "runs": ".explorer-share-text",
}
CHECK = """async () => {
  const found = await axe.run(".explorer", { resultTypes: ["violations"] });
  return found.violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, nodes: nodes.map((n) => [n.html.slice(0, 200), n.failureSummary]) }));
}"""


@pytest.fixture
def checked(opened):
    """Returns a function that has axe look at the page as it is, for what is serious."""
    notebook = opened()
    notebook.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))

    def grave():
        return [found for found in notebook.page.evaluate(CHECK) if found["impact"] in GRAVE]

    notebook.grave = grave
    return notebook


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_nothing_serious_on_any_tab(checked, theme):
    train(checked)
    unfold(checked, "data-and-model")
    checked.theme(theme)
    found = {}
    try:
        press(checked, "export")
        checked.locator(".explorer-export-menu").wait_for()
        found["menu"] = checked.grave()
        for tab in checked.value("list(e._gallery.tabs)"):
            choose(checked, tab)
            if tab in CONTENT:
                checked.locator(CONTENT[tab]).first.wait_for()
            found[tab] = checked.grave()
    finally:
        checked.theme("JupyterLab Light")
    assert not any(found.values()), json.dumps(found, indent=1)


def test_an_error_and_a_hint_can_be_read_too(checked):
    checked.locator(".explorer-preset select").select_option(index=1)
    checked.locator(".explorer-hint p").first.wait_for()
    checked.run("e._guard.tell('lr = -1: must be more than 0')")
    checked.locator(".explorer-error [role=alert]").wait_for()
    assert checked.grave() == []
