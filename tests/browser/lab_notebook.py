"""An open notebook with its live kernel, as tests drive it."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from lab_server import PATIENCE

KERNEL = "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"
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
  for (let i = 0; i < 10; i += 1) await new Promise(requestAnimationFrame);
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

    def until_views_agree(self, charts):
        """Wait until the first view's canvases, so many, look like the second's."""
        self.until(
            f"""(n) => {{ const now = ({PIXELS})();
              return now.length === 2 * n && now.every((each, i) => each === now[i % n]) }}""",
            charts,
        )

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

    def until_reads(self, expression, wanted):
        """Wait until a JavaScript function returns this value; asked once a frame, no sleep."""
        read = f"async () => {{ await new Promise(requestAnimationFrame); return ({expression})() }}"
        deadline = time.monotonic() + PATIENCE / 1000
        while (found := self.page.evaluate(read)) != wanted:
            assert time.monotonic() < deadline, f"{expression} stayed {found}, not {wanted}"

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
