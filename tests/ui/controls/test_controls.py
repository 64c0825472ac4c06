"""Each control is a field of the Experiment, and its menu is the registry."""

import pytest
from hands import MOVES, PATIENCE, by_class, move, told

import explorer as ex
from explorer import registry
from explorer.ui.controls import groups, labels

MENUS = {
    "dataset": "dataset",
    "model": "model",
    "lr_decay": "lr_decay",
    "loss": "loss",
    "criterion": "criterion",
    "granularity": "granularity",
    "allocation": "allocation",
    "unit": "unit",
    "schedule": "schedule",
}


def test_every_control_has_its_class_label_and_tooltip(opened):
    explorer = opened()
    names = [*labels.LABELS]
    assert {"preset", *(name for group in groups.GROUPS.values() for name in group)} == set(names)
    for name in names:
        found = by_class(explorer, name.replace("_", "-"))
        assert len(found) == (2 if name == "threshold" else 1), name  # one of its two sliders is shown
        assert all(widget.description.startswith(labels.LABELS[name]) for widget in found)
        assert all(widget.tooltip for widget in found)
    for name in ("train", "pause", "stop", "reset", "progress", "status", "error", "hint"):
        assert len(by_class(explorer, name)) == 1, name


def test_menus_are_the_registry(opened):
    controls = opened().controls
    for name, axis in MENUS.items():
        assert tuple(controls[name].options) == registry.names(axis), name
    assert controls["rule"].options == ("none", *registry.names("rule"))


def test_a_method_registered_here_and_now_is_in_the_menu(opened, scratch_registry):
    @scratch_registry.register("criterion", "mine")
    def mine(weight):
        """My own."""
        return weight

    assert "mine" in opened().controls["criterion"].options


def test_a_control_changes_its_field_and_no_other(opened):
    explorer = opened()
    before = explorer.experiment
    for name, (value, changes) in MOVES.items():
        move(explorer, name, value)
        assert told(explorer) == "", name
        assert explorer.experiment == before.replace(changes), name
        assert explorer.experiment != before, name
        assert explorer.controls[name].value == value, name
        explorer.experiment = before


def test_the_moves_above_are_of_all_controls():
    assert {*MOVES, "unit", "device", "end_epoch"} == set(labels.CONTROLS) - {"preset", "threshold"}


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
    assert explorer.controls["max_norm"].disabled
    move(explorer, "rule", "norm")
    assert explorer.experiment.clipping == ex.Clipping()
    assert not explorer.controls["max_norm"].disabled


def test_the_device_changes_and_the_experiment_stays(opened):
    explorer = opened()
    before, old = explorer.experiment, explorer.session
    move(explorer, "device", "auto")
    assert (explorer.experiment, explorer.session.device) == (before, "auto")
    assert explorer.session is not old
    assert explorer.session.wait(PATIENCE).summary["steps"] == 0


def test_a_method_from_a_notebook_is_offered_at_once(opened, scratch_registry):
    explorer = opened()
    menu = explorer.controls["criterion"]
    before, chosen = menu.options, menu.value

    @scratch_registry.register("criterion", "mine")
    def mine(weight):
        """Mine."""
        return weight.abs()

    assert menu.options == (*before, "mine")
    assert menu.value == chosen
    menu.value = "mine"
    assert explorer.experiment.pruning.criterion == "mine"


@pytest.mark.parametrize("name", ["lr", "max_norm"])
def test_the_page_may_round_a_slider_but_not_the_experiment(opened, name):
    """0.4 lies between two steps of the slider: what the page answers with, 0.398, is no move."""
    path = {"lr": "lr", "max_norm": "clipping.max_norm"}[name]
    explorer = opened(**{"lr": {"lr": 0.4}, "max_norm": {"clipping": {"max_norm": 0.4}}}[name])
    before = explorer.experiment
    move(explorer, name, 10**-0.4)
    assert explorer.experiment == before
    move(explorer, name, 10**-0.35)
    assert explorer.experiment == before.replace({path: 0.447})
