"""Stories of the explorer: what a person does with it in JupyterLab, on the embedded MNIST."""

import re

import pytest
from at_the_page import NOW, STATE, choose, expect, grab, press, step_of, train, unfold, until_state

pytestmark = pytest.mark.usefixtures("quiet")

PRUNING = ["criterion", "granularity", "allocation", "unit", "threshold", "schedule", "begin-epoch"]
DATA = ["dataset", "normalise", "validation", "model", "loss", "seed", "device"]
TRAINING = ["optimizer", "lr", "lr-decay", "epochs", "batch-size", "weight-decay", "l1"]
CONTROLS = ["preset", *DATA, *PRUNING, "rule", "max-norm", *TRAINING]
SOME = re.compile(r"\S")
PARTS = ["train", "pause", "stop", "reset", "progress", "status"]


# -- finding one's way --------------------------------------------------------------------------------


def test_the_notebooks_own_explorer_trains(notebook):
    notebook.run_cell("ex.Explorer()")
    until_state(notebook, "ready")
    notebook.locator(".explorer-epochs .noUi-handle").press("End")  # it will not be done before it is stopped
    press(notebook, "train")
    notebook.until(f"() => ({NOW})().accuracy > 90")
    press(notebook, "stop")
    until_state(notebook, "stopped")
    expect(notebook.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)


@pytest.mark.slow  # the Python half is in tests/ui
def test_every_control_is_there_and_has_a_name(opened):
    notebook = opened()
    unfold(notebook, "data-and-model")
    for name in CONTROLS:
        control = notebook.locator(f".explorer .explorer-{name}:visible")
        expect(control).to_have_count(1)
        expect(control.locator("label, span").first).to_have_text(SOME, use_inner_text=True)
    for name in PARTS:
        expect(notebook.locator(f".explorer .explorer-{name}:visible")).to_have_count(1)
    expect(notebook.locator(".explorer-error")).to_have_text("")  # and there is just one
    for name in ("train", "reset"):
        expect(notebook.locator(f".explorer-{name}")).to_be_enabled()
    for name in ("pause", "stop"):
        expect(notebook.locator(f".explorer-{name}")).to_be_disabled()


@pytest.mark.slow  # the Python half is in tests/ui
def test_the_magic_opens_an_explorer(notebook):
    notebook.show("%load_ext explorer\n%explorer epochs=1 pruning.threshold=0.75")
    until_state(notebook, "ready")
    expect(notebook.locator(".explorer-epochs .widget-readout")).to_have_text("1")
    expect(notebook.locator(".explorer-threshold:visible .widget-readout")).to_have_text("75.0")


# -- training -----------------------------------------------------------------------------------------


def test_training_reaches_95_percent_and_draws_it(opened):
    notebook = opened()
    before = notebook.pixels()
    train(notebook)
    notebook.until_pixels_change(before)
    now = notebook.page.evaluate(NOW)  # one element's text: what stands beside "done" is of the end
    assert now["accuracy"] > 95
    assert now["sparsity"] == 90.0
    run = notebook.value("[e.run.status, e.run.summary['sparsity'], e.run.history['value'].to_list()[-1]]")
    assert run == ["done", pytest.approx(0.9, abs=1e-5), pytest.approx(now["accuracy"] / 100, abs=0.01)]
    expect(notebook.locator(".explorer-stop")).to_be_disabled()
    expect(notebook.locator(".explorer-error")).to_have_text("")


@pytest.mark.slow  # the Python half is in tests/ui
def test_the_clip_norm_moves_in_mid_run(opened):
    notebook = opened(epochs=1000)
    press(notebook, "train")
    until_state(notebook, "training")
    notebook.locator(".explorer-max-norm .noUi-handle").focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.until_kernel("'max_norm' in e.run.events['what'].to_list()")
    assert notebook.value("[e.session.status, e.run.summary['steered']]") == ["training", True]
    assert notebook.value("e.run.events.rows()[-1][1:]") == ["max_norm", 1.0, pytest.approx(0.891)]
    assert notebook.value("e.experiment.clipping.max_norm") == pytest.approx(0.891)


@pytest.mark.slow  # the Python half is in tests/ui
def test_pause_resume_and_stop(opened):
    notebook = opened(epochs=1000)
    press(notebook, "train")
    notebook.until(f"() => ({NOW})().accuracy > 80")
    press(notebook, "pause")
    until_state(notebook, "paused")
    here = step_of(notebook)
    expect(notebook.locator(".explorer-pause")).to_have_text("Resume")
    assert step_of(notebook) == here
    press(notebook, "pause")
    until_state(notebook, "training")
    notebook.until_kernel(f"e.session.call(lambda trainer: trainer.step).result() > {here}")
    expect(notebook.locator(".explorer-pause")).to_have_text("Pause")
    press(notebook, "stop")
    until_state(notebook, "stopped")
    assert notebook.value("[e.session.status, e.run.summary['steps']]") == ["stopped", step_of(notebook)]


@pytest.mark.slow  # the Python half is in tests/ui
def test_reset_is_where_it_began(opened):
    notebook = opened(epochs=1000)
    before = notebook.pixels()
    notebook.locator(".explorer-criterion select").select_option("random")
    press(notebook, "train")
    until_state(notebook, "training")
    press(notebook, "reset")
    until_state(notebook, "ready")
    expect(notebook.locator(".explorer-criterion select")).to_have_value("magnitude")
    assert notebook.value("e.experiment == brisk")
    notebook.until_pixels_are(before)


# -- the threshold ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_dragging_before_training_tries_and_letting_go_only_sets(opened):
    notebook = opened()
    choose(notebook, "weights")
    before = notebook.pixels()
    x, y = grab(notebook)
    for dx in (-10, -20, -30):
        notebook.page.mouse.move(x + dx, y)
        notebook.until(
            "(old) => document.querySelector('.explorer-fact-state b').textContent.startsWith('trying')"
        )
    notebook.until(f"() => ({NOW})().sparsity < 90")  # the preview's, while the mouse is still down
    readout = notebook.locator(".explorer-threshold:visible .widget-readout").inner_text()
    notebook.locator(f"{STATE}:text-is('trying {readout} %')").wait_for()
    weights = "document.querySelector('.explorer-chart-weights-fc1 canvas').toDataURL()"
    notebook.until(f"(old) => {weights} !== old", before[0])
    assert notebook.value("e.experiment.pruning.threshold") == 0.9  # not set before it is let go
    notebook.page.mouse.up()
    until_state(notebook, "ready")
    wanted = notebook.value("e.experiment.pruning.threshold")
    assert f"{100 * wanted:.1f}" == readout
    assert notebook.value("[e.session.status, e.run.summary['steps']]") == ["idle", 0]


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["60", "60 %"])
def test_what_is_typed_beside_the_threshold_is_percent_as_what_stands_there(opened, typed):
    notebook = opened()
    readout = notebook.locator(".explorer-threshold:visible .widget-readout")
    readout.click()
    notebook.page.keyboard.press("Control+A")
    notebook.page.keyboard.type(typed)
    notebook.page.keyboard.press("Enter")
    notebook.until_kernel("e.experiment.pruning.threshold == 0.6")
    expect(readout).to_have_text("60.0")


@pytest.mark.slow  # the Python half is in tests/ui
def test_letting_go_after_a_run_prunes_anew_and_retrains(opened):
    notebook = opened()
    train(notebook)
    event = notebook.value("e.run.events.rows()")
    x, y = grab(notebook)
    notebook.page.mouse.move(x - 40, y, steps=8)
    notebook.locator(f"{STATE}:has-text('trying')").wait_for()
    assert notebook.value("e.run.events.rows()") == event  # the run is as it was while one tries
    notebook.page.mouse.up()
    notebook.until_kernel("e.run.experiment.pruning.threshold != 0.9 and e.session.status == 'done'")
    until_state(notebook, "done")
    wanted = notebook.value("e.experiment.pruning.threshold")
    assert wanted < 0.85
    [[step, what, start, end]] = notebook.value("e.run.events.rows()")
    assert [step, what, start] == event[0][:3]
    assert end == pytest.approx(wanted, abs=1e-5)
    assert notebook.value("e.run.summary['sparsity']") == pytest.approx(end)
    assert not notebook.value("e.run.summary['steered']")
    assert notebook.page.evaluate(NOW)["sparsity"] == pytest.approx(100 * wanted, abs=0.051)


@pytest.mark.slow  # the Python half is in tests/ui
def test_another_unit_keeps_what_falls(opened):
    notebook = opened()
    notebook.locator(".explorer-unit select").select_option("score")
    notebook.until_kernel("e.experiment.pruning.unit == 'score'")
    train(notebook)
    expect(notebook.locator(".explorer-threshold:visible")).to_have_count(1)
    assert 0 < notebook.value("e.experiment.pruning.threshold") < 0.1  # of |w|, where 90 % lay untrained


@pytest.mark.slow  # the Python half is in tests/ui
def test_activity_prunes_neurons_and_says_so(opened):
    notebook = opened()
    choose(notebook, "weights")
    notebook.locator(".explorer-criterion select").select_option("activity")
    notebook.locator(".explorer-hint", has_text="granularity is now neuron").wait_for()
    expect(notebook.locator(".explorer-granularity select")).to_have_value("neuron")
    assert notebook.value("[e.experiment.pruning.criterion, e.experiment.pruning.granularity]") == [
        "activity",
        "neuron",
    ]
    notebook.locator(
        ".explorer-chart-scores-fc1 canvas"
    ).wait_for()  # scores are not |w|: a chart of their own
    expect(notebook.locator(".explorer-error")).to_have_text("")


# -- when things go wrong -----------------------------------------------------------------------------


@pytest.mark.slow  # the Python half is in tests/ui
def test_a_refused_value_is_told_and_the_control_goes_back(opened):
    notebook = opened()
    notebook.run("e.controls['epochs'].min = -1; e.controls['epochs'].value = 0")
    alert = notebook.locator(".explorer-error [role=alert]")
    expect(alert).to_contain_text("epochs = 0")
    assert notebook.value("e.experiment.epochs") == 1
    notebook.locator(".explorer-epochs .widget-readout:text-is('1')").wait_for()
    unfold(notebook, "data-and-model")
    notebook.locator(".explorer-loss select").select_option("mse")
    alert.wait_for(state="detached")  # what is done right clears the box


@pytest.mark.slow  # the Python half is in tests/ui
def test_a_failure_of_the_worker_is_told(opened):
    notebook = opened()
    notebook.run(
        """from explorer.ui.session import worker
def fail(*_, **__): raise RuntimeError("out of ink")
kept, worker.with_twin = worker.with_twin, fail"""
    )
    try:
        press(notebook, "train")
        alert = notebook.locator(".explorer-error [role=alert]")
        expect(alert).to_contain_text("RuntimeError: out of ink")
        expect(alert).to_contain_text("Press Reset")
    finally:
        notebook.run("worker.with_twin = kept")
    press(notebook, "train")
    until_state(notebook, "done")
    expect(notebook.locator(".explorer-error")).to_have_text("")
