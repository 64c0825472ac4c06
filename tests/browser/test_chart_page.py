"""The chart widget in a real JupyterLab: it draws, stays, follows the theme and the width, and cleans up."""

import re

import pytest
from at_the_page import expect

pytestmark = pytest.mark.usefixtures("quiet")

SETUP = """
import threading, numpy as np
from explorer import figures
from explorer.ui.widgets.live_chart import LiveChart

def batch(tick):
    rng = np.random.default_rng(tick)
    epoch = np.linspace(0, 1 + tick % 20 / 10, 12 + tick % 20)
    dense = 98 - 12 * np.exp(-3 * epoch)
    pruned = dense - np.where(epoch > 1, 0.4, 0)
    weights = rng.laplace(0, 0.028, 100_352)
    edges = np.linspace(-0.2, 0.2, 65)
    tau = np.quantile(abs(weights), 0.9)
    kept = np.histogram(weights[abs(weights) >= tau], edges)[0]
    pruned_counts = np.histogram(weights[abs(weights) < tau], edges)[0]
    norm = rng.lognormal(-0.4, 0.5, 200)
    points = dict(epoch=np.r_[epoch, epoch], accuracy=np.r_[pruned, dense])
    points["net"] = ["pruned"] * len(epoch) + ["dense"] * len(epoch)
    shift = dict(epoch=epoch[-1:], accuracy=pruned[-1:], label=[figures.shift_label(pruned[-1], dense[-1])])
    state = np.where(norm > 1, "clipped", "not clipped")
    return {
        ("accuracy", "points"): points,
        ("accuracy", "events"): dict(epoch=[1.0], label=["pruned to 90 %"], kind=["prune"]),
        ("accuracy", "shift"): shift,
        ("weights-fc1", "bins"): figures.stacked(edges[:-1], edges[1:], kept, pruned_counts, 0 * kept),
        ("weights-fc1", "cutoffs"): figures.cutoffs_at(tau),
        ("weights-fc1", "note"): figures.kept_note(int(kept.sum()), 100_352),
        ("gradients", "norms"): dict(epoch=np.linspace(0, 3, 200), norm=norm, state=state),
        ("gradients", "clip"): figures.clip_at(1.0),
        ("gradients", "note"): figures.clipped_note(float((norm > 1).mean())),
    }

charts = LiveChart({
    "accuracy": figures.accuracy(subtitle="n = 5,000 validation images, 1 seed", epochs=3),
    "weights-fc1": figures.weights(title="fc1"),
    "gradients": figures.gradients(epochs=3, log=False),
})
tick, halt = 0, threading.Event()

def play(until):
    global tick
    while tick < until and not halt.wait(0.02):
        tick += 1
        charts.update(batch(tick), tag=tick)

def go(until):
    threading.Thread(target=play, args=(until,), daemon=True).start()
"""
SHOW = "\ncharts"
CANVAS = ".explorer-charts canvas.marks"
PAINTED = (
    "(tag) => [...document.querySelectorAll('.explorer-charts')].some((r) => Number(r.dataset.tag) >= tag)"
)
MARK = """() => { window.kept = [...document.querySelectorAll('.explorer-charts canvas.marks')];
  return window.kept.length }"""
SAME = """() => { const now = [...document.querySelectorAll('.explorer-charts canvas.marks')];
  return now.length === window.kept.length && now.every((canvas, i) => canvas === window.kept[i]) }"""


@pytest.fixture
def shown(notebook):
    """Three charts with their first data painted."""
    notebook.show(SETUP + SHOW)
    notebook.locator(CANVAS).nth(2).wait_for()
    notebook.run("charts.update(batch(0), tag=0)")
    notebook.until(PAINTED, 0)
    notebook.until_at_rest()
    return notebook


def test_updates_change_pixels_in_the_same_canvases_which_are_described(shown):
    before = shown.pixels()
    assert shown.page.evaluate(MARK) == 3
    shown.run("go(12)")
    shown.until(PAINTED, 12)
    shown.until_pixels_change(before)
    assert shown.page.evaluate(SAME)


@pytest.mark.slow
def test_each_update_is_painted_as_it_comes(shown):
    first = frames_after(shown, 1)
    assert [frames_after(shown, tag) for tag in (2, 3, 4)] == [first + 1, first + 2, first + 3]
    figure = shown.locator("figure.explorer-chart-accuracy[data-chart=accuracy][role=img]")
    expect(figure).to_have_attribute("aria-label", re.compile("validation accuracy"))


@pytest.mark.slow
def test_second_view_shows_the_present_data(shown):
    shown.show("charts", at=-2)
    shown.locator(CANVAS).nth(5).wait_for()
    shown.until(
        "() => [...document.querySelectorAll('.explorer-charts')].every((r) => r.dataset.tag === '0')"
    )
    shown.until_views_agree(3)
    first, second = shown.pixels()[:3], shown.pixels()[3:]
    assert first == second
    assert len(set(first)) == 3


@pytest.mark.slow
def test_theme_switch_redraws(shown):
    light = shown.pixels()
    shown.theme("JupyterLab Dark")
    try:
        shown.until_pixels_change(light)
    finally:
        shown.theme("JupyterLab Light")
    shown.until_pixels_are(light)
    assert len(set(light)) == 3


@pytest.mark.slow
def test_set_charts_keeps_the_views_and_data_that_stay(shown):
    accuracy = "document.querySelector('.explorer-chart-accuracy canvas')"
    shown.page.evaluate(f"() => {{ window.kept = {accuracy}; window.pixels = window.kept.toDataURL() }}")
    shown.run(
        """old = charts._sources
fc2 = figures.weights(title="fc2")
charts.set_charts({"accuracy": old["accuracy"], "weights-fc2": fc2, "gradients": old["gradients"]})
charts.update({("weights-fc2", "bins"): batch(3)["weights-fc1", "bins"]}, tag=5)"""
    )
    shown.until(PAINTED, 5)
    names = "() => [...document.querySelectorAll('.explorer-chart')].map((f) => f.dataset.chart)"
    shown.until_reads(names, ["accuracy", "weights-fc2", "gradients"])
    shown.until(f"() => {accuracy} === window.kept && {accuracy}.toDataURL() === window.pixels")
    assert shown.value("sorted(charts._sources)") == ["accuracy", "gradients", "weights-fc2"]


@pytest.mark.slow
def test_charts_follow_the_width_without_a_loop(shown):
    widths = "() => [...document.querySelectorAll('.explorer-chart canvas')].map((c) => c.clientWidth)"
    before = shown.page.evaluate(widths)
    shown.page.set_viewport_size({"width": 800, "height": 1000})
    try:
        shown.until(f"(old) => ({widths})().every((w, i) => w !== old[i])", before)
        fits = "(f) => Math.abs(f.clientWidth - f.querySelector('canvas').clientWidth) <= 1"
        shown.until(f"() => [...document.querySelectorAll('.explorer-chart')].every({fits})")
    finally:
        shown.page.set_viewport_size({"width": 1400, "height": 1000})
    shown.until(f"(old) => JSON.stringify(({widths})()) === JSON.stringify(old)", before)
    shown.until_at_rest()  # whoever resizes in a loop never is
    first = frames_after(shown, 1)
    assert frames_after(shown, 2) == first + 1


def frames_after(notebook, tag):
    """How many frames there were once this update is painted and nothing more is."""
    notebook.run(f"charts.update(batch(0), tag={tag})")
    notebook.until(PAINTED, tag)
    notebook.until_at_rest()
    return int(notebook.locator(".explorer-charts").get_attribute("data-frames"))


@pytest.mark.slow
def test_removing_the_output_cleans_up(notebook):
    notebook.show(SETUP + SHOW)
    notebook.locator(CANVAS).nth(2).wait_for()
    notebook.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    notebook.locator(".explorer-charts").wait_for(state="detached")
    notebook.run("charts.update(batch(1))")
    assert notebook.page.evaluate("() => document.querySelectorAll('.explorer-chart').length") == 0
