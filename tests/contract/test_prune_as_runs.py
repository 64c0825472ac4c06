"""`ex.prune` decides as a run does: rounds, statistics, the last layer, and what is pruned already."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as torch_prune

import explorer as ex
from explorer import registry
from explorer.engine.network import models
from explorer.engine.training.trainer import Trainer

MEMORY = {"movement", "initial_weight"}  # of a run's steps
BY_WEIGHT = [
    m.name for m in registry.methods("criterion") if not (m.traits.granularity or MEMORY & set(m.needs))
]


def both(exp):
    """What a run keeps at its first step, and what `ex.prune` keeps of the same weights."""
    trainer = Trainer([exp], "cpu", torch.float64)
    view = trainer.state.view(0)
    decision = trainer.pruner.decide(view, exp, 0)
    module = trainer.network.layout.load(models.build(exp).double(), view.row)
    batch = trainer.pruner.scoring_images(exp.normalise), trainer.split.train.labels
    masks = ex.prune(module, exp.pruning, batch)
    return masks, {layer.weight.name: layer.weight.view(decision.keep) for layer in decision.layers}


def assert_same(masks, expected):
    assert masks.keys() == expected.keys()
    assert all(masks[name].equal(keep) for name, keep in expected.items())
    assert not all(keep.all() for keep in expected.values())


@pytest.mark.parametrize("criterion", BY_WEIGHT)
def test_a_run_at_its_first_step_and_prune_keep_the_same(small, criterion):
    assert_same(*both(small(pruning={"criterion": criterion, "threshold": 0.6, "begin_epoch": 0})))


@pytest.mark.parametrize("criterion", BY_WEIGHT)
def test_batch_norms_that_no_image_has_passed_score_by_the_batch(small, criterion):
    pruning = {"criterion": criterion, "threshold": 0.6, "begin_epoch": 0}
    assert_same(*both(small(model="small-conv", pruning=pruning)))


def normed():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def far_batch():
    torch.manual_seed(1)
    return 5 + 3 * torch.randn(40, 8), torch.arange(40) % 3


GRADIENT = ex.Pruning(criterion="gradient", threshold=0.5)


def test_statistics_of_a_trained_norm_are_its_own_even_where_its_batches_were_not_counted():
    trained, uncounted, fresh = normed(), normed(), normed()
    for net in (trained, uncounted):
        net[1].running_mean.fill_(-2.0)
        net[1].running_var.fill_(0.1)
    trained[1].num_batches_tracked.fill_(10)  # as weights saved long ago have none
    ours, theirs, others = (ex.prune(net, GRADIENT, far_batch()) for net in (trained, uncounted, fresh))
    assert all(mask.equal(theirs[name]) for name, mask in ours.items())
    assert not all(mask.equal(others[name]) for name, mask in ours.items())


def test_scoring_by_the_batch_leaves_statistics_and_modes_alone():
    net = normed().train()
    ex.prune(net, GRADIENT, far_batch())
    assert net[1].training
    assert (net[1].momentum, int(net[1].num_batches_tracked)) == (0.1, 0)
    assert not net[1].running_mean.any()
    assert net[1].running_var.eq(1).all()


def test_one_image_has_no_statistics_and_magnitude_needs_no_images():
    one = (torch.ones(1, 8), torch.zeros(1).long())
    assert ex.prune(normed(), ex.Pruning(criterion="synflow", threshold=0.5), one)
    misfit = torch.ones(3, 5), torch.zeros(3).long()
    assert ex.prune(normed(), ex.Pruning(threshold=0.5), misfit)


class Crossed(nn.Module):
    """A network that calls first the layer that it names last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.answers, self.hidden = nn.Linear(6, 3), nn.Linear(8, 6)

    def forward(self, x):
        return self.answers(self.hidden(x).relu())


@pytest.mark.parametrize("granularity", ["weight", "input"])
def test_the_last_layer_is_spared_by_the_wiring(granularity):
    pruning = ex.Pruning(granularity=granularity, threshold=0.5, options={"spare_last": True})
    assert list(ex.prune(Crossed(), pruning, far_batch())) == ["hidden.weight"]
    with pytest.raises(ValueError, match=r"spare_last spares the layer that answers.* give batch="):
        ex.prune(Crossed(), pruning)


def test_what_is_skipped_makes_no_other_layer_the_last():
    pruning = ex.Pruning(threshold=0.5, options={"spare_last": True})
    for batch in (None, far_batch()):
        nested = nn.Sequential(nn.Linear(8, 6), nn.Sequential(nn.ReLU(), nn.Linear(6, 3), nn.Sigmoid()))
        assert list(ex.prune(nested, pruning, batch, skip=["1.1"])) == ["0.weight"]
        assert list(ex.prune(nested, pruning, batch)) == ["0.weight"]
    layer = nn.Linear(8, 8)
    again = nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), layer)
    assert list(ex.prune(again, pruning)) == ["2.weight"]


def test_prune_takes_all_rounds_of_a_criterion():
    torch.manual_seed(0)
    net = nn.Sequential(*[part for _ in range(4) for part in (nn.Linear(16, 16), nn.ReLU())])
    masks = ex.prune(
        net, ex.Pruning(criterion="synflow", threshold=0.9), (torch.zeros(1, 16), torch.zeros(1).long())
    )
    left = [int(mask.sum()) for mask in masks.values()]
    assert sum(left) == 4 * 256 - round(0.9 * 4 * 256)
    assert min(left) > 10  # one round leaves whole layers empty


NO_MEMORY = [m.name for m in registry.methods("criterion") if not MEMORY & set(m.needs)]


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")  # so few weights are soon gone
@pytest.mark.parametrize("criterion", NO_MEMORY)
def test_what_is_zero_already_counts_as_pruned_first(criterion):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 20), nn.Tanh(), nn.Linear(20, 5))
    batch = torch.randn(30, 8), torch.arange(30) % 5
    whole = bool(registry.get("criterion", criterion).traits.granularity)
    pruning = {"criterion": criterion, "granularity": "neuron" if whole else "weight"}
    size = 25 if whole else 8 * 20 + 20 * 5
    units = (lambda masks: [m.any(1) for m in masks.values()]) if whole else (lambda masks: masks.values())
    before = {}
    for share in (0.4, 0.6, 0.2):
        masks = ex.prune(net, ex.Pruning(**pruning, threshold=share), batch)
        fallen = sum(int((~unit).sum()) for unit in units(masks))
        assert fallen == round(max(share, 0.6 if before and share < 0.6 else 0) * size)
        assert all(not (mask & ~before.get(name, mask)).any() for name, mask in masks.items())
        before = masks


def test_zeros_are_no_part_of_a_units_statistics():
    net = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.0, 0.0, 1.0, 3.0]]))
    masks = ex.prune(net, ex.Pruning(unit="mean", threshold=0.9, criterion="magnitude"))
    assert masks["weight"].tolist() == [[False, False, False, True]]  # 0.9 × 2; over all four 0.9 × 1


def hidden_by_mask(net):
    torch_prune.l1_unstructured(net[1], "weight", 0.5)


def hidden_by_weight_norm(net):
    parametrizations.weight_norm(net[1])


def hidden_by_spectral_norm(net):
    nn.utils.spectral_norm(net[1])


def not_there_yet(net):
    net[1] = nn.LazyLinear(4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (hidden_by_mask, "layer '1' has no plain weight"),
        (hidden_by_weight_norm, "layer '1' has no plain weight"),
        (hidden_by_spectral_norm, "layer '1' has no plain weight"),
        (not_there_yet, r"'1\.weight' has no values yet: call the module once"),
        (lambda net: net[1].to("meta"), r"'1\.weight' is on device 'meta'"),
    ],
)
def test_what_cannot_be_pruned_has_one_explanation(small, scratch_registry, spoil, message):
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.Linear(4, 3))
    spoil(net)
    scratch_registry.register("model", "spoilt")(lambda: net)
    with pytest.raises(ValueError, match=message):
        ex.prune(net, ex.Pruning(threshold=0.5))
    with pytest.raises(ValueError, match=f"model = 'spoilt' cannot be trained here: {message}"):
        ex.train(small(model="spoilt"), progress=False)
    with pytest.raises(ValueError, match=f"model = 'spoilt' cannot be trained here: {message}"):
        ex.sweep(small(model="spoilt"), {"lr": [0.1]}, progress=False)


def test_a_layer_that_is_skipped_may_be_behind_a_mask():
    net = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3))
    torch_prune.l1_unstructured(net[0], "weight", 0.5)
    assert list(ex.prune(net, ex.Pruning(threshold=0.5), skip=["0"])) == ["1.weight"]
