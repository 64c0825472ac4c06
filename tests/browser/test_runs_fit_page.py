"""The table of runs can be read whole at a laptop's width, however many settings differ."""

import pytest
from at_the_page import choose

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.slow]

PIN = """
runs = e._gallery.tabs["runs"]
def pin(**changes):
    e.experiment = brisk.replace(changes)
    e.session.start()
    e.wait(60)
    return runs.pin().name
"""
OVER = """() => { const at = document.querySelector('.explorer-runs-scroll');
  return at.scrollWidth - at.clientWidth }"""
SHOWN = "(at) => [...document.querySelectorAll(at)].filter((el) => el.offsetParent).map((el) => el.innerText)"
SETTINGS = ".explorer-run-settings span"
COLUMNS = ".explorer-pinned thead .explorer-setting"


def test_settings_go_below_the_name_where_there_is_no_room_for_columns(opened):
    notebook = opened()
    choose(notebook, "runs")
    notebook.run(PIN + "pin(); pin(**{'pruning.threshold': 0.97, 'lr': 0.2, 'batch_size': 64})")
    notebook.locator(".explorer-pinned tbody tr").nth(1).wait_for()
    notebook.page.set_viewport_size({"width": 1800, "height": 1000})
    try:
        notebook.until(f"() => ({SHOWN})('{COLUMNS}').length === 3")
        columns = notebook.page.evaluate(SHOWN, COLUMNS)
        assert notebook.page.evaluate(SHOWN, SETTINGS) == []
        notebook.page.set_viewport_size({"width": 1010, "height": 720})
        notebook.until(f"() => ({SHOWN})('{COLUMNS}').length === 0")
        told = notebook.page.evaluate(SHOWN, SETTINGS)
        assert len(told) == 6
        assert all(text.startswith(name) for text, name in zip(told, 2 * columns, strict=True))
        assert notebook.page.evaluate(OVER) <= 0
        for text in ("Restore", "×"):
            assert notebook.locator(f".explorer-pinned button:text-is('{text}')").count() == 2
        notebook.page.set_viewport_size({"width": 1800, "height": 1000})
        notebook.until(f"() => ({SHOWN})('{COLUMNS}').length === 3")
    finally:
        notebook.page.set_viewport_size({"width": 1400, "height": 1000})
