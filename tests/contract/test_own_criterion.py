"""A user's own criterion cannot harm the network, and is told where its scores do not fit."""

import copy

import pytest
import torch
from torch import nn

import explorer as ex

HALF = ex.Pruning(threshold=0.5)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))


@pytest.fixture
def own(scratch_registry):
    """Registers a function as the criterion "own", and returns a Pruning by it."""

    def register(function, choice="weight", **traits):
        scratch_registry.register("criterion", "own", **traits)(function)
        return ex.Pruning(criterion="own", granularity=choice, threshold=0.5)

    return register


def test_writing_in_place_changes_no_kept_weight(own):
    def criterion(weight):
        """Scores in place."""
        return weight.abs_().add_(1)

    module = net()
    before = copy.deepcopy(module.state_dict())
    masks = ex.prune(module, own(criterion))
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name] * masks[name] if name in masks else before[name])
    expected = ex.prune(net(), HALF)
    assert all(mask.equal(expected[name]) for name, mask in masks.items())


def test_writing_in_place_changes_nothing_of_a_run(own, small):
    def criterion(weight, initial_weight):
        """Scores in place."""
        return initial_weight.sub_(weight).abs_()

    exp = small(pruning={"criterion": "change", "threshold": 0.5, "schedule": "iterative"})
    own(criterion, trained=True)
    plain, written = (
        ex.train(each, progress=False) for each in (exp, exp.replace({"pruning.criterion": "own"}))
    )
    assert torch.equal(plain.row, written.row)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda weight: weight.abs().transpose(1, 2),
            r"scores of shape \[1, 8, 6\], but it must be \[1, 6, 8\]",
        ),
        (lambda weight: weight.abs()[0], r"scores of shape \[6, 8\], but it must be \[1, 6, 8\]"),
        (lambda weight: weight.abs().sum(), r"scores of shape \[\], but it must be \[1, 6, 8\]"),
        (lambda weight: weight.abs().sum(2), r"scores of shape \[1, 6\], but it must be \[1, 6, 8\]"),
        (lambda weight: weight.abs().flatten(1), r"scores of shape \[1, 48\]"),
    ],
)
def test_scores_of_another_shape_are_refused(own, small, function, message):
    pruning, module = own(function), net()
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ValueError, match=f"criterion 'own' gives layer '0' {message}"):
        ex.prune(module, pruning)
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())
    with pytest.raises(ValueError, match="criterion 'own' gives layer '1' scores of shape"):
        ex.train(small(pruning=pruning), progress=False)


def test_a_criterion_of_whole_units_may_score_these(own):
    pruning = own(lambda weight: weight.abs().sum(2), "neuron", granularity=("neuron",))
    assert sum(int((~mask.any(1)).sum()) for mask in ex.prune(net(), pruning).values()) == 5
    own(lambda weight: weight.abs().sum(1), "neuron", granularity=("neuron",))
    with pytest.raises(ValueError, match=r"scores of shape \[1, 8\], but it must be \[1, 6\]"):
        ex.prune(net(), pruning)


def test_what_is_no_tensor_is_refused(own):
    with pytest.raises(TypeError, match="criterion 'own' gives layer '0' float, not a tensor of scores"):
        ex.prune(net(), own(lambda weight: float(weight.abs().sum())))


@pytest.mark.parametrize("kind", [torch.bool, torch.int32])
def test_scores_may_be_whole_numbers(own, kind):
    masks = ex.prune(net(), own(lambda weight: (weight > 0).to(kind)))
    assert sum(int((~mask).sum()) for mask in masks.values()) == round(0.5 * 72)


def test_a_granularity_that_writes_in_place_revives_nothing(small, scratch_registry):
    neuron = scratch_registry.get("granularity", "neuron").traits

    @scratch_registry.register("granularity", "own", expand=neuron.expand, hidden=True, prunes="neurons")
    def own_granularity(scores):
        """Sums, in the memory of what it gets."""
        return scores.add_(1e-6).flatten(2).sum(2)

    pruning = {"granularity": "own", "schedule": "iterative", "threshold": 0.5, "begin_epoch": 0}
    run = ex.train(small(pruning=pruning), progress=False)
    dead = [~run.masks[name].any(1) for name in ("1.weight", "3.weight")]
    assert sum(int(each.sum()) for each in dead) == 4
    for name, units in zip(("1.weight", "3.weight"), dead, strict=True):
        assert not run.model().get_parameter(name)[units].any()
