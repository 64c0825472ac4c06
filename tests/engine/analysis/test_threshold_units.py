"""What a threshold is worth: every currency, set to what is read, cuts the same weights."""

import warnings

import pytest
import torch

from explorer.engine.analysis.threshold_units import ThresholdConverter, cuts, shortest
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
    exchange, threshold = rated(**CASES[case])
    keep = exchange.decide(threshold).keep
    worth = exchange.worth(threshold)
    assert {"percentile", "sparsity", "compression"} <= set(worth)
    told = {name: each.low for name, each in worth.items() if each.one}
    if exchange.pruning.allocation != "global":
        told = {"percentile": told["percentile"], "sparsity": told["sparsity"]}
    for name, value in told.items():
        again = exchange.decide(exchange.threshold(name, float(f"{value:.9g}"))).keep
        assert torch.equal(again, keep), name


def test_each_currency_of_a_global_share(rated):
    exchange, threshold = rated()
    worth = exchange.worth(threshold)
    scores = torch.cat(exchange.scored.scores)
    assert (worth["percentile"].low, worth["sparsity"].low, worth["compression"].low) == (0.9, 0.9, 10)
    assert worth["score"].one
    assert int((scores < worth["score"].low).sum()) == round(0.9 * len(scores))
    deviations = [float(w.std(correction=0)) for w in exchange.scored.spread]
    low, high = sorted(worth["score"].low / s for s in deviations)
    assert worth["std"].low == pytest.approx(low, rel=0.01)
    assert worth["std"].high == pytest.approx(high, rel=0.01)
    assert not worth["std"].one


def test_cut_offs_that_differ_are_told_as_a_range(rated):
    exchange, threshold = rated(unit="std", threshold=1.0)
    worth, decision = exchange.worth(threshold), exchange.decide(threshold)
    assert worth["std"].low == worth["std"].high == 1.0
    assert (worth["score"].low, worth["score"].high) == (min(decision.cutoffs), max(decision.cutoffs))


def test_what_has_no_meaning_is_not_offered(rated):
    assert rated(criterion="movement")[0].currencies == ("score", "percentile", "sparsity", "compression")
    rounds = rated(criterion="synflow")[0]
    assert rounds.currencies == ("percentile", "sparsity", "compression")
    with pytest.raises(ValueError, match="score has no meaning here; there are percentile"):
        rounds.threshold("score", 1.0)
    assert cuts(rounds.pruning.model_copy(update={"unit": "score"})) == ("score", "std", "mean")


@pytest.mark.parametrize(
    ("currency", "value", "told"),
    [
        ("compression", 0.5, "a factor of 1 or more"),
        ("compression", float("inf"), "a factor of 1 or more"),
        ("sparsity", 1.0, "less than 100 %"),
        ("percentile", -0.1, "from 0 %"),
        ("score", -1.0, "no score is below 0"),
    ],
)
def test_a_value_without_meaning_is_refused_with_advice(rated, currency, value, told):
    with pytest.raises(ValueError, match=told):
        rated()[0].threshold(currency, value)


@pytest.mark.parametrize("value", [0.0, 0.001, 0.5, 0.999])
def test_a_share_becomes_a_cut_off_and_none_falls_at_none(rated, value):
    exchange, _ = rated(unit="score", threshold=0.01)
    kept = exchange.decide(exchange.threshold("sparsity", value)).keep
    weights = sum(int((~la.weight.of(kept)).sum()) for la in exchange.scored.layers)
    assert weights == round(value * exchange.weights)


def test_a_share_of_weights_is_found_by_whole_neurons(rated):
    exchange, _ = rated(granularity="neuron", threshold=0.1)
    threshold = exchange.threshold("compression", 4)
    assert round(threshold * exchange.units) == 96  # of 128 neurons, each with 784 + 10 of all weights
    assert exchange.worth(threshold)["compression"].low == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(
    ("low", "high", "number"), [(0.0871, 0.0949, 0.09), (9.7, 10.2, 10.0), (-2.4, -1.9, -2)]
)
def test_the_shortest_number_between_two(low, high, number):
    assert shortest(low, high) == number
