"""Whether a pruning fits a network is asked before anything is trained, and of the engine alone."""

import pytest
import torch
from torch import nn

import explorer as ex
from explorer.engine.data.datasets import Images
from explorer.engine.network import models
from explorer.engine.pruning import pruner
from explorer.engine.pruning.resolved import resolve


class Crossed(nn.Module):
    """A network whose last layer is the first that it names."""

    def __init__(self):
        super().__init__()
        self.answers, self.hidden = nn.Linear(6, 10), nn.Linear(784, 6)

    def forward(self, x):
        return self.answers(self.hidden(x.flatten(1)).relu())


@pytest.fixture
def crossed(tiny, scratch_registry):
    scratch_registry.register("model", "crossed")(lambda: Crossed())  # noqa: PLW0108  a function of its own
    return tiny(model="crossed", pruning={"granularity": "neuron"})


def test_the_last_layer_is_the_one_that_answers_wherever_it_stands(crossed):
    assert pruner.prunable_layers(crossed) == ["hidden"]
    weights = crossed.replace({"pruning.granularity": "weight"})
    assert pruner.prunable_layers(weights) == ["answers", "hidden"]
    pruner.check(weights)
    with pytest.raises(ValueError, match=r"shares = \(0.5, 0.5\) has 2 entries, but 1 layers"):
        pruner.check(crossed.replace({"pruning.allocation": "shares", "pruning.options.shares": (0.5, 0.5)}))


def test_a_network_is_built_once_until_it_is_another(crossed, scratch_registry, monkeypatch):
    counts = []
    build = models.build
    monkeypatch.setattr(models, "build", lambda experiment: counts.append(1) or build(experiment))
    for lr in (0.1, 0.2):
        pruner.check(crossed.replace(lr=lr))
    assert len(counts) == 1
    scratch_registry.register("model", "crossed")(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    with pytest.raises(ValueError, match="'neuron' prunes units of hidden layers, and here there are none"):
        pruner.check(crossed)


TRAITS = {"sizes": (9, 3), "shape": (1, 2, 4), "classes": 3}


@pytest.mark.parametrize("traits", [TRAITS, {}], ids=["of a shape that is told", "unknown"])
def test_images_may_have_another_shape(scratch_registry, traits):
    @scratch_registry.register("dataset", "small", **traits)
    def small():
        """Blank images; they are not loaded where their shape is told."""
        assert not traits
        images = Images(torch.zeros(12, 1, 2, 4, dtype=torch.uint8), torch.arange(12) % 3)
        return images[:9], images[9:]

    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    scratch_registry.register("model", "small")(lambda: net)
    few = {"validation": 3, "batch_size": 2}
    exp = ex.Experiment(model="small", dataset="small", pruning={"granularity": "neuron"}, **few)
    assert pruner.prunable_layers(exp) == ["1"]


def test_a_method_that_is_registered_anew_is_the_one_that_decides(scratch_registry):
    pruning = ex.Pruning(criterion="magnitude")
    before = resolve(pruning)
    assert resolve(pruning) == before
    scratch_registry.register("criterion", "magnitude", override=True, signed=True)(lambda weight: weight)
    assert resolve(pruning).criterion(-3) == -3
    assert (before.criterion.traits.signed, resolve(pruning).criterion.traits.signed) == (False, True)
