"""Whether a pruning fits a network is asked before anything is trained, and of the engine alone."""

import re

import pytest
import torch
from torch import nn

import explorer as ex
from explorer import registry
from explorer.engine.data.datasets import Images
from explorer.engine.network import models
from explorer.engine.pruning import fit
from explorer.engine.pruning.resolved import resolve
from explorer.engine.training.trainer import Trainer


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
    assert fit.prunable_layers(crossed) == ["hidden"]
    weights = crossed.replace({"pruning.granularity": "weight"})
    assert fit.prunable_layers(weights) == ["answers", "hidden"]
    fit.check(weights)
    with pytest.raises(ValueError, match=r"shares = \(0.5, 0.5\) has 2 entries, but 1 layers"):
        fit.check(crossed.replace({"pruning.allocation": "shares", "pruning.options.shares": (0.5, 0.5)}))


def test_a_network_is_built_once_until_it_is_another(crossed, scratch_registry, monkeypatch):
    counts = []
    build = models.build
    monkeypatch.setattr(models, "build", lambda experiment: counts.append(1) or build(experiment))
    for lr in (0.1, 0.2):
        fit.check(crossed.replace(lr=lr))
    assert len(counts) == 2  # for its structure, and for the criterion to be tried
    scratch_registry.register("model", "crossed")(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    with pytest.raises(ValueError, match="'neuron' prunes units of hidden layers, and here there are none"):
        fit.check(crossed)


TRAITS = {"sizes": (9, 3), "shape": (1, 2, 4), "classes": 3}


@pytest.mark.parametrize("traits", [TRAITS, {}], ids=["of a shape that is told", "unknown"])
def test_images_may_have_another_shape(scratch_registry, traits):
    @scratch_registry.register("dataset", "small", **traits)
    def tiny():
        """Blank images; they are not loaded where their shape is told."""
        assert not traits
        images = Images(torch.zeros(12, 1, 2, 4, dtype=torch.uint8), torch.arange(12) % 3)
        return images[:9], images[9:]

    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    scratch_registry.register("model", "small")(lambda: net)
    few = {"validation": 3, "batch_size": 2}
    exp = ex.Experiment(model="small", dataset="small", pruning={"granularity": "neuron"}, **few)
    assert fit.prunable_layers(exp) == ["1"]


def test_a_method_that_is_registered_anew_is_the_one_that_decides(scratch_registry):
    pruning = ex.Pruning(criterion="magnitude")
    before = resolve(pruning)
    assert resolve(pruning) == before
    scratch_registry.register("criterion", "magnitude", override=True, signed=True)(lambda weight: weight)
    assert resolve(pruning).criterion(-3) == -3
    assert (before.criterion.traits.signed, resolve(pruning).criterion.traits.signed) == (False, True)


class Recurrent(nn.Module):
    """A GRU over the rows of an image: torch cannot take its gradient image by image."""

    def __init__(self):
        super().__init__()
        self.gru, self.fc = nn.GRU(28, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(self.gru(x.flatten(1, 2))[0][:, -1])


WORDS = (
    r"'squared_grad', which this criterion scores by, cannot be computed for Recurrent and inputs \[2, 1, 28"
)


@pytest.mark.filterwarnings("ignore:not pruned")  # the GRU's weights
def test_what_cannot_be_scored_is_refused_before_it_trains(tiny, scratch_registry):
    scratch_registry.register("model", "recurrent")(lambda: Recurrent())  # noqa: PLW0108  a function of its own
    exp = tiny(model="recurrent", pruning={"criterion": "fisher", "threshold": 0.5})
    for refuse in (fit.check, lambda e: Trainer([e], "cpu")):
        with pytest.raises(ValueError, match=WORDS):
            refuse(exp)
    with pytest.warns(UserWarning, match="1 of 2 combinations are skipped"):
        study = ex.sweep(exp, {"pruning.criterion": ["fisher", "gradient"]}, progress=False)
    assert len(study.frame) == 1
    [(changes, reason)] = study.skipped
    assert (changes, len(reason) < 300) == ({"pruning.criterion": "fisher"}, True)
    assert re.match(WORDS, reason)


def test_two_images_that_give_no_numbers_refuse_nothing(tiny, scratch_registry):
    """What is not finite at the start may be so at the event; the event itself refuses it."""
    scratch_registry.register("criterion", "odd")(lambda weight: weight / 0)
    fit.check(tiny(pruning={"criterion": "odd"}))
    Trainer([tiny(pruning={"criterion": "odd"})], "cpu")


def test_a_criterion_is_tried_once_however_many_lanes_there_are(tiny, scratch_registry):
    calls = []

    @scratch_registry.register("criterion", "counted")
    def counted(weight):
        """Each weight's size."""
        calls.append(1)
        return weight.abs()

    exp = tiny(pruning={"criterion": "counted"})
    Trainer([exp.replace({"pruning.threshold": t}) for t in (0.1, 0.2, 0.3)], "cpu")
    assert len(calls) == 2  # of two layers
    calls.clear()
    for threshold in (0.1, 0.2, 0.3):
        fit.check(exp.replace({"pruning.threshold": threshold}))
    assert len(calls) == 2


def test_every_criterion_can_be_tried(tiny):
    for method in registry.methods("criterion"):
        granularity = (method.traits.granularity or ("weight",))[0]
        fit.check(tiny(pruning={"criterion": method.name, "granularity": granularity, "threshold": 0.5}))
