"""How soon the page answers, in a real JupyterLab and Chromium on this machine.

    python tests/benchmarks/latency.py [--n N] [--starts N] [--kernels N] [--seconds S]

Measured are, with server, kernel and browser on the same cores and the browser drawing without a GPU:

- threshold: one key press on its slider to the frame that painted the network pruned so, at rest and while
  training. In the page: from the `keydown` event to the first animation frame after the charts have drawn.
- callback: the key press to the Python callback of the slider, while training. One clock: the page's
  `Date.now()` and the kernel's `time.time()` are of the same machine.
- charts: updates painted a second while training, and what each costs the kernel inside `Explorer._on_frame`
  and `LiveChart.update`: the CPU time of the thread, and the wall time of the whole frame, in which it also
  waits for its turn at the interpreter and at the cores that it shares with server and browser.
- tabs: what a frame costs the kernel on each of the seven tabs, and how many there are a second.
- start: the click on Train to the frame that painted the first point of the accuracy curve.
- view: running the cell that makes an explorer to the frame that painted its charts. The very first one of a
  kernel is told apart: with all imports and the page's own loading, and where a cell before it imported.

The reading is kept in `results/`, one file a machine.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import re
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

REPO = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
sys.path.insert(0, str(REPO / "tests/browser"))

from lab_notebook import open_copy  # noqa: E402  the browser tests' own server, browser and notebook
from lab_server import launch, open_page, serve  # noqa: E402

GOALS = {
    "threshold, idle": ("p95", 150),
    "threshold, training": ("p95", 300),
    "chart updates a second": ("median", 10),
    "kernel, a whole frame": ("median", 5),
    "kernel, the charts' message": ("median", 5),
    "first point": ("p95", 1000),
    "first view": ("p95", 2000),
    "first view of a kernel": ("p95", 2000),
    "the same, imported before": ("p95", 2000),
}
SELECT = """(code) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length - 1;
  notebook.activeCell.model.sharedModel.setSource(code);
}"""
TABS = ("live", "weights", "gradients", "tradeoff", "masks", "digits", "runs")
UPWARDS = ("chart updates a second",)  # here more is better
EXPLORER = "import explorer as ex\ne = ex.Explorer(ex.Experiment(epochs={epochs}))\ne"
STATE = ".explorer-fact-state b"
KNOB = ".explorer-threshold:visible .noUi-handle"

# Notes the time of every painted tag. `painted` resolves once a tag is at least as high as asked.
WATCH = """() => {
  const root = document.querySelector(".explorer-charts");
  window.paints = [];
  window.keys = [];
  new MutationObserver(() => window.paints.push([Number(root.dataset.tag), performance.now(), Date.now()]))
    .observe(root, {attributeFilter: ["data-tag"]});
  const note = () => window.keys.push([performance.now(), Date.now()]);
  for (const type of ["keydown", "pointerdown"]) document.addEventListener(type, note, {capture: true});
}"""
# Runs a cell's code and resolves with the milliseconds until charts were painted.
VIEW = """async () => {
  const started = performance.now();
  const cell = window.jupyterapp.shell.currentWidget.content.activeCell;
  window.jupyterapp.commands.execute("notebook:run-cell");
  const frame = () => new Promise(requestAnimationFrame);
  while (!cell.node.querySelector(".explorer-charts[data-tag] canvas")) await frame();
  await frame();
  return performance.now() - started;
}"""
# In the kernel: which tag showed which threshold, when callbacks came, and what frames cost.
INSTRUMENT = """
import time
tries, calls, frames, messages, waits = {}, [], [], [], []
def timed(function, into, clock=time.thread_time):
    def wrapper(*args, **kwargs):
        start = clock()
        try:
            return function(*args, **kwargs)
        finally:
            into.append(1000 * (clock() - start))
    return wrapper
def on_frame(frame, show=e._on_frame):
    show(frame)
    if frame.preview is not None:
        tries[e._tag] = frame.preview
    points.setdefault(bool(e.session.points and e.session.points[-1].step), []).append(e._tag)
points = {}
e.session.frames.on_frame = timed(timed(on_frame, frames), waits, time.perf_counter)
e._chart.update = timed(e._chart.update, messages)
e._threshold.share.observe(lambda change: calls.append([change["new"], 1000 * time.time()]), "value")
"""


@contextlib.contextmanager
def opened_notebook():
    """A notebook in a real browser, without pytest."""
    with (
        tempfile.TemporaryDirectory() as home,
        serve(Path(home)) as lab,
        launch() as browser,
    ):
        page, _ = open_page(browser, lab)
        notebook = open_copy(page, lab, REPO / "notebooks/explore.ipynb")
        yield notebook
        notebook.close()


def show(notebook, epochs):
    """A fresh, instrumented explorer."""
    notebook.sweep()
    notebook.show(EXPLORER.format(epochs=epochs))
    notebook.locator(f"{STATE}:text-is('ready')").wait_for()
    notebook.until("() => Number(document.querySelector('.explorer-charts').dataset.tag) > 0")
    notebook.run(INSTRUMENT)
    notebook.page.evaluate(WATCH)


def press_keys(notebook, n):
    """Presses a key n times, each when the one before is painted; milliseconds to paint and to callback."""
    notebook.locator(KNOB).focus()
    painted, called = [], []
    for i in range(n):
        tried, heard = notebook.value("[max(tries, default=0), len(calls)]")
        notebook.page.evaluate("() => { window.keys = [] }")
        seen = notebook.page.evaluate("() => window.paints.length")
        notebook.page.keyboard.down("ArrowLeft" if i % 10 < 5 else "ArrowRight")  # not let go: no retraining
        tag = None
        while tag is None:  # asked only when something new is painted: to ask is work for the kernel
            notebook.until("(seen) => window.paints.length > seen", seen)
            seen = notebook.page.evaluate("() => window.paints.length")
            tag = notebook.value(f"min((t for t in tries if t > {tried}), default=None)")
        at = notebook.value(f"calls[{heard}][1]")
        notebook.until("(tag) => window.paints.some((paint) => paint[0] >= tag)", tag)
        key, when = notebook.page.evaluate(
            "(tag) => [window.keys[0], window.paints.find((paint) => paint[0] >= tag)]", tag
        )
        painted.append(when[1] - key[0])
        called.append(at - key[1])
    return painted, called


def paint_for(notebook, seconds):
    """Lets so many seconds of updates be painted, which `window.paints` then has."""
    notebook.page.evaluate("() => { window.paints = [] }")
    notebook.until(
        "(ms) => window.paints.length && window.paints.at(-1)[1] - window.paints[0][1] > ms", 1000 * seconds
    )


def measure_idle(notebook, n):
    """The threshold at rest."""
    show(notebook, 3)
    press_keys(notebook, 3)  # warm
    return press_keys(notebook, n)


def measure_training(notebook, n, seconds):
    """The threshold, its callback and the charts while a long run trains."""
    show(notebook, 10_000)
    notebook.locator(".explorer-train").click()
    notebook.until_kernel("True in points")
    notebook.run("frames.clear(); messages.clear(); waits.clear()")
    paint_for(notebook, seconds)
    paints = notebook.page.evaluate("() => window.paints")
    costs = notebook.value("[frames, messages, waits]")
    per_second = [sum(s <= (p[1] - paints[0][1]) / 1000 < s + 1 for p in paints) for s in range(int(seconds))]
    press_keys(notebook, 3)
    painted, called = press_keys(notebook, n)
    speed = float(notebook.run("print(e.session.call(lambda t: t.step / t.seconds).result())"))
    notebook.locator(".explorer-stop").click()
    return painted, called, per_second, costs, speed


def measure_start(notebook, n):
    """The click on Train to the first painted point, each of a run from the beginning."""
    show(notebook, 3)
    waits = []
    for _ in range(n + 1):
        notebook.run("points.clear()")
        notebook.page.evaluate("() => { window.keys = [] }")
        notebook.locator(".explorer-train").click()
        notebook.until_kernel("True in points")
        tag = notebook.value("points[True][0]")
        notebook.until("(tag) => window.paints.some((paint) => paint[0] >= tag)", tag)
        waits.append(
            notebook.page.evaluate(
                "(tag) => window.paints.find((paint) => paint[0] >= tag)[1] - window.keys[0][0]", tag
            )
        )
        notebook.locator(".explorer-reset").click()
        notebook.locator(f"{STATE}:text-is('ready')").wait_for()
    return waits[1:]  # the first warms up


def measure_tabs(notebook, seconds):
    """The kernel's cost of each frame on each tab while a long run trains, and frames a second."""
    show(notebook, 10_000)
    notebook.locator(".explorer-train").click()
    notebook.until_kernel("True in points")
    found = {}
    for tab in TABS:
        notebook.locator(f".explorer-tab-{tab}").click()
        paint_for(notebook, 1)  # what is drawn once is drawn
        notebook.run("frames.clear()")
        paint_for(notebook, seconds)
        found[tab] = notebook.value("frames[:]")
    notebook.locator(".explorer-stop").click()
    return found


def measure_view(notebook, n):
    """Running the cell to the painted charts."""
    waits = []
    for _ in range(n):
        notebook.sweep()
        notebook.page.evaluate(SELECT, EXPLORER.format(epochs=3))
        waits.append(notebook.page.evaluate(VIEW))
    return waits


def measure_first_view(n):
    """The same in fresh servers, pages and kernels: with the imports, and after a cell that imported."""
    waits = [], []
    for imported in [False, True] * n:
        with opened_notebook() as notebook:
            if imported:
                notebook.run("import explorer as ex; ex.Explorer")
            waits[imported].extend(measure_view(notebook, 1))
    return waits


def summary(values):
    """Median, 95th percentile, extremes and n."""
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, -(-95 * len(ordered) // 100) - 1)],
        "min": ordered[0],
        "max": ordered[-1],
        "n": len(ordered),
    }


def decision(name, found):
    """Whether a goal is met, in words; empty where there is none."""
    if name not in GOALS:
        return ""
    which, bound = GOALS[name]
    met = found[which] >= bound if name in UPWARDS else found[which] <= bound
    return f"goal {which} {'≥' if name in UPWARDS else '≤'} {bound}: {'met' if met else 'MISSED'}"


def machine():
    """What the reading was taken on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line for line in lines if line.startswith("model name")), f": {platform.machine()}")
    names = ["torch", "jupyterlab", "ipykernel", "ipywidgets", "anywidget", "altair", "vl-convert-python"]
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in [*names, "playwright"]},
        },
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def main():
    """Measures, prints a table and keeps the reading."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=40, help="key presses, idle and training each")
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--kernels", type=int, default=5, help="whose first view is timed")
    parser.add_argument(
        "--seconds", type=float, default=10, help="of training over which updates are counted"
    )
    arguments = parser.parse_args()
    about = machine()
    first, imported = measure_first_view(arguments.kernels)
    with opened_notebook() as notebook:
        views = measure_view(notebook, arguments.starts + 1)[1:]
        idle, idle_called = measure_idle(notebook, arguments.n)
        painted, called, per_second, costs, speed = measure_training(notebook, arguments.n, arguments.seconds)
        tabs = measure_tabs(notebook, arguments.seconds / 2)
        starts = measure_start(notebook, arguments.starts)
        about["browser"] = notebook.page.context.browser.version
        about["device"] = notebook.locator(".explorer-fact-device b").inner_text()
    readings = {
        "threshold, idle": idle,
        "callback, idle": idle_called,
        "threshold, training": painted,
        "callback, training": called,
        "chart updates a second": per_second,
        "kernel, a whole frame": costs[0],
        "kernel, the charts' message": costs[1],
        "wall, a whole frame": costs[2],
        "first point": starts,
        "first view": views,
        "first view of a kernel": first,
        "the same, imported before": imported,
        **{f"kernel, a frame of {tab}": costs for tab, costs in tabs.items()},
    }
    found = {name: summary(values) for name, values in readings.items()}
    print(f"{about['cpu']}, {about['cores']} cores, load {about['load_before'][0]:.1f}; {speed:.0f} steps/s")
    for name, each in found.items():
        unit = "" if name in UPWARDS else " ms"
        numbers = f"median {each['median']:7.1f}{unit}, p95 {each['p95']:7.1f}{unit}, n = {each['n']}"
        print(f"{name:28} {numbers:48} {decision(name, each)}")
    name = re.sub(r"\W+", "-", f"{about['cpu']}-{about['cores']}-cores").strip("-").lower()
    RESULTS.mkdir(exist_ok=True)
    reading = {"machine": about, "steps_a_second": speed, "summary": found, "milliseconds": readings}
    rounded = json.loads(json.dumps(reading), parse_float=lambda text: round(float(text), 2))
    (RESULTS / f"latency-{name}.json").write_text(json.dumps(rounded, indent=1) + "\n")


if __name__ == "__main__":
    main()
