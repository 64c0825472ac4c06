"""A JupyterLab server and a Chromium without a window, the network closed."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PATIENCE = 120_000  # milliseconds; a wait that takes this long has failed, on the busiest machine too
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
    f"--LabApp.extra_labextensions_path={REPO}/explorer/labextensions",  # not the installed ones
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
# JupyterLab's and the browser's own remarks, which no code of ours can cause or cure. On a busy machine a
# reloaded page may draw an output before its widget manager has asked the kernel for the models, and again
# afterwards: stories wait for what is drawn.
HARMLESS = ("favicon", "Could not restore the debugger state", "widget model not found")


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
            server.wait(PATIENCE / 1000)


def _await_server(server, url, log):
    """Wait until it answers; a process that ends, or two minutes of refusals, shows its log."""
    for _ in range(1200):
        if _answers(url):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.1)
            break
    pytest.fail(f"jupyter lab did not start:\n{log.read_text()}", pytrace=False)


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
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM, timeout=PATIENCE)
        yield browser
        browser.close()


@dataclass
class Watch:
    """What the page did that it should not."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def request(self, request, url):
        """Record requests to others than the server; Chromium can resolve no other name."""
        if not request.url.startswith((url, "data:", "blob:")):
            self.foreign.append(request.url)

    def console(self, message):
        """Record errors on the console."""
        text = f"{message.text} ({message.location.get('url', '')})"
        if message.type == "error" and not any(known in text for known in HARMLESS):
            self.errors.append(text)


def open_page(browser, lab):
    """Open a page that is watched, and can reach nothing but the server."""
    page, watch = browser.new_page(viewport={"width": 1400, "height": 1000}), Watch()
    page.set_default_timeout(PATIENCE)
    page.on(
        "request", lambda request: watch.request(request, lab.url)
    )  # a route would stop them all, and costs
    page.on("console", watch.console)
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    return page, watch
