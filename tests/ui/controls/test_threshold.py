"""The threshold: tried out while it is dragged, set when it is let go, the same in every unit."""

import ipywidgets as w
import pytest
from hands import PATIENCE, by_class, grab, let_go, move, release, told

import explorer as ex
from explorer import registry


def test_a_drag_is_tried_out_and_set_when_let_go(opened):
    explorer = opened()
    grab(explorer)
    for percent in (80, 70, 60):
        explorer.controls["threshold"].value = percent
        assert explorer.experiment.pruning.threshold == 0.9
    release(explorer, 60)
    assert explorer.experiment.pruning.threshold == 0.6
    assert explorer.session.wait(PATIENCE).summary["steps"] == 0


def test_let_go_knows_a_value_whose_message_comes_later(opened):
    explorer = opened()
    grab(explorer)
    explorer.controls["threshold"].value = 80
    release(explorer, 70)  # where the slider stands on the page
    assert explorer.experiment.pruning.threshold == 0.7
    explorer.controls["threshold"].value = 70  # and here it is
    assert explorer._threshold.pending is None


@pytest.mark.parametrize("through", [0, 50])
def test_a_drag_that_comes_back_changes_nothing_and_stops_trying(opened, through):
    explorer = opened()
    explorer.session.start()
    explorer.wait(PATIENCE)
    before = explorer.run
    grab(explorer)
    explorer.controls["threshold"].value = through
    explorer.session.call(id).result(PATIENCE)
    assert "trying" in explorer.controls["status"].value
    explorer.controls["threshold"].value = 90
    release(explorer, 90)
    run = explorer.wait(PATIENCE)
    assert explorer.experiment.pruning.threshold == 0.9
    assert run.events.equals(before.events)
    assert run.history.equals(before.history)
    assert "trying" not in explorer.controls["status"].value


def test_letting_go_after_a_run_retrains_from_the_event(opened):
    explorer = opened()
    explorer.controls["train"].click()
    explorer.wait(PATIENCE)
    let_go(explorer, 0.5)
    run = explorer.wait(PATIENCE)
    assert run.history.equals(ex.train(explorer.experiment, device="cpu", progress=False).history)
    assert (run.status, run.summary["sparsity"]) == ("done", pytest.approx(0.5, abs=1e-5))


def test_the_slider_of_a_share_says_percent_so_that_its_field_takes_what_is_typed(opened):
    explorer = opened(pruning={"threshold": 0.57})
    slider = explorer.controls["threshold"]
    assert (slider.description, slider.value, slider.max) == ("Threshold (%)", 57, 99.5)
    assert slider.readout_format == ".1f"  # the page reads 60% as 60


@pytest.mark.slow
def test_taking_hold_of_a_threshold_without_moving_it_changes_nothing(opened):
    explorer = opened(pruning={"threshold": 0.123456})
    before = explorer.experiment
    grab(explorer)
    release(explorer, 12.3456)
    assert explorer.experiment == before


def test_without_a_word_from_the_page_a_threshold_at_rest_was_let_go(opened, monkeypatch):
    monkeypatch.setattr("explorer.ui.controls.threshold.RELEASE_SECONDS", 0.01)
    explorer = opened()
    explorer.controls["threshold"].value = 40
    explorer._threshold.timer.join(PATIENCE)
    assert explorer.experiment.pruning.threshold == 0.4


def fallen(explorer, experiment):
    """How many weights would fall, of the weights that are shown."""
    _, decision = explorer.session.call(lambda trainer: trainer.preview(experiment)).result(PATIENCE)
    return sum(int((~units).sum()) for units in decision.units)


def shown(explorer):
    """The kinds of the threshold's sliders that are on the page."""
    return [type(each) for each in by_class(explorer, "threshold") if each.layout.display != "none"]


@pytest.mark.parametrize("unit", [unit for unit in registry.names("unit") if unit != "sparsity"])
def test_another_unit_prunes_the_same_to_one_weight(opened, unit):
    explorer = opened()
    before = fallen(explorer, explorer.experiment)
    move(explorer, "unit", unit)
    assert told(explorer) == ""
    assert explorer.experiment.pruning.unit == unit
    assert abs(fallen(explorer, explorer.experiment) - before) <= 1
    assert shown(explorer) == [w.FloatLogSlider]
    move(explorer, "unit", "sparsity")
    assert abs(explorer.experiment.pruning.threshold - 0.9) < 1e-3
    assert shown(explorer) == [w.FloatSlider]


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
    assert explorer.controls["granularity"].value == "neuron"
    assert "granularity is now neuron" in explorer.controls["hint"].value
    move(explorer, "loss", "mse")
    assert explorer.controls["hint"].value == ""
