"""Models with nothing to prune, or with layers that have no weights, train like any other."""

import pytest
import torch
from torch import nn

import explorer as ex
from explorer import registry


class ByHand(nn.Module):
    """A linear classifier without a Linear layer."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(784, 10)), nn.Parameter(torch.zeros(10))

    def forward(self, x):
        return x.flatten(1) @ self.weight + self.bias


class PartlyEmpty(nn.Module):
    """A linear classifier beside a layer of no units."""

    def __init__(self):
        super().__init__()
        self.empty, self.fc = nn.Linear(784, 0), nn.Linear(784, 10)

    def forward(self, x):
        x = x.flatten(1)
        return self.fc(x) + self.empty(x).sum()


@pytest.fixture
def model(tiny, scratch_registry):
    def make(factory, **fields):
        scratch_registry.register("model", "own")(lambda: factory())  # noqa: PLW0108  a function of its own
        return tiny(model="own", **fields)

    return make


@pytest.mark.parametrize("rule", [None, *registry.names("rule")])
def test_a_model_without_layers_trains_densely(model, rule, tmp_path):
    run = ex.train(model(ByHand, pruning=None, clipping=rule and {"rule": rule}), progress=False)
    assert run.status == "done"
    assert run.summary["test_accuracy"] > 0.5
    assert (run.summary["sparsity"], run.summary["compression"], run.masks) == (0, 1, {})
    assert run.history["layer"].null_count() == len(run.history)
    run.save(tmp_path / "run")


def test_a_model_without_layers_is_refused_a_pruning_in_words(model):
    with pytest.raises(ValueError, match=r"prunes weights, and here there are none; .* with pruning=None"):
        ex.train(model(ByHand), progress=False)
    study = ex.sweep(model(ByHand, pruning=None), {"lr": [0.1, 0.05]}, progress=False)
    assert study.frame["test_accuracy"].min() > 0.5


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize(
    "pruning",
    [
        None,
        {"allocation": "erk"},
        {"granularity": "input", "criterion": "gradient"},
        {"granularity": "n:m"},
        {"unit": "std", "threshold": 1.0},
        {"criterion": "lamp"},
    ],
)
def test_a_layer_without_weights_has_an_empty_mask_and_trains(model, pruning):
    run = ex.train(model(PartlyEmpty, pruning=pruning), progress=False, twin=False)
    assert run.status == "done"
    assert run.history["value"].is_finite().all()
    assert run.masks["empty.weight"].shape == (0, 784)
    assert run.summary["sparsity"] == pytest.approx(float((~run.masks["fc.weight"]).double().mean()))


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_a_chain_through_a_layer_of_no_units_trains(model):
    def chain():
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 0), nn.ReLU(), nn.Linear(0, 10))

    assert ex.train(model(chain, pruning=None), progress=False).status == "done"
