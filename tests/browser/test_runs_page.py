"""Runs, their past and their settings as text, in a real JupyterLab."""

import pytest
from at_the_page import choose, expect, press, step_of, train, until_state

pytestmark = pytest.mark.usefixtures("quiet")

ROWS = ".explorer-pinned tbody tr"
HEADS = "() => [...document.querySelectorAll('.explorer-pinned th[scope=col]')].map((th) => th.innerText)"
HEIGHTS = """() => [...document.querySelectorAll('.explorer-pinned th[scope=col]')].map((head) => {
  const text = document.createRange();
  text.selectNodeContents(head);
  return text.getBoundingClientRect().bottom;
})"""
NAMES = "() => [...document.querySelectorAll('.explorer-run-name')].map((input) => input.value)"
HANDLE = ".explorer-scrub .noUi-handle"
TEXT = ".explorer-share-text"


@pytest.fixture
def done(opened):
    notebook = opened()
    train(notebook)
    return notebook


@pytest.mark.slow  # the Python half is in tests/ui
def test_runs_are_pinned_named_compared_and_brought_back(done):
    choose(done, "runs")
    press(done, "pin")
    done.locator(ROWS).wait_for()
    done.run("e.experiment = brisk.replace({'pruning.threshold': 0.99})")
    train(done)
    press(done, "pin")
    done.locator(ROWS).nth(1).wait_for()
    heads = ["Rank", "Run", "Threshold", "Accuracy", "Shift (points)", "Sparsity", "Clipped", "n"]
    done.until_reads(HEADS, heads)  # what is the same in both is not shown
    expect(done.locator(".explorer-pinned tbody th[scope=row]")).to_have_count(2)
    name = done.locator(".explorer-run-name").first
    name.fill("mine")
    name.press("Enter")
    done.until(f"() => ({NAMES})().includes('mine')")
    done.until_kernel("'mine' in [pin.name for pin in e._context.pins.runs]")
    done.until_at_rest()
    assert len(set(done.page.evaluate(HEIGHTS))) == 1
    first = done.value("e._context.pins.runs[0].name")
    other = done.locator(".explorer-run-name").last
    was = other.input_value()
    for key, text in (("Escape", "other"), ("Enter", " ")):  # given up, and no name at all
        other.fill(text)
        other.press(key)
        expect(other).to_have_value(was)
    assert done.value("[pin.name for pin in e._context.pins.runs]")[1] == was
    done.locator(f"button[aria-label='Restore {first}']").click()
    done.until_kernel("e.experiment.pruning.threshold == 0.9")
    until_state(done, "done")
    done.locator(f"button[aria-label='Remove {first}']").press("Enter")
    done.locator(ROWS).nth(1).wait_for(state="detached")
    expect(done.locator(f"button[aria-label='Remove {was}']")).to_be_focused()  # and no key is lost
    done.page.keyboard.press("Enter")
    done.locator(ROWS).wait_for(state="detached")
    expect(done.locator(".explorer-pin")).to_be_focused()


@pytest.mark.slow  # the Python half is in tests/ui
def test_the_past_is_looked_at_by_keys_and_trained_on_from(done):
    handle = done.locator(HANDLE)
    done.until("(at) => Number(document.querySelector(at).ariaValueNow) === 4", HANDLE)  # the last record
    handle.focus()
    done.page.keyboard.press("ArrowLeft")
    until_state(done, "looking at epoch 0.75")
    done.until("(at) => document.querySelector(at).ariaValueText === 'epoch 0.75'", HANDLE)
    expect(handle).to_have_attribute("aria-label", "History")
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


@pytest.mark.slow  # the Python half is in tests/ui
def test_settings_are_copied_and_pasted_as_text(done):
    choose(done, "runs")
    text = done.locator(TEXT)
    expect(text).to_have_value(done.value("e.experiment.code()"))
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
