"""`ex.prune` does to any module what torch.nn.utils.prune does, and says so where it cannot."""

import copy
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it
from torch.nn.utils import prune as torch_prune

import explorer as ex


def linear_net():
    torch.manual_seed(0)
    names = ("fc1", "relu1", "fc2", "relu2", "fc3")
    parts = (nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 4))
    return nn.Sequential(OrderedDict(zip(names, parts, strict=True)))


def conv_net():
    torch.manual_seed(1)
    names = ("conv1", "norm", "relu1", "conv2", "relu2", "flatten", "fc")
    parts = (
        nn.Conv2d(1, 5, 3),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 7, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(28, 3),
    )
    parts[1].running_var.fill_(0.5)  # as if images had passed it
    return nn.Sequential(OrderedDict(zip(names, parts, strict=True)))


def batch_for(net):
    torch.manual_seed(2)
    if isinstance(net[0], nn.Conv2d):
        return torch.randn(20, 1, 6, 6), torch.randint(3, (20,))
    return torch.randn(20, 8), torch.randint(4, (20,))


def layers(net):
    return [(n, p) for n, p in net.named_modules() if isinstance(p, (nn.Linear, nn.Conv2d))]


def torch_masks(net, apply):
    apply([(part, "weight") for _, part in layers(net)])
    return {f"{name}.weight": part.weight_mask.bool() for name, part in layers(net)}


def assert_same_masks(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, mask in theirs.items():
        assert ours[name].dtype == torch.bool
        assert torch.equal(ours[name], mask), name


both = pytest.mark.parametrize("make", [linear_net, conv_net])
shares = pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.77, 0.99])


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")  # so few weights are soon gone
@both
@shares
def test_global_magnitude_is_torchs_global_unstructured(make, share):
    theirs = torch_masks(
        make(),
        lambda p: torch_prune.global_unstructured(p, torch_prune.L1Unstructured, amount=share),
    )
    assert_same_masks(ex.prune(make(), ex.Pruning(threshold=share)), theirs)


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")  # so few weights are soon gone
@both
@shares
def test_uniform_magnitude_is_torchs_l1_unstructured(make, share):
    theirs = torch_masks(
        make(), lambda pairs: [torch_prune.l1_unstructured(m, n, amount=share) for m, n in pairs]
    )
    assert_same_masks(ex.prune(make(), ex.Pruning(threshold=share, allocation="uniform")), theirs)


@both
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.7])
def test_uniform_neurons_are_torchs_ln_structured(make, share, norm):
    theirs = torch_masks(
        make(), lambda pairs: [torch_prune.ln_structured(m, n, share, n=norm, dim=0) for m, n in pairs]
    )
    pruning = ex.Pruning(threshold=share, granularity="neuron", allocation="uniform", options={"norm": norm})
    assert_same_masks(ex.prune(make(), pruning), theirs)


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")  # so few weights are soon gone
@both
@pytest.mark.parametrize("norm", [1, 2])
def test_global_neurons_compete_by_length_over_root_fan_in(make, norm):
    net = make()
    lengths = [
        torch.linalg.vector_norm(p.weight.detach().flatten(1), ord=norm, dim=1) / p.weight[0].numel() ** 0.5
        for _, p in layers(net)
    ]
    total = sum(len(x) for x in lengths)
    cut = torch.cat(lengths).sort().values[round(0.5 * total)]
    masks = ex.prune(net, ex.Pruning(threshold=0.5, granularity="neuron", options={"norm": norm}))
    for length, mask in zip(lengths, masks.values(), strict=True):
        assert torch.equal(mask.flatten(1).all(1), length >= cut)
        assert torch.equal(mask.flatten(1).any(1), length >= cut)


@both
def test_zeroes_in_place_and_touches_nothing_else(make):
    net = make()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    parameters = dict(net.named_parameters())
    masks = ex.prune(net, ex.Pruning(threshold=0.6))
    assert all(net.get_parameter(n) is p for n, p in parameters.items())
    for name, tensor in net.state_dict().items():
        expected = before[name] * masks[name] if name in masks else before[name]
        assert torch.equal(tensor, expected), name
    assert set(masks) == {f"{n}.weight" for n, _ in layers(net)}


def test_skip_leaves_layers_out_of_zeroing_and_of_the_count():
    net = linear_net()
    last = net.fc3.weight.clone()
    masks = ex.prune(net, ex.Pruning(threshold=0.5), skip=["fc3"])
    assert set(masks) == {"fc1.weight", "fc2.weight"}
    assert torch.equal(net.fc3.weight, last)
    assert sum(int((~m).sum()) for m in masks.values()) == round(0.5 * (8 * 12 + 12 * 6))


def test_names_in_skip_are_checked():
    with pytest.raises(ValueError, match="skip = 'fc9' is not known; did you mean 'fc"):
        ex.prune(linear_net(), ex.Pruning(), skip=["fc9"])


def test_nothing_to_prune_is_an_error():
    with pytest.raises(ValueError, match="nothing to prune: ReLU"):
        ex.prune(nn.ReLU(), ex.Pruning())
    with pytest.raises(ValueError, match="nothing to prune"):
        ex.prune(linear_net(), ex.Pruning(), skip=["fc1", "fc2", "fc3"])


@pytest.mark.parametrize("criterion", ["gradient", "activity"])
def test_criteria_that_score_by_data_need_a_batch(criterion):
    net = linear_net()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match="batch"):
        ex.prune(net, ex.Pruning(criterion=criterion, granularity="neuron"))
    assert all(torch.equal(net.state_dict()[n], t) for n, t in before.items())
    assert net.training


@both
@pytest.mark.parametrize("loss", [F.cross_entropy, lambda z, y: (z.sum(1) * y).mean()])
def test_gradient_is_the_absolute_derivative_over_the_batch_in_eval_mode(make, loss):
    net = make()
    x, y = batch_for(net)
    judge = copy.deepcopy(net).eval()
    loss(judge(x), y).backward()
    grads = [p.weight.grad.abs() for _, p in layers(judge)]
    cut = torch.cat([g.flatten() for g in grads]).sort().values
    k = round(0.7 * len(cut))
    masks = ex.prune(net, ex.Pruning(criterion="gradient", threshold=0.7), batch=(x, y), loss=loss)
    middle = (cut[k - 1] + cut[k]) / 2
    for grad, mask in zip(grads, masks.values(), strict=True):
        clear = (grad - middle).abs() > 1e-7  # dead units have gradients that are all exactly zero
        assert torch.equal(mask[clear], (grad > middle)[clear])
    assert sum(int((~m).sum()) for m in masks.values()) == k
    assert all(p.grad is None for p in net.parameters())


def test_activity_is_the_mean_absolute_answer_where_the_next_layer_reads_it():
    net = linear_net()
    x, y = batch_for(net)
    with torch.no_grad():
        h1 = F.relu(net.fc1(x))
        h2 = F.relu(net.fc2(h1))
        answers = [h1.abs().mean(0), h2.abs().mean(0), net.fc3(h2).abs().mean(0)]
    pruning = ex.Pruning(criterion="activity", granularity="neuron", allocation="uniform", threshold=0.5)
    masks = ex.prune(net, pruning, batch=(x, y))
    for answer, mask in zip(answers, masks.values(), strict=True):
        weakest = answer.argsort()[: round(0.5 * len(answer))]
        assert sorted(weakest.tolist()) == torch.nonzero(~mask.any(1)).flatten().tolist()


def test_activity_of_a_filter_is_the_mean_over_its_map():
    net = conv_net().eval()
    x, y = batch_for(net)
    with torch.no_grad():
        first = net[:3](x).abs().mean((0, 2, 3))
        second = net[:5](x).abs().mean((0, 2, 3))
    pruning = ex.Pruning(criterion="activity", granularity="neuron", allocation="uniform", threshold=0.4)
    masks = ex.prune(net, pruning, batch=(x, y), skip=["fc"])
    for answer, mask in zip((first, second), masks.values(), strict=True):
        weakest = answer.argsort()[: round(0.4 * len(answer))]
        assert sorted(weakest.tolist()) == torch.nonzero(~mask.flatten(1).any(1)).flatten().tolist()


def test_activity_is_seen_at_the_true_reader_when_a_layer_between_is_skipped():
    whole, part = linear_net(), linear_net()
    x, y = batch_for(whole)
    pruning = ex.Pruning(criterion="activity", granularity="neuron", allocation="uniform", threshold=0.5)
    expected = ex.prune(whole, pruning, batch=(x, y))
    for skip in (["fc2"], ["fc3"], ["fc2", "fc3"]):
        masks = ex.prune(copy.deepcopy(part), pruning, batch=(x, y), skip=skip)
        for name, mask in masks.items():
            assert torch.equal(mask, expected[name])


def test_each_part_of_the_module_keeps_its_mode():
    net = conv_net().train()
    net.norm.eval()  # a frozen batch norm in a network that trains
    statistics = {n: b.clone() for n, b in net.named_buffers()}
    modes = {n: m.training for n, m in net.named_modules()}
    for criterion in ("gradient", "activity"):
        ex.prune(net, ex.Pruning(criterion=criterion, granularity="neuron", threshold=0.2), batch_for(net))
        assert {n: m.training for n, m in net.named_modules()} == modes
        assert all(torch.equal(b, statistics[n]) for n, b in net.named_buffers())
    with pytest.raises(ValueError, match="batch"):
        ex.prune(net, ex.Pruning(criterion="gradient"))
    assert {n: m.training for n, m in net.named_modules()} == modes


def test_random_is_reproducible_and_leaves_torchs_numbers_alone():
    pruning = ex.Pruning(criterion="random", threshold=0.5)
    state = torch.get_rng_state()
    first = ex.prune(linear_net_like(), pruning)
    torch.set_rng_state(state)
    second = ex.prune(linear_net_like(), pruning)
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_masks(first, second)
    assert 0 < float(first["fc1.weight"].float().mean()) < 1


def linear_net_like():
    with torch.random.fork_rng():
        return linear_net()


def test_a_bare_linear_works():
    for pruning in (
        ex.Pruning(threshold=0.5),
        ex.Pruning(threshold=0.5, criterion="gradient"),
        ex.Pruning(threshold=0.5, criterion="activity", granularity="neuron"),
    ):
        torch.manual_seed(4)
        layer = nn.Linear(6, 4)
        masks = ex.prune(layer, pruning, batch=(torch.randn(5, 6), torch.randint(4, (5,))))
        assert list(masks) == ["weight"]
        assert torch.equal(layer.weight != 0, masks["weight"])
        assert int(masks["weight"].sum()) == 12


def test_convolutions_of_every_dimension_are_pruned():
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.Conv3d(2, 4, 2))
    masks = ex.prune(net, ex.Pruning(threshold=0.5))
    assert set(masks) == {"0.weight", "1.weight"}


def test_a_frozen_module_can_be_scored_by_gradient():
    net = linear_net().requires_grad_(False)
    masks = ex.prune(net, ex.Pruning(criterion="gradient", threshold=0.5), batch_for(net))
    assert sum(int((~m).sum()) for m in masks.values()) == round(0.5 * (96 + 72 + 24))
    assert not any(p.requires_grad for p in net.parameters())


def test_scores_that_are_not_finite_are_refused():
    net = linear_net()
    with torch.no_grad():
        net.fc2.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="'magnitude' gives scores that are not finite in layer 'fc2'"):
        ex.prune(net, ex.Pruning())


def test_what_torch_has_pruned_already_gives_advice():
    net = linear_net()
    torch_prune.l1_unstructured(net.fc1, "weight", 0.5)
    with pytest.raises(ValueError, match=r"fc1.*torch_prune|fc1.*torch\.nn\.utils\.prune\.remove"):
        ex.prune(net, ex.Pruning())


def test_the_docstrings_recipe_keeps_zeros_through_training():
    net = linear_net()
    x, y = batch_for(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for _ in range(3):  # momentum before pruning would revive what is only zeroed
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    masks = ex.prune(net, ex.Pruning(threshold=0.8))
    for name, part in net.named_modules():
        if f"{name}.weight" in masks:
            torch_prune.custom_from_mask(part, "weight", masks[f"{name}.weight"])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for _ in range(10):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        net(x)
        for name, part in layers(net):
            assert not part.weight[~masks[f"{name}.weight"]].any()
            assert part.weight[masks[f"{name}.weight"]].all()
    assert "custom_from_mask" in ex.prune.__doc__


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")  # so few weights are soon gone
@pytest.mark.parametrize(
    ("net", "granularity"), [(linear_net, "neuron"), (conv_net, "filter"), (linear_net, "input")]
)
def test_masks_are_whole_tensors_of_their_own(net, granularity, tmp_path):
    masks = ex.prune(net(), ex.Pruning(granularity=granularity, threshold=0.5))
    assert all(mask.is_contiguous() for mask in masks.values())
    save_file(masks, tmp_path / "masks.safetensors")
    for mask in masks.values():
        before = mask.sum()
        mask.logical_and_(torch.rand(mask.shape) > 0.5)  # a view of one element a unit refuses
        assert mask.sum() < before or not before
