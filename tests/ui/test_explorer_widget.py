"""The explorer as a whole: the Experiment is the single truth, errors are told, nothing is left behind."""

import threading
from html import escape

import pytest
from hands import ENDLESS, MOVES, PATIENCE, let_go, move, told
from ipywidgets.widgets.widget import _instances

import explorer as ex
from explorer.ui.controls import labels
from explorer.ui.explorer import Explorer

# -- the experiment as a property ---------------------------------------------------------------------


def test_setting_the_experiment_moves_all_controls(opened, tiny):
    explorer = opened()
    wanted = tiny(
        model="lenet-300-100",
        loss="mse",
        optimizer="adam",
        lr=0.003,
        lr_decay="linear",
        epochs=7,
        batch_size=48,
        weight_decay=2e-4,
        l1=1e-5,
        pruning={
            "criterion": "gradient",
            "granularity": "neuron",
            "unit": "score",
            "threshold": 0.25,
            "schedule": "every-step",
            "begin_epoch": 0.5,
        },
        clipping={"rule": "value", "max_norm": 0.125},
    )
    explorer.experiment = wanted
    assert explorer.experiment == wanted
    names = set(labels.CONTROLS) - {"preset", "threshold"}
    shown = {name: explorer.controls[name].value for name in names}
    assert shown == {
        "dataset": "tiny",
        "normalise": True,
        "validation": 100,
        "model": "lenet-300-100",
        "loss": "mse",
        "seed": 0,
        "device": "cpu",
        "criterion": "gradient",
        "granularity": "neuron",
        "allocation": "global",
        "unit": "score",
        "schedule": "every-step",
        "begin_epoch": "0.5",
        "end_epoch": "",
        "rule": "value",
        "max_norm": pytest.approx(0.125),
        "optimizer": "Adam",
        "lr": pytest.approx(0.003),
        "lr_decay": "linear",
        "epochs": 7,
        "batch_size": 48,
        "weight_decay": pytest.approx(2e-4),
        "l1": 1e-5,
    }
    assert explorer.controls["threshold"].value == pytest.approx(0.25)


def test_controls_that_show_a_value_do_not_write_it_back(opened, tiny):
    explorer = opened()
    odd = tiny(lr=0.0123456, epochs=33, pruning={"threshold": 0.99912}, clipping={"max_norm": 777.7})
    explorer.experiment = odd  # none of it is a slider's own step or within its range
    assert explorer.experiment == odd
    assert explorer.wait(PATIENCE).experiment == odd


def test_a_dense_experiment_greys_what_it_has_no_use_for(opened, tiny):
    explorer = opened()
    explorer.experiment = tiny(pruning=None, clipping=None)
    grey = {name for name in labels.CONTROLS if explorer.controls[name].disabled}
    axes = {"criterion", "granularity", "allocation", "unit", "schedule"}
    assert grey == {*axes, "begin_epoch", "end_epoch", "max_norm", "threshold"}
    assert explorer.experiment == tiny(pruning=None, clipping=None)
    explorer.controls["train"].click()
    assert explorer.wait(PATIENCE).dense is None


def test_a_preset_is_an_experiment_with_a_commentary(opened):
    explorer = opened()
    name, preset = next(iter(ex.presets.items()))
    explorer.controls["preset"].value = name
    assert told(explorer) == ""
    assert explorer.experiment == preset.experiment
    assert escape(preset.commentary) in explorer.controls["hint"].value
    explorer.controls["reset"].click()
    assert explorer.controls["preset"].value == ""
    assert explorer.experiment != preset.experiment


@pytest.mark.parametrize("leave", ["threshold", "experiment", "restore"])
def test_a_preset_is_named_only_where_the_controls_stand_at_it(opened, leave):
    explorer = opened()
    kept = explorer.session.call(explorer.session.saved_run).result(PATIENCE)
    name = next(n for n, preset in ex.presets.items() if preset.experiment.pruning)
    explorer.controls["preset"].value = name
    if leave == "threshold":
        let_go(explorer, 0.3)
    elif leave == "experiment":
        explorer.experiment = kept.snapshot.lanes[0].experiment
    else:
        explorer._restore(kept)
    assert explorer.experiment != ex.presets[name].experiment
    assert (explorer.controls["preset"].value, explorer.controls["hint"].value) == ("", "")


def test_an_explorer_starts_from_a_presets_name():
    name, preset = next(iter(ex.presets.items()))
    explorer = Explorer(name, device="cpu")
    assert explorer.experiment == preset.experiment
    explorer.close()


def test_setting_the_experiment_in_mid_run_begins_anew(opened, tiny):
    explorer = opened(epochs=ENDLESS)
    explorer.controls["train"].click()
    explorer.session.call(id).result(PATIENCE)
    explorer.experiment = tiny(seed=4)
    run = explorer.wait(PATIENCE)
    assert (run.experiment, run.status, run.summary["steps"]) == (tiny(seed=4), "done", 16)


def test_train_wait_stop_and_run(opened):
    explorer = opened(epochs=ENDLESS)
    assert explorer.run.summary["steps"] == 0
    explorer.controls["train"].click()
    with pytest.raises(TimeoutError):
        explorer.wait(0.02)
    explorer.stop()
    run = explorer.wait(PATIENCE)
    assert run.status == explorer.run.status == "stopped"
    assert run.summary["steps"] == explorer.run.summary["steps"]


def test_reset_is_the_first_experiment_untrained(opened, tiny):
    explorer = opened()
    explorer.controls["train"].click()
    explorer.wait(PATIENCE)
    for name in ("criterion", "lr", "epochs"):
        move(explorer, name, MOVES[name][0])
    let_go(explorer, 0.3)
    explorer.controls["reset"].click()
    run = explorer.wait(PATIENCE)
    assert (explorer.experiment, explorer.session.status, run.summary["steps"]) == (tiny(), "idle", 0)
    assert explorer.controls["threshold"].value == 90
    assert explorer.controls["epochs"].value == 1


def test_pause_is_a_switch_between_pause_and_resume(opened):
    explorer = opened(epochs=ENDLESS)
    button = explorer.controls["pause"]
    assert button.disabled
    explorer.controls["train"].click()
    for status, label in (("paused", "Resume"), ("training", "Pause")):
        button.click()
        explorer.session.call(id).result(PATIENCE)
        assert (explorer.session.status, button.description, button.disabled) == (status, label, False)


# -- errors and the end -------------------------------------------------------------------------------


def test_a_refused_value_is_told_and_the_control_goes_back(opened):
    explorer = opened()
    before = explorer.experiment
    move(explorer, "criterion", "random")
    explorer.session.set = refuse
    move(explorer, "lr", 0.5)
    assert "too &lt;hot&gt;" in told(explorer)  # escaped: an error's text is no HTML
    assert 'role="alert"' in told(explorer)
    assert explorer.controls["lr"].value == before.lr
    assert explorer.experiment == before.replace({"pruning.criterion": "random"})
    del explorer.session.set
    move(explorer, "lr", 0.2)
    assert told(explorer) == ""


def refuse(_):
    raise ValueError("lr = 0.5: too <hot>")


def test_activity_with_single_weights_is_refused(opened):
    explorer = opened()
    move(explorer, "criterion", "activity")
    move(explorer, "granularity", "weight")
    assert "does not go with criterion" in told(explorer)
    assert explorer.controls["granularity"].value == "neuron"
    assert explorer.experiment.pruning.granularity == "neuron"


def test_a_diverged_run_gives_its_advice(opened):
    explorer = opened(lr=1e9, clipping=None, loss="mse")
    explorer.controls["train"].click()
    assert explorer.wait(PATIENCE).status == "diverged"
    assert "try a learning rate below 1e+09" in told(explorer)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ("mlp-784-128-10", ValueError, "preset = 'mlp-784-128-10' is not known"),
        ({"epochs": 1}, TypeError, "give an ex.Experiment"),
        (3, TypeError, "give an ex.Experiment"),
    ],
)
def test_something_else_is_refused_and_changes_nothing(opened, wrong, error, words):
    with pytest.raises(error, match=words):
        Explorer(wrong)
    explorer = opened()
    before = explorer.experiment
    with pytest.raises(error, match=words):
        explorer.experiment = wrong
    assert explorer.experiment == before
    assert told(explorer) == ""


def test_a_presets_name_moves_the_controls(opened):
    explorer = opened()
    explorer.experiment = "han-2015-lenet-300-100"
    assert explorer.experiment == ex.presets["han-2015-lenet-300-100"].experiment


def test_closing_ends_the_threads_and_takes_the_widgets_away(tiny, monkeypatch):
    monkeypatch.setattr("explorer.ui.controls.threshold.RELEASE_SECONDS", 1e6)
    threads, widgets = set(threading.enumerate()), set(_instances)
    explorer = Explorer(tiny(epochs=ENDLESS), device="cpu")
    explorer.controls["train"].click()
    explorer.controls["threshold"].value = 50  # leaves a timer running
    timer = explorer._threshold.timer
    explorer.close()
    for thread in set(threading.enumerate()) - threads:  # they end in their own time
        thread.join(PATIENCE)
    assert not timer.is_alive()
    assert set(threading.enumerate()) <= threads
    assert explorer.comm is None
    assert set(_instances) == widgets
