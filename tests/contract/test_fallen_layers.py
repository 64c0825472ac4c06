"""Where a whole layer or the whole network falls, a warning says so, in a run and in `ex.prune`."""

import pytest
import torch
from torch import nn

import explorer as ex


def net():
    """The second layer's weights are the smallest."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        module[2].weight.mul_(1e-3)
    return module


def test_a_threshold_just_below_1_takes_the_whole_network_with_a_warning():
    with pytest.warns(UserWarning, match=r"threshold = 0\.999999 leaves nothing of the whole net") as caught:
        ex.prune(net(), ex.Pruning(threshold=0.999999))
    assert caught[0].filename == __file__


def test_layers_of_which_nothing_stays_are_named():
    with pytest.warns(UserWarning, match=r"threshold = 0\.5 leaves nothing of 2\.weight: try a lower one"):
        ex.prune(net(), ex.Pruning(threshold=0.5))


def test_many_names_are_cut_short():
    many = nn.Sequential(*(nn.Linear(2, 2) for _ in range(9)))
    with torch.no_grad():
        many[8].weight.mul_(100)
    with pytest.warns(UserWarning, match=r"leaves nothing of 0\.weight, .* and 4 more: try"):
        ex.prune(many, ex.Pruning(unit="score", threshold=1.0))


@pytest.mark.parametrize("pruning", [{"threshold": 0.5}, {"threshold": 0.9, "allocation": "uniform"}])
def test_nothing_is_said_where_each_layer_keeps_some(pruning):
    module = net()
    with torch.no_grad():
        module[2].weight.mul_(1e3)
    ex.prune(module, ex.Pruning(**pruning))  # a warning would be an error here


@pytest.mark.parametrize("granularity", ["weight", "neuron"])
def test_a_run_warns_too(small, granularity):
    pruning = {"threshold": 0.999, "granularity": granularity, "begin_epoch": 0.5}
    with pytest.warns(UserWarning, match=r"threshold = 0\.999 leaves nothing of the whole network") as caught:
        run = ex.train(small(pruning=pruning), progress=False)
    assert caught[0].filename == __file__
    assert not any(mask.any() for mask in run.masks.values())


def test_a_sweep_warns_once_of_all_its_runs(small):
    exp = small(pruning={"threshold": 0.5, "begin_epoch": 0.5})
    text = r"2 of 4 runs keep no weight of a whole layer; the first of them: .*0\.999}, seed 0"
    with pytest.warns(UserWarning, match=text) as caught:
        ex.sweep(exp, {"pruning.threshold": [0.5, 0.999]}, seeds=2, progress=False, plan="loop")
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_layer_that_hands_on_what_it_gets_has_not_fallen(small):
    run = ex.train(small(pruning={"threshold": 0.9, "granularity": "layer"}), progress=False)
    assert not run.masks["3.weight"].any()
