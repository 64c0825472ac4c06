"""The status line stays where it is and in sight, whatever is shown, told or scrolled to."""

import pytest
from at_the_page import choose, press, until_state

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

# Where the status is, and whether all of it can be seen
STATUS = """() => {
  const status = document.querySelector('.explorer-status').getBoundingClientRect();
  const seen = (x, y) => document.elementFromPoint(x, y)?.closest('.explorer-head') !== null;
  return [status.top, seen(status.left + 2, status.top + 2) && seen(status.right - 2, status.bottom - 2)];
}"""
TABS = "() => document.querySelector('.explorer-tabs').getBoundingClientRect().top"
SCROLL = "(to) => document.querySelector(to).scrollIntoView({ block: 'start', behavior: 'instant' })"
ABOVE = "(y) => document.querySelector('.explorer').getBoundingClientRect().top < y"


@pytest.fixture
def laptop(opened):
    """What the file browser leaves of 1280 pixels."""
    notebook = opened()
    notebook.page.set_viewport_size({"width": 1010, "height": 720})
    notebook.until_at_rest()
    yield notebook
    notebook.page.set_viewport_size({"width": 1400, "height": 1000})


def test_it_stands_still_on_every_tab(laptop):
    laptop.page.evaluate(SCROLL, ".explorer")
    before, tabs = laptop.page.evaluate(STATUS), laptop.page.evaluate(TABS)
    assert before[1]
    press(laptop, "train")
    until_state(laptop, "training")
    assert laptop.page.evaluate(TABS) == tabs  # nothing moves when there is more to tell
    until_state(laptop, "done")
    for tab in laptop.value("list(e._gallery.tabs)"):
        choose(laptop, tab)
        assert laptop.page.evaluate(STATUS) == before, tab
        assert laptop.page.evaluate(TABS) == tabs, tab


def test_it_stays_while_a_long_tab_is_read(laptop):
    choose(laptop, "digits")
    laptop.page.evaluate(SCROLL, ".explorer-sketch")
    laptop.until(ABOVE, 0)
    assert laptop.page.evaluate(STATUS)[1]


def test_all_of_live_fits_below_it(laptop):
    press(laptop, "train")
    until_state(laptop, "done")
    laptop.until_at_rest()
    top = laptop.locator(".explorer-head").bounding_box()["y"]
    charts = laptop.locator(".explorer-charts").bounding_box()
    assert charts["y"] + charts["height"] - top < 600
