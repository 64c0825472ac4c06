"""A real JupyterLab and a real Chromium, network closed: one server, page and kernel for all stories.

The page shows a copy of notebooks/explore.ipynb with empty cells at its end, where each story writes and runs
what it needs; afterwards the outputs, the widgets and the names in the kernel are gone. Nothing here sleeps:
every wait is for a condition. Machines without Chromium skip these tests, unless EXPLORER_REQUIRE_BROWSER=1,
which turns the skip into a failure.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PATIENCE = 60_000  # milliseconds; a wait that takes this long has failed
KERNEL = "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"
SERVER = [
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--ServerApp.password=",
    "--ServerApp.disable_check_xsrf=True",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.extension_manager=readonly",
]
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
# JupyterLab's and the browser's own remarks, which no code of ours can cause or cure
HARMLESS = ("favicon", "Could not restore the debugger state")


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def _unavailable(reason):
    if os.environ.get("EXPLORER_REQUIRE_BROWSER") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Lab:
    """Where the server listens and which folder it serves."""

    url: str
    root: Path


def _environment(home):
    """Settings, workspaces and runtime files of this session only; the kernel imports the working tree."""
    names = ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"]
    names += ["JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"]
    folders = {name: str(home / name.lower()) for name in names}
    paths = os.pathsep.join([str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **folders, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


def _quiet(settings):
    """Turn off the news pop-up, which asks the network."""
    file = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}))


def _answers(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api", timeout=1):
        return True
    return False


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    pytest.importorskip("jupyterlab")
    with serve(tmp_path_factory.mktemp("lab")) as running:
        yield running


@contextlib.contextmanager
def serve(home):
    """Run JupyterLab with all its files in a folder."""
    root, log = home / "notebooks", home / "server.log"
    root.mkdir()
    env, port = _environment(home), _free_port()
    _quiet(Path(env["JUPYTERLAB_SETTINGS_DIR"]))
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *SERVER,
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={root}",
    ]
    with log.open("w") as out, subprocess.Popen(command, env=env, cwd=root, stdout=out, stderr=out) as server:
        try:
            _await_server(server, f"http://127.0.0.1:{port}", log)
            yield Lab(f"http://127.0.0.1:{port}", root)
        finally:
            server.terminate()
            server.wait(20)


def _await_server(server, url, log):
    """Wait until it answers; a process that ends, or 60 s of refusals, shows its log."""
    for _ in range(600):
        if _answers(url):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.1)
            break
    pytest.fail(f"jupyter lab did not start:\n{log.read_text()}", pytrace=False)


@pytest.fixture(scope="session")
def browser():
    with launch() as running:
        yield running


@contextlib.contextmanager
def launch():
    """Run Chromium without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _unavailable("playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        _unavailable("no chromium on the PATH (Debian: apt install chromium fonts-dejavu-core)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield browser
        browser.close()


@dataclass
class Watch:
    """What the page did that it should not."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def route(self, route, request, url):
        """Let requests to the server pass, refuse and record the others."""
        if request.url.startswith((url, "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(request.url)
            route.abort()

    def console(self, message):
        """Record errors on the console."""
        text = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not any(known in text for known in HARMLESS):
            self.errors.append(text)


@pytest.fixture(scope="session")
def _page_and_watch(browser, lab):
    page, watch = open_page(browser, lab)
    yield page, watch
    page.close()


def open_page(browser, lab):
    """Open a page that is watched, and can reach nothing but the server."""
    page, watch = browser.new_page(viewport={"width": 1400, "height": 1000}), Watch()
    page.set_default_timeout(PATIENCE)
    page.route("**/*", lambda route, request: watch.route(route, request, lab.url))
    page.on("console", watch.console)
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    return page, watch


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


EXECUTE = """async (code) => {
  const kernel = KERNEL;
  const future = kernel.requestExecute({code, store_history: false, stop_on_error: false});
  let text = "";
  future.onIOPub = ({header, content}) => {
    if (header.msg_type === "stream") text += content.text;
    if (header.msg_type === "execute_result") text += content.data["text/plain"];
    if (header.msg_type === "error") text += content.traceback.join("\\n");
  };
  const late = new Promise((_, fail) => setTimeout(() => fail(new Error("no answer to " + code)), PATIENCE));
  const reply = await Promise.race([future.done, late]);
  return [reply.content.status, text];
}""".replace("KERNEL", KERNEL).replace("PATIENCE", str(PATIENCE))
# Cells are told by their place from the end, where the stories' own are
SHOW = """async ([code, at]) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length + at;
  notebook.activeCell.model.sharedModel.setSource(code);
  await window.jupyterapp.commands.execute("notebook:run-cell");
}"""
RUN_CELL = """async (text) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const sources = notebook.widgets.map((cell) => cell.model.sharedModel.source);
  notebook.activeCellIndex = sources.findIndex((source) => source.includes(text));
  await window.jupyterapp.commands.execute("notebook:run-cell");
}"""
CLEAR = "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
# Explorers first: they end their sessions. Later stories must not find names or threads of this one.
SWEEP = """
import ipywidgets, threading
ipywidgets.Widget.close_all()
get_ipython().reset(new_session=False)
import threading
[t.name for t in threading.enumerate() if t.name.startswith("explorer-session")]
"""
SPARE_CELLS = 2
AT_REST = """async () => {
  const frames = () => [...document.querySelectorAll(".explorer-charts")].map((r) => r.dataset.frames).join();
  const before = frames();
  for (let i = 0; i < 5; i += 1) await new Promise(requestAnimationFrame);
  const fits = (f) => Math.abs(f.clientWidth - (f.querySelector("canvas")?.clientWidth ?? 0)) <= 1;
  return frames() === before && [...document.querySelectorAll(".explorer-chart:not([hidden])")].every(fits);
}"""
CANVAS = ".explorer-chart:not([hidden]) canvas.marks"
PIXELS = f"() => [...document.querySelectorAll('{CANVAS}')].map((c) => c.toDataURL())"


@dataclass
class Notebook:
    """The open notebook with its live kernel."""

    page: object

    def locator(self, selector, **how):
        """Find in the page, as Playwright does."""
        return self.page.locator(selector, **how)

    def run(self, code):
        """Execute Python in the kernel, beside the notebook; return what it printed and its last value."""
        status, text = self.page.evaluate(EXECUTE, code)
        assert status == "ok", text
        return text.strip()

    def value(self, expression):
        """Return the value of a Python expression in the kernel, by way of JSON."""
        return json.loads(self.run(f"import json; print(json.dumps({expression}))"))

    def show(self, code, at=-1):
        """Write code into a cell, counted from the end, and run it; its output is then on the page."""
        self.page.evaluate(SHOW, [code, at])

    def run_cell(self, text):
        """Run the notebook's own cell that has this text in it."""
        self.page.evaluate(RUN_CELL, text)

    def pixels(self):
        """Return what each chart's canvas shows, as data URLs."""
        return self.page.evaluate(PIXELS)

    def until_at_rest(self):
        """Wait until the charts fill their places and nothing more is painted."""
        self.until(AT_REST)

    def until_pixels_change(self, before):
        """Wait until no canvas looks as it did."""
        self.until(f"(old) => ({PIXELS})().every((now, i) => now !== old[i])", before)

    def until_pixels_are(self, wanted):
        """Wait until all canvases look like this."""
        self.until(f"(wanted) => JSON.stringify(({PIXELS})()) === JSON.stringify(wanted)", wanted)

    def save(self):
        """Save the file, outputs included."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def ready(self):
        """Wait for JupyterLab, the notebook's cells and an idle kernel."""
        self.page.wait_for_function("() => window.jupyterapp && window.jupyterapp.started")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function(f"() => {KERNEL}?.status === 'idle'")
        self.page.wait_for_function("() => !document.querySelector('#jupyterlab-splash')")
        return self

    def reload(self):
        """Reload the page; the kernel lives on."""
        self.page.reload()
        return self.ready()

    def theme(self, name):
        """Switch to "JupyterLab Light", "JupyterLab Dark" or "JupyterLab Dark High Contrast"."""
        light = "false" if "Dark" in name else "true"
        command = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
        self.page.evaluate(command, name)
        wanted = f"body[data-jp-theme-name='{name}'][data-jp-theme-light='{light}']"
        self.page.wait_for_selector(wanted, state="attached")
        self.page.wait_for_function("() => !document.querySelector('#jupyterlab-splash')")

    def until(self, expression, arg=None):
        """Wait until a JavaScript expression, a function of ``arg``, is true."""
        self.page.wait_for_function(expression, arg=arg)

    def until_kernel(self, expression):
        """Wait until a Python expression in the kernel is true; each question is a round trip, no sleep."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not (found := self.value(expression)):
            assert time.monotonic() < deadline, f"{expression} stayed {found}"

    def sweep(self):
        """Take away all outputs, widgets and names, so that the next story starts with nothing."""
        self.page.evaluate(CLEAR)
        for at in range(-SPARE_CELLS, 0):
            self.show("", at)
        assert self.run(SWEEP) == "[]", "a session outlived its widget"

    def close(self):
        """Shut the kernel down."""
        session = "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext"
        self.page.evaluate(f"async () => {{ await {session}?.shutdown() }}")
        self.page.goto("about:blank")


def open_copy(page, lab, path):
    """Open a copy of a notebook file with spare cells at its end."""
    import nbformat

    content = nbformat.read(path, as_version=4)
    content.cells += [nbformat.v4.new_code_cell() for _ in range(SPARE_CELLS)]
    nbformat.write(content, lab.root / Path(path).name)
    page.goto(f"{lab.url}/doc/tree/{Path(path).name}")
    return Notebook(page).ready()


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
