"""A real JupyterLab and a real Chromium, network closed: one server, page and kernel for all stories.

The page shows a copy of notebooks/explore.ipynb with empty cells at its end, where each story writes and runs
what it needs; afterwards the outputs, the widgets and the names in the kernel are gone. Nothing here sleeps:
every wait is for a condition. Machines without Chromium skip these tests, unless EXPLORER_REQUIRE_BROWSER=1,
which turns the skip into a failure.
"""

import pytest
from at_the_page import BRISK, CANVAS, STATE
from lab_notebook import open_copy
from lab_server import REPO, launch, open_page, serve


def pytest_itemcollected(item):
    item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    pytest.importorskip("jupyterlab")
    with serve(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def browser():
    with launch() as running:
        yield running


@pytest.fixture(scope="session")
def _page_and_watch(browser, lab):
    page, watch = open_page(browser, lab)
    yield page, watch
    page.close()


@pytest.fixture
def page(_page_and_watch):
    return _page_and_watch[0]


@pytest.fixture
def watch(_page_and_watch):
    """Errors and foreign requests of this test alone."""
    watch = _page_and_watch[1]
    watch.foreign.clear()
    watch.errors.clear()
    return watch


@pytest.fixture
def quiet(watch):
    """Fail the test if the page logged an error or asked for anything beyond the server."""
    yield watch
    assert watch.foreign == []
    assert watch.errors == []


@pytest.fixture(scope="session")
def _notebook(_page_and_watch, lab):
    notebook = open_copy(_page_and_watch[0], lab, REPO / "notebooks/explore.ipynb")
    yield notebook
    notebook.close()


@pytest.fixture
def notebook(_notebook):
    """The session's notebook, empty of what earlier stories showed."""
    yield _notebook
    _notebook.sweep()


@pytest.fixture
def opened(notebook):
    """Returns a function that shows an Explorer as `e`, and waits until its charts are painted."""

    def open_(epochs=1):
        notebook.show(f"import explorer as ex\n{BRISK.format(epochs)}\ne = ex.Explorer(brisk)\ne")
        notebook.locator(f"{STATE}:text-is('ready')").wait_for()
        notebook.locator(CANVAS).nth(3).wait_for()
        notebook.until("() => Number(document.querySelector('.explorer-charts').dataset.tag) > 0")
        notebook.until_at_rest()
        return notebook

    return open_
