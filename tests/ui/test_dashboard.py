"""The Python half of the explorer: each control is a field, and the Experiment is the single truth."""

import threading
from html import escape

import pytest
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets.widgets.widget import _instances

import explorer as ex
from explorer import registry
from explorer.ui import controls, display, live_chart, magic
from explorer.ui.dashboard import Explorer

PATIENCE = 60  # seconds; whatever takes this long has failed
MENUS = {
    "model": "model",
    "loss": "loss",
    "criterion": "criterion",
    "granularity": "granularity",
    "allocation": "allocation",
    "unit": "unit",
    "schedule": "schedule",
}
# Another value for each control, and what the Experiment's field is then
MOVES = {
    "model": ("lenet-300-100", {"model": "lenet-300-100"}),
    "loss": ("mse", {"loss": "mse"}),
    "criterion": ("random", {"pruning.criterion": "random"}),
    "granularity": ("neuron", {"pruning.granularity": "neuron"}),
    "allocation": ("uniform", {"pruning.allocation": "uniform"}),
    "schedule": ("every-step", {"pruning.schedule": "every-step"}),
    "rule": ("value", {"clipping.rule": "value"}),
    "max_norm": (0.5, {"clipping.max_norm": 0.5}),
    "optimizer": ("momentum", {"momentum": 0.9}),
    "lr": (0.02, {"lr": 0.02}),
    "epochs": (5, {"epochs": 5}),
}


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch):
    """What is tested here needs no Vega in the page, which takes two seconds to bundle."""
    monkeypatch.setattr(live_chart, "module", lambda: "export default {}")


CHARTS = {}


@pytest.fixture(autouse=True)
def _charts_made_once(monkeypatch):
    """The same layers, epochs and images give the same charts, which Altair takes 0.3 s to build."""
    build = display.charts

    def charts(experiment, layers, scored):
        key = (*layers, *scored, len(layers), experiment.epochs, experiment.validation)
        if key not in CHARTS:
            CHARTS[key] = build(experiment, layers, scored)
        return CHARTS[key]

    monkeypatch.setattr(display, "charts", charts)


@pytest.fixture
def opened(tiny):
    """Returns a function that makes an Explorer on few images; all are closed after the test."""
    made = []

    def open_(**fields):
        made.append(Explorer(tiny(**fields), device="cpu"))
        made[-1].session.call(id).result(PATIENCE)  # the untrained network is shown
        return made[-1]

    yield open_
    for each in made:
        each.close()


def move(explorer, name, value):
    explorer._controls[name].widget.value = value


def told(explorer):
    return explorer._error.value


def inside(widget):
    return [widget, *(found for child in getattr(widget, "children", ()) for found in inside(child))]


def by_class(explorer, name):
    return [each for each in inside(explorer) if f"explorer-{name}" in getattr(each, "_dom_classes", ())]


def let_go(explorer, share):
    """What the page sends when the threshold's slider is dragged to a value and let go."""
    explorer._on_release("grab", [explorer._threshold.share.value, explorer._threshold.score.value])
    explorer._threshold.share.value = share
    explorer._on_release("release", [share, explorer._threshold.score.value])


# -- controls and fields ------------------------------------------------------------------------------


def test_every_control_has_its_class_label_and_tooltip(opened):
    explorer = opened()
    names = [*controls.LABELS]
    assert {"preset", *(name for group in controls.GROUPS.values() for name in group)} == set(names)
    for name in names:
        found = by_class(explorer, name.replace("_", "-"))
        assert len(found) == (2 if name == "threshold" else 1), name  # one of its two sliders is shown
        assert all(widget.description == controls.LABELS[name] for widget in found)
        assert all(widget.tooltip for widget in found)
    for name in ("train", "pause", "stop", "reset", "progress", "status", "error", "hint"):
        assert len(by_class(explorer, name)) == 1, name


@pytest.mark.parametrize(("name", "axis"), MENUS.items())
def test_menus_are_the_registry(opened, name, axis):
    assert tuple(opened()._controls[name].widget.options) == registry.names(axis)


def test_clip_rules_are_the_registry_and_none(opened):
    assert opened()._controls["rule"].widget.options == ("none", *registry.names("rule"))


def test_a_method_registered_here_and_now_is_in_the_menu(opened, scratch_registry):
    @scratch_registry.register("criterion", "mine")
    def mine(weight):
        """My own."""
        return weight

    assert "mine" in opened()._controls["criterion"].widget.options


@pytest.mark.parametrize("name", MOVES)
def test_a_control_changes_its_field_and_no_other(opened, name):
    explorer = opened()
    before = explorer.experiment
    value, changes = MOVES[name]
    move(explorer, name, value)
    assert told(explorer) == ""
    assert explorer.experiment == before.replace(changes)
    assert explorer.experiment != before
    assert explorer._controls[name].widget.value == value


def test_the_moves_above_are_of_all_controls(opened):
    assert set(MOVES) | {"unit", "device"} == set(opened()._controls)


def test_adam_and_back_leave_no_momentum_behind(opened):
    explorer = opened()
    for choice, expected in (("momentum", ("sgd", 0.9)), ("Adam", ("adam", 0.0)), ("SGD", ("sgd", 0.0))):
        move(explorer, "optimizer", choice)
        assert (explorer.experiment.optimizer, explorer.experiment.momentum) == expected
    assert told(explorer) == ""


def test_no_clip_rule_is_no_clipping_and_no_clip_norm(opened):
    explorer = opened()
    move(explorer, "rule", "none")
    assert explorer.experiment.clipping is None
    assert explorer._controls["max_norm"].widget.disabled
    move(explorer, "rule", "norm")
    assert explorer.experiment.clipping == ex.Clipping()
    assert not explorer._controls["max_norm"].widget.disabled


def test_the_device_changes_and_the_experiment_stays(opened):
    explorer = opened()
    before, old = explorer.experiment, explorer.session
    move(explorer, "device", "auto")
    assert (explorer.experiment, explorer.session.device) == (before, "auto")
    assert explorer.session is not old
    assert explorer.session.wait(PATIENCE).summary["steps"] == 0


# -- the threshold ------------------------------------------------------------------------------------


def test_a_drag_is_tried_out_and_set_when_let_go(opened):
    explorer = opened()
    explorer._on_release("grab", [0.9, 1.0])
    for share in (0.8, 0.7, 0.6):
        explorer._threshold.share.value = share
        assert explorer.experiment.pruning.threshold == 0.9
    explorer._on_release("release", [0.6, 1.0])
    assert explorer.experiment.pruning.threshold == 0.6
    assert explorer.session.wait(PATIENCE).summary["steps"] == 0


def test_let_go_knows_a_value_whose_message_comes_later(opened):
    explorer = opened()
    explorer._on_release("grab", [0.9, 1.0])
    explorer._threshold.share.value = 0.8
    explorer._on_release("release", [0.7, 1.0])  # where the slider stands on the page
    assert explorer.experiment.pruning.threshold == 0.7
    explorer._threshold.share.value = 0.7  # and here it is
    assert explorer._wanted is None


@pytest.mark.parametrize("through", [0.0, 0.5])
def test_a_drag_that_comes_back_changes_nothing_and_stops_trying(opened, through):
    explorer = opened()
    explorer.session.start()
    explorer.wait(PATIENCE)
    before = explorer.run
    explorer._on_release("grab", [0.9, 1.0])
    explorer._threshold.share.value = through
    explorer.session.call(id).result(PATIENCE)
    assert "trying" in explorer._status.value
    explorer._threshold.share.value = 0.9
    explorer._on_release("release", [0.9, 1.0])
    run = explorer.wait(PATIENCE)
    assert explorer.experiment.pruning.threshold == 0.9
    assert run.events.equals(before.events)
    assert run.history.equals(before.history)
    assert "trying" not in explorer._status.value


def test_letting_go_after_a_run_retrains_from_the_event(opened):
    explorer = opened()
    explorer._button["train"].click()
    explorer.wait(PATIENCE)
    let_go(explorer, 0.5)
    run = explorer.wait(PATIENCE)
    assert run.history.equals(ex.train(explorer.experiment, device="cpu", progress=False).history)
    assert (run.status, run.summary["sparsity"]) == ("done", pytest.approx(0.5, abs=1e-5))


def test_taking_hold_of_a_threshold_without_moving_it_changes_nothing(opened):
    explorer = opened(pruning={"threshold": 0.123456})
    before = explorer.experiment
    explorer._on_release("grab", [0.123456, 1.0])
    explorer._on_release("release", [0.123456, 1.0])
    assert explorer.experiment == before


def test_without_a_word_from_the_page_a_threshold_at_rest_was_let_go(opened, monkeypatch):
    monkeypatch.setattr("explorer.ui.dashboard.RELEASE_SECONDS", 0.01)
    explorer = opened()
    explorer._threshold.share.value = 0.4
    explorer._timer.join(PATIENCE)
    assert explorer.experiment.pruning.threshold == 0.4


def fallen(explorer, experiment):
    """How many weights would fall, of the weights that are shown."""
    _, verdict = explorer.session.call(lambda trainer: trainer.preview(experiment)).result(PATIENCE)
    return sum(int((~units).sum()) for units in verdict.units)


@pytest.mark.parametrize("unit", [unit for unit in registry.names("unit") if unit != "sparsity"])
def test_another_unit_prunes_the_same_to_one_weight(opened, unit):
    explorer = opened()
    before = fallen(explorer, explorer.experiment)
    move(explorer, "unit", unit)
    assert told(explorer) == ""
    assert explorer.experiment.pruning.unit == unit
    assert abs(fallen(explorer, explorer.experiment) - before) <= 1
    assert explorer._threshold.score.layout.display == ""
    assert explorer._threshold.share.layout.display == "none"
    move(explorer, "unit", "sparsity")
    assert abs(explorer.experiment.pruning.threshold - 0.9) < 1e-3
    assert explorer._threshold.share.layout.display == ""


def test_another_criterion_keeps_the_sparsity(opened):
    explorer = opened()
    move(explorer, "criterion", "gradient")
    assert explorer.experiment.pruning == ex.Pruning(criterion="gradient")
    move(explorer, "unit", "score")
    gradient = explorer.experiment.pruning.threshold
    move(explorer, "criterion", "magnitude")
    assert explorer.experiment.pruning.threshold != gradient  # a |w| is no |∂L/∂w|
    assert abs(fallen(explorer, explorer.experiment) - round(0.9 * 101_632)) <= 1


@pytest.mark.parametrize("criterion", ["activity"])
def test_a_criterion_of_whole_neurons_switches_the_granularity_and_says_so(opened, criterion):
    explorer = opened()
    move(explorer, "criterion", criterion)
    assert explorer.experiment.pruning == ex.Pruning(criterion=criterion, granularity="neuron")
    assert explorer._controls["granularity"].widget.value == "neuron"
    assert "granularity is now neuron" in explorer._hint.value
    move(explorer, "loss", "mse")
    assert explorer._hint.value == ""


# -- the experiment as a property ---------------------------------------------------------------------


def test_setting_the_experiment_moves_all_controls(opened, tiny):
    explorer = opened()
    wanted = tiny(
        model="lenet-300-100",
        loss="mse",
        optimizer="adam",
        lr=0.003,
        epochs=7,
        pruning={
            "criterion": "gradient",
            "granularity": "neuron",
            "allocation": "uniform",
            "unit": "score",
            "threshold": 0.25,
            "schedule": "every-step",
        },
        clipping={"rule": "value", "max_norm": 0.125},
    )
    explorer.experiment = wanted
    assert explorer.experiment == wanted
    shown = {name: control.widget.value for name, control in explorer._controls.items()}
    assert shown == {
        "model": "lenet-300-100",
        "loss": "mse",
        "device": "cpu",
        "criterion": "gradient",
        "granularity": "neuron",
        "allocation": "uniform",
        "unit": "score",
        "schedule": "every-step",
        "rule": "value",
        "max_norm": pytest.approx(0.125),
        "optimizer": "Adam",
        "lr": pytest.approx(0.003),
        "epochs": 7,
    }
    assert explorer._threshold.score.value == pytest.approx(0.25)


def test_controls_that_show_a_value_do_not_write_it_back(opened, tiny):
    explorer = opened()
    odd = tiny(lr=0.0123456, epochs=33, pruning={"threshold": 0.99912}, clipping={"max_norm": 777.7})
    explorer.experiment = odd  # none of it is a slider's own step or within its range
    assert explorer.experiment == odd
    assert explorer.wait(PATIENCE).experiment == odd


def test_a_dense_experiment_greys_what_it_has_no_use_for(opened, tiny):
    explorer = opened()
    explorer.experiment = tiny(pruning=None, clipping=None)
    grey = {name for name, control in explorer._controls.items() if control.widget.disabled}
    assert grey == {"criterion", "granularity", "allocation", "unit", "schedule", "max_norm"}
    assert explorer._threshold.share.disabled
    assert explorer.experiment == tiny(pruning=None, clipping=None)
    explorer._button["train"].click()
    assert explorer.wait(PATIENCE).dense is None


def test_a_preset_is_an_experiment_with_a_commentary(opened):
    explorer = opened()
    name, preset = next(iter(ex.presets.items()))
    explorer._preset.value = name
    assert told(explorer) == ""
    assert explorer.experiment == preset.experiment
    assert escape(preset.commentary) in explorer._hint.value
    explorer._button["reset"].click()
    assert explorer._preset.value == ""
    assert explorer.experiment != preset.experiment


def test_an_explorer_starts_from_a_presets_name():
    name, preset = next(iter(ex.presets.items()))
    explorer = Explorer(name, device="cpu")
    assert explorer.experiment == preset.experiment
    explorer.close()


def test_setting_the_experiment_in_mid_run_begins_anew(opened, tiny):
    explorer = opened(epochs=100_000)
    explorer._button["train"].click()
    explorer.session.call(id).result(PATIENCE)
    explorer.experiment = tiny(seed=4)
    run = explorer.wait(PATIENCE)
    assert (run.experiment, run.status, run.summary["steps"]) == (tiny(seed=4), "done", 16)


def test_train_wait_stop_and_run(opened):
    explorer = opened(epochs=100_000)
    assert explorer.run.summary["steps"] == 0
    explorer._button["train"].click()
    with pytest.raises(TimeoutError):
        explorer.wait(0.02)
    explorer.stop()
    run = explorer.wait(PATIENCE)
    assert run.status == explorer.run.status == "stopped"
    assert run.summary["steps"] == explorer.run.summary["steps"]


def test_reset_is_the_first_experiment_untrained(opened, tiny):
    explorer = opened()
    explorer._button["train"].click()
    explorer.wait(PATIENCE)
    for name in ("criterion", "lr", "epochs"):
        move(explorer, name, MOVES[name][0])
    let_go(explorer, 0.3)
    explorer._button["reset"].click()
    run = explorer.wait(PATIENCE)
    assert (explorer.experiment, explorer.session.status, run.summary["steps"]) == (tiny(), "idle", 0)
    assert explorer._threshold.share.value == 0.9
    assert explorer._controls["epochs"].widget.value == 1


def test_pause_is_a_switch_between_pause_and_resume(opened):
    explorer = opened(epochs=100_000)
    button = explorer._button["pause"]
    assert button.disabled
    explorer._button["train"].click()
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
    assert explorer._controls["lr"].widget.value == before.lr
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
    assert explorer._controls["granularity"].widget.value == "neuron"
    assert explorer.experiment.pruning.granularity == "neuron"


def test_a_diverged_run_gives_its_advice(opened):
    explorer = opened(lr=1e9, clipping=None, loss="mse")
    explorer._button["train"].click()
    assert explorer.wait(PATIENCE).status == "diverged"
    assert "clip norm" in told(explorer)


@pytest.mark.parametrize("wrong", ["mlp-784-128-10", {"epochs": 1}, 3])
def test_an_explorer_of_something_else_is_refused(wrong):
    with pytest.raises(
        ValueError, match=r"give an explorer.Experiment|preset = 'mlp-784-128-10' is not known"
    ):
        Explorer(wrong)


def test_closing_ends_the_threads_and_takes_the_widgets_away(tiny):
    threads, widgets = threading.active_count(), set(_instances)
    explorer = Explorer(tiny(epochs=100_000), device="cpu")
    explorer._button["train"].click()
    explorer._threshold.share.value = 0.5  # leaves a timer running
    timer = explorer._timer
    explorer.close()
    timer.join(PATIENCE)
    assert threading.active_count() == threads
    assert explorer.comm is None
    assert set(_instances) == widgets


# -- the magic ----------------------------------------------------------------------------------------


@pytest.fixture
def said(monkeypatch):
    """Runs a line of `%explorer` and returns the Experiment that the explorer would start from."""
    monkeypatch.setattr(magic, "Explorer", lambda experiment: experiment)
    shell = InteractiveShell()
    magic.register(shell)
    return lambda line: shell.run_line_magic("explorer", line)


def test_the_magic_alone_is_the_default(said):
    assert said("") == ex.Experiment()


def test_the_magic_reads_numbers_names_and_none(said):
    line = "lr=0.05 epochs=2 pruning.threshold=0.95 pruning.criterion=random normalise=False clipping=None"
    changes = {"pruning.threshold": 0.95, "pruning.criterion": "random"}
    assert said(line) == ex.Experiment(lr=0.05, epochs=2, normalise=False, clipping=None).replace(changes)


@pytest.mark.parametrize(("line", "told"), [("fast", "name=value"), ("epoch=3", "did you mean 'epochs'")])
def test_the_magic_says_what_it_wants(said, line, told):
    with pytest.raises(ValueError, match=told):
        said(line)


def test_a_method_from_a_notebook_is_offered_at_once(opened, scratch_registry):
    explorer = opened()
    menu = explorer._controls["criterion"].widget
    before, chosen = menu.options, menu.value

    @scratch_registry.register("criterion", "mine")
    def mine(weight):
        """Mine."""
        return weight.abs()

    assert menu.options == (*before, "mine")
    assert menu.value == chosen
    menu.value = "mine"
    assert explorer.experiment.pruning.criterion == "mine"
