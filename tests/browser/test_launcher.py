"""The tile in JupyterLab's launcher: one click, and the explorer runs in a notebook of its own.

That JupyterLab starts at all is part of it: an extension without a proper module would hold it up for ever.
"""

import tomllib

import pytest
from at_the_page import STATE, expect, press, until_state
from lab_notebook import KERNEL, Notebook
from lab_server import REPO, open_page

EXTENSION = REPO / "explorer/labextensions/pruning-explorer"
TILE = ".jp-LauncherCard[title='Pruning explorer']"
CURRENT = "window.jupyterapp.shell.currentWidget"


@pytest.fixture
def launcher(browser, lab, request):
    """JupyterLab with its launcher open, in a workspace of its own, as it comes up for the first time."""
    page, watch = open_page(browser, lab)
    page.goto(f"{lab.url}/lab/workspaces/{request.node.name[:20]}")
    page.wait_for_function("() => window.jupyterapp && window.jupyterapp.started")
    page.wait_for_function("() => !document.querySelector('#jupyterlab-splash')")
    page.locator(".jp-Launcher").wait_for()
    yield Notebook(page)
    page.evaluate(f"async () => {{ await {CURRENT}?.context?.sessionContext?.shutdown() }}")
    page.close()
    assert watch.foreign == []
    assert watch.errors == []


def runs(notebook):
    """Wait until an explorer stands ready in the notebook that is in front."""
    notebook.locator(f"{STATE}:text-is('ready')").wait_for()
    return notebook.page.evaluate(f"() => {CURRENT}.context.path")


@pytest.mark.slow
def test_the_tile_opens_a_notebook_with_a_running_explorer(launcher, lab):
    tile = launcher.locator(TILE)
    expect(tile).to_have_text("Pruning explorer", use_inner_text=True)
    picture = tile.locator("img")  # and not a letter
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    top = f"() => document.querySelector(`{TILE}`).getBoundingClientRect().top"
    launcher.until(f"() => ({top})() < 500")  # seen without scrolling
    tile.click()
    path = runs(launcher)
    assert (lab.root / path).exists()
    launcher.locator(".explorer-epochs .noUi-handle").press("End")  # not done before it is stopped
    press(launcher, "train")
    until_state(launcher, "training")
    press(launcher, "stop")
    until_state(launcher, "stopped")
    assert launcher.page.evaluate(f"() => {KERNEL}.name") == "python3"


@pytest.mark.slow
def test_the_command_palette_opens_one_more(launcher, lab):
    taken = {path.name for path in lab.root.glob("Pruning explorer*.ipynb")}
    launcher.page.evaluate(
        "() => { window.jupyterapp.commands.execute('apputils:activate-command-palette') }"
    )
    launcher.locator(".lm-CommandPalette-input").fill("pruning explorer")
    launcher.locator(".lm-CommandPalette-item[data-command='pruning-explorer:open']").click()
    path = runs(launcher)
    assert path.startswith("Pruning explorer")
    assert path not in taken


def test_the_wheel_brings_it_where_jupyterlab_looks():
    build = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    data = build["targets"]["wheel"]["shared-data"]
    assert data == {"explorer/labextensions": "share/jupyter/labextensions"}
    names = {path.relative_to(EXTENSION).as_posix() for path in EXTENSION.rglob("*") if path.is_file()}
    assert names == {"package.json", "install.json", "static/remoteEntry.js"}
