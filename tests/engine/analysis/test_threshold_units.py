"""What a threshold amounts to: in every unit it, set to what is read, cuts the same weights."""

import warnings

import pytest
import torch

from explorer.engine.analysis.threshold_units import ThresholdConverter, cutoff_units, shortest
from explorer.engine.pruning.resolved import resolve
from explorer.engine.training.trainer import Trainer

warnings.filterwarnings("ignore", message=".*allocation.*")
CASES = {
    "plain": {},
    "score": {"unit": "score", "threshold": 0.03},
    "std": {"unit": "std", "threshold": 1.2},
    "mean": {"unit": "mean", "threshold": 1.1},
    "uniform": {"allocation": "uniform"},
    "erk": {"allocation": "erk"},
    "neuron": {"granularity": "neuron", "threshold": 0.5},
    "spared": {"options": {"spare_last": True}},
    "signed": {"criterion": "movement"},
    "rounds": {"criterion": "synflow"},
    "uneven": {"criterion": "taylor", "unit": "std", "threshold": 0.5},
}


@pytest.fixture
def rated(tiny):
    """Returns a function that trains half an epoch and gives the rates there."""
    made = {}

    def make(steps=4, **pruning):
        experiment = tiny(model="mlp-784-128-10", pruning={"threshold": 0.9, **pruning})
        trainer = Trainer([experiment], "cpu")
        running = trainer.run()
        while trainer.step < steps:
            next(running)
        made["trainer"] = trainer
        return ThresholdConverter.of(trainer), experiment.pruning.threshold

    return make


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_and_set_again_cuts_the_same_weights(rated, case):
    converter, threshold = rated(**CASES[case])
    keep = converter.decide(threshold).keep
    worth = converter.in_all_units(threshold)
    assert {"percentile", "sparsity", "compression"} <= set(worth)
    told = {name: each.low for name, each in worth.items() if each.one}
    if converter.pruning.allocation != "global":
        told = {"percentile": told["percentile"], "sparsity": told["sparsity"]}
    for name, value in told.items():
        again = converter.decide(converter.threshold(name, float(f"{value:.9g}"))).keep
        assert torch.equal(again, keep), name


def test_each_unit_of_a_global_share(rated):
    converter, threshold = rated()
    worth = converter.in_all_units(threshold)
    scores = torch.cat(converter.scores.scores)
    assert (worth["percentile"].low, worth["sparsity"].low, worth["compression"].low) == (0.9, 0.9, 10)
    assert worth["score"].one
    assert int((scores < worth["score"].low).sum()) == round(0.9 * len(scores))
    deviations = [float(w.std(correction=0)) for w in converter.scores.std_values]
    low, high = sorted(worth["score"].low / s for s in deviations)
    assert worth["std"].low == pytest.approx(low, rel=0.01)
    assert worth["std"].high == pytest.approx(high, rel=0.01)
    assert not worth["std"].one


def test_cut_offs_that_differ_are_told_as_a_range(rated):
    converter, threshold = rated(unit="std", threshold=1.0)
    worth, decision = converter.in_all_units(threshold), converter.decide(threshold)
    assert worth["std"].low == worth["std"].high == 1.0
    assert (worth["score"].low, worth["score"].high) == (min(decision.cutoffs), max(decision.cutoffs))


def test_what_has_no_meaning_is_not_offered(rated):
    assert rated(criterion="movement")[0].units == ("score", "percentile", "sparsity", "compression")
    rounds = rated(criterion="synflow")[0]
    assert rounds.units == ("percentile", "sparsity", "compression")
    with pytest.raises(ValueError, match="score has no meaning here; there are percentile"):
        rounds.threshold("score", 1.0)
    by_score = rounds.pruning.model_copy(update={"unit": "score"})
    assert cutoff_units(resolve(by_score)) == ("score", "std", "mean")


@pytest.mark.parametrize(
    ("unit", "value", "told"),
    [
        ("compression", 0.5, "a factor of 1 or more"),
        ("compression", float("inf"), "a factor of 1 or more"),
        ("sparsity", 1.0, "less than 100 %"),
        ("percentile", -0.1, "from 0 %"),
        ("score", -1.0, "no score is below 0"),
    ],
)
def test_a_value_without_meaning_is_refused_with_advice(rated, unit, value, told):
    with pytest.raises(ValueError, match=told):
        rated()[0].threshold(unit, value)


@pytest.mark.parametrize("value", [0.0, 0.001, 0.5, 0.999])
def test_a_share_becomes_a_cut_off_and_none_falls_at_none(rated, value):
    converter, _ = rated(unit="score", threshold=0.01)
    kept = converter.decide(converter.threshold("sparsity", value)).keep
    weights = sum(int((~la.weight.of(kept)).sum()) for la in converter.scores.layers)
    assert weights == round(value * converter.weight_count)


def test_a_share_of_weights_is_found_by_whole_neurons(rated):
    converter, _ = rated(granularity="neuron", threshold=0.1)
    threshold = converter.threshold("compression", 4)
    assert round(threshold * converter.unit_count) == 96  # of 128 neurons, each with 784 + 10 of all weights
    assert converter.in_all_units(threshold)["compression"].low == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(
    ("low", "high", "number"), [(0.0871, 0.0949, 0.09), (9.7, 10.2, 10.0), (-2.4, -1.9, -2)]
)
def test_the_shortest_number_between_two(low, high, number):
    assert shortest(low, high) == number
