"""The Weights tab in a real JupyterLab: a field sets the threshold, an alarm is seen while dragging."""

import pytest
from at_the_page import NOW, choose, expect, grab, train, until_state

pytestmark = pytest.mark.usefixtures("quiet")

TEXT = "(name) => document.querySelector(`.explorer-as-${name} input`).value"


@pytest.fixture
def weights(opened):
    notebook = opened()
    choose(notebook, "weights")
    train(notebook)
    notebook.until_at_rest()
    return notebook


def test_a_compression_typed_in_is_pruned_to_and_shown_in_all_units(weights):
    before = weights.page.evaluate(TEXT, "score")
    field = weights.locator(".explorer-as-compression input")
    field.fill("40")
    field.press("Enter")
    weights.until(f"() => ({NOW})().sparsity === 97.5 && ({NOW})().state === 'done'")
    weights.until("() => document.querySelector('.explorer-as-sparsity input').value === '97.5 %'")
    weights.until(f"() => ({TEXT})('compression') === '40 ×'")
    weights.until(f"(before) => Number(({TEXT})('score')) > Number(before)", before)
    expect(weights.locator(".explorer-threshold:visible .widget-readout")).to_have_text("97.5")
    assert weights.value("e.experiment.pruning.threshold") == 0.975


@pytest.mark.slow
def test_a_number_between_the_sliders_steps_stays(weights):
    field = weights.locator(".explorer-as-sparsity input")
    field.fill("91.234 %")
    field.press("Enter")
    readout = ".explorer-threshold .widget-readout"
    weights.until(f"() => document.querySelector('{readout}').textContent === '91.2'")
    until_state(weights, "done")
    weights.until(f"() => ({NOW})().sparsity === 91.2")
    assert weights.value("e.experiment.pruning.threshold") == 0.91234


@pytest.mark.slow  # the Python half is in tests/ui
def test_the_alarm_comes_while_the_threshold_is_dragged_and_goes(weights):
    expect(weights.locator(".explorer-alarm")).to_have_count(0)
    x, y = grab(weights)
    weights.page.mouse.move(x + 60, y)
    expect(weights.locator(".explorer-alarm")).to_contain_text("allocation “uniform” or “erk”")
    weights.until("() => document.querySelectorAll('.explorer-keep-fine').length < 2")
    weights.page.mouse.move(x - 30, y)
    weights.locator(".explorer-alarm").wait_for(state="detached")
    weights.page.mouse.up()


@pytest.mark.slow
def test_log_counts_are_drawn(weights):
    before = weights.pixels()
    weights.locator(".explorer-counts button:text-is('log counts')").click()
    weights.until_pixels_change(before)
