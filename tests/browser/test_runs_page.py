"""Runs, their past and their settings as text, in a real JupyterLab."""

import pytest
from at_the_page import choose, press, step_of, until_state

pytestmark = pytest.mark.usefixtures("quiet")

ROWS = ".explorer-pinned tbody tr"
NAMES = "() => [...document.querySelectorAll('.explorer-run-name')].map((input) => input.value)"
HANDLE = ".explorer-scrub .noUi-handle"
TEXT = ".explorer-share-text"


@pytest.fixture
def done(opened):
    notebook = opened()
    press(notebook, "train")
    until_state(notebook, "training")
    until_state(notebook, "done")
    return notebook


def test_runs_are_pinned_named_compared_and_brought_back(done):
    choose(done, "runs")
    press(done, "pin")
    done.locator(ROWS).wait_for()
    done.run("e.experiment = brisk.replace({'pruning.threshold': 0.99})")
    press(done, "train")
    until_state(done, "training")
    until_state(done, "done")
    press(done, "pin")
    done.locator(ROWS).nth(1).wait_for()
    heads = done.locator(".explorer-pinned table th[scope=col]").all_inner_texts()
    assert heads[:2] == ["Rank", "Run"]
    assert "Threshold" in heads
    assert "Method" not in heads  # what is the same is not shown
    assert done.locator(".explorer-pinned tbody th[scope=row]").count() == 2
    name = done.locator(".explorer-run-name").first
    name.fill("mine")
    name.press("Enter")
    done.until(f"() => ({NAMES})().includes('mine')")
    assert "mine" in done.value("[pin.name for pin in e._context.pins.pins]")
    done.until_at_rest()
    first = done.value("e._context.pins.pins[0].name")
    done.locator(f"button[aria-label='Restore {first}']").click()
    done.until_kernel("e.experiment.pruning.threshold == 0.9")
    until_state(done, "done")
    done.locator(f"button[aria-label='Remove {first}']").click()
    done.locator(ROWS).nth(1).wait_for(state="detached")


def test_the_past_is_looked_at_by_keys_and_trained_on_from(done):
    handle = done.locator(HANDLE)
    done.until("(at) => Number(document.querySelector(at).ariaValueNow) === 4", HANDLE)  # the last record
    handle.focus()
    done.page.keyboard.press("ArrowLeft")
    until_state(done, "looking at epoch 0.75")
    done.until("(at) => document.querySelector(at).ariaValueText === 'epoch 0.75'", HANDLE)
    assert handle.get_attribute("aria-label") == "History"
    done.page.keyboard.press("ArrowLeft")
    until_state(done, "looking at epoch 0.5")
    done.locator(".explorer-scrub-now").click()
    until_state(done, "done")
    done.until("(at) => Number(document.querySelector(at).ariaValueNow) === 4", HANDLE)
    handle.focus()
    done.page.keyboard.press("ArrowLeft")
    until_state(done, "looking at epoch 0.75")
    total = step_of(done)
    done.locator(".explorer-scrub-branch").click()
    until_state(done, "done")
    done.until_kernel("'branch' in e.run.events['what'].to_list()")
    assert step_of(done) == total


def test_settings_are_copied_and_pasted_as_text(done):
    choose(done, "runs")
    text = done.locator(TEXT)
    assert text.input_value() == done.value("e.experiment.code()")
    done.locator(".explorer-share-json").click()
    done.until("(at) => document.querySelector(at).value.startsWith('{')", TEXT)
    done.locator(".explorer-share-copy").click()
    done.until("() => document.querySelector('.explorer-share-told').textContent !== ''")
    text.fill("ex.Experiment(lr=-1)")
    done.locator(".explorer-share-apply").click()
    done.locator(".explorer-share-bad:text('lr = -1')").wait_for()
    text.fill("ex.Experiment(epochs=2, seed=7)")
    done.locator(".explorer-share-apply").click()
    done.until_kernel("e.experiment == ex.Experiment(epochs=2, seed=7)")
    done.until("(at) => JSON.parse(document.querySelector(at).value).seed === 7", TEXT)
