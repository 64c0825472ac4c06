"""Criteria on 2 × 2 examples worked by hand, and the quantities behind them against plain loops."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

import explorer as ex
from explorer import registry
from explorer.engine.data.random import generator
from explorer.engine.pruning import score_inputs
from explorer.methods import criteria

W = torch.tensor([[[1.0, -2.0], [3.0, 0.5]]])
G = torch.tensor([[[0.5, 0.1], [-0.2, -4.0]]])


def near(found, wanted):
    torch.testing.assert_close(found[0], torch.tensor(wanted), rtol=1e-6, atol=1e-7)


def test_scores_worked_by_hand():
    near(criteria.magnitude(W), [[1.0, 2.0], [3.0, 0.5]])
    near(criteria.gradient(G), [[0.5, 0.1], [0.2, 4.0]])
    near(criteria.taylor(W, G), [[0.5, 0.2], [0.6, 2.0]])
    near(criteria.fisher(W, G.square()), [[0.125, 0.02], [0.18, 2.0]])
    near(criteria.change(W, torch.ones_like(W)), [[0.0, 3.0], [2.0, 0.5]])
    near(criteria.movement(-W * G), [[-0.5, 0.2], [0.6, 2.0]])
    near(criteria.synflow(W, G.abs()), [[0.5, 0.2], [0.6, 2.0]])
    near(criteria.grasp(W, G), [[0.5, -0.2], [-0.6, -2.0]])
    near(criteria.apoz(torch.tensor([[0.25, 1.0]])), [0.75, 0.0])


def test_lamp_is_one_for_the_largest_and_measures_the_others_against_all_not_smaller():
    near(criteria.lamp(W), [[1 / 14, 4 / 13], [1.0, 0.25 / 14.25]])


def test_lamp_gives_equal_weights_equal_scores_and_pruned_ones_none():
    near(criteria.lamp(torch.tensor([[[2.0, -2.0], [0.0, 1.0]]])), [[0.5, 0.5], [0.0, 1 / 9]])


def test_lamp_is_to_the_bit_what_a_search_among_the_sorted_gives():
    torch.manual_seed(0)
    for weight in (torch.randn(2, 7, 11), torch.randint(-3, 4, (3, 50)).double(), torch.zeros(1, 4)):
        squares = weight.flatten(1).double().square()
        ranked = squares.sort(dim=1).values
        tails = ranked.flip(1).cumsum(1).flip(1)
        expected = squares / tails.gather(1, torch.searchsorted(ranked, squares)).clamp_min(1e-38)
        assert torch.equal(criteria.lamp(weight), expected.to(weight).view_as(weight))


@pytest.mark.parametrize("name", ["lamp", "activity", "apoz"])
def test_a_criterion_that_costs_much_says_so(name):
    assert "Costs a " in registry.get("criterion", name).function.__doc__


def test_classes_that_cancel_keep_a_weight_that_the_plain_gradient_drops():
    pulls = torch.tensor([[[[1.0, 0.1], [0.0, 0.2]], [[-1.0, 0.1], [0.3, 0.0]]]])  # two classes
    plain = criteria.gradient(pulls.sum(1))
    split = criteria.class_gradient(pulls)
    assert plain[0, 0, 0] == 0
    assert plain.argmin() == 0
    near(split, [[2.0, 0.2], [0.3, 0.2]])
    assert split.argmax() == 0


@pytest.fixture
def scene():
    """A 6-4-3 net of random weights in float64, and 11 images."""
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, labels = torch.randn(11, 6, dtype=torch.float64), torch.arange(11) % 3
    return score_inputs.ScoringContext(
        module=module,
        parameters=dict(module.named_parameters()),
        layers=["0", "2"],
        x=x,
        labels=labels,
        loss=F.cross_entropy,
        generator=generator(0),
    )


def loss_of(scene, weights):
    values = {**scene.parameters, **{f"{layer}.weight": w for layer, w in weights.items()}}
    return F.cross_entropy(torch.func.functional_call(scene.module, values, (scene.x,)), scene.labels)


def close(found, wanted):
    for layer, tensor in wanted.items():
        torch.testing.assert_close(found[layer], tensor, rtol=1e-9, atol=1e-12)


def test_squared_gradients_are_those_of_single_images(scene):
    wanted = dict.fromkeys(scene.layers, 0)
    for image, label in zip(scene.x, scene.labels, strict=True):
        scene.module.zero_grad()
        F.cross_entropy(scene.module(image[None]), label[None]).backward()
        for layer in wanted:
            wanted[layer] = wanted[layer] + scene.module[int(layer)].weight.grad ** 2 / len(scene.x)
    close(score_inputs.squared_grad(scene), wanted)


def test_class_gradients_add_up_to_the_gradient(scene):
    whole = score_inputs.grad(scene)
    parts = score_inputs.class_grads(scene)
    assert {p.shape[0] for p in parts.values()} == {3}
    close({layer: p.sum(0) for layer, p in parts.items()}, whole)


def test_the_hessian_times_the_gradient_equals_the_full_hessian(scene):
    sizes = [24, 12]
    flat = torch.cat([scene.parameters[f"{la}.weight"].detach().flatten() for la in scene.layers])

    def loss(row):
        one, two = row.split(sizes)
        return loss_of(scene, {"0": one.view(4, 6), "2": two.view(3, 4)})

    hessian = torch.autograd.functional.hessian(loss, flat)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    one, two = (hessian @ gradient).split(sizes)
    close(score_inputs.hessian_grad(scene), {"0": one.view(4, 6), "2": two.view(3, 4)})


def test_taylor_is_what_a_weight_gives_up_to_first_order(scene):
    """Against finite differences: (L(w) − L(w − h w)) / h for a single weight."""
    found = score_inputs.grad(scene)
    weights = {layer: scene.parameters[f"{layer}.weight"].detach() for layer in scene.layers}
    for layer, place in (("0", (2, 3)), ("2", (1, 0))):
        score = criteria.taylor(weights[layer][None], found[layer][None])[0][place]
        less, more = weights[layer].clone(), weights[layer].clone()
        less[place] *= 1 - 1e-5
        more[place] *= 1 + 1e-5
        slope = (loss_of(scene, {layer: more}) - loss_of(scene, {layer: less})).detach() / 2e-5
        assert score == pytest.approx(abs(float(slope)), rel=1e-6)


def test_flow_of_a_linear_chain_by_hand():
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
        module[1].weight.copy_(torch.tensor([[-4.0, 5.0]]))
    there = score_inputs.ScoringContext(
        module=module,
        parameters=dict(module.named_parameters()),
        layers=["0", "1"],
        x=torch.zeros(1, 2),
        labels=torch.zeros(1, dtype=torch.long),
        loss=F.cross_entropy,
        generator=generator(0),
    )
    found = score_inputs.synaptic_flow(there)  # R = 4 · (1 + 2) + 5 · (0 + 3)
    assert found["0"].tolist() == [[4, 4], [5, 5]]
    assert found["1"].tolist() == [[3, 3]]


class Auxiliary(nn.Module):
    """A network with a layer that no forward pass in eval mode uses."""

    def __init__(self):
        super().__init__()
        self.body, self.extra = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x):
        return self.body(x) + self.extra(x) if self.training else self.body(x)


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")  # so few weights are soon gone
@pytest.mark.parametrize("criterion", ["gradient", "taylor", "class-gradient", "grasp", "fisher", "synflow"])
def test_a_layer_that_is_not_used_has_no_gradient(criterion):
    torch.manual_seed(0)
    batch = (torch.randn(20, 6), torch.randint(4, (20,)))
    masks = ex.prune(Auxiliary().eval(), ex.Pruning(criterion=criterion, threshold=0.5), batch=batch)
    assert masks["body.weight"].any()


def unit_means(module, x):
    """The mean |a| of the units of a module's only layers, by name."""
    layers = [name or "weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    context = score_inputs.ScoringContext(
        module.eval(),
        dict(module.named_parameters()),
        layers,
        x,
        torch.zeros(len(x)).long(),
        F.cross_entropy,
        generator(0, 0),
    )
    return score_inputs.activation(context)


def test_a_linear_layer_over_time_has_its_units_last():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(5, 4)), torch.randn(7, 4, 5)
    torch.testing.assert_close(unit_means(net, x)["0"], net(x).abs().mean((0, 1)).detach())


def test_a_layer_that_is_called_twice_counts_both_calls():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x))

    torch.manual_seed(0)
    net, x = Twice(), torch.randn(7, 4)
    first = net.layer(x)
    both = torch.cat([first, net.layer(first)]).abs().mean(0).detach()
    torch.testing.assert_close(unit_means(net, x)["layer"], both)


def test_a_layer_that_is_never_called_is_refused():
    with pytest.raises(ValueError, match=r"no activations of extra were seen"):
        unit_means(Auxiliary(), torch.randn(7, 6))


CRITERIA = [m.name for m in registry.methods("criterion") if not m.traits.trained]


def pruned(criterion, make, batch):
    """The masks of a new network by a criterion at one half."""
    torch.manual_seed(0)
    units = bool(registry.get("criterion", criterion).traits.granularity)
    pruning = ex.Pruning(criterion=criterion, granularity="neuron" if units else "weight", threshold=0.5)
    return ex.prune(make(), pruning, batch)


def test_activations_of_half_precision_are_summed_in_more():
    """20,000 images of activations of about 20: their sum is no number of 16 bits."""
    torch.manual_seed(1)
    x = torch.rand(20_000, 4) * 30

    def make():
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

    zeros = torch.zeros(len(x), dtype=torch.long)
    expected = pruned("activity", make, (x, zeros))
    half = pruned("activity", lambda: make().half(), (x.half(), zeros))
    assert all(torch.equal(half[name], mask) for name, mask in expected.items())


@pytest.mark.parametrize("criterion", ["fisher", "taylor", "magnitude"])
def test_squares_and_products_of_half_precision_do_not_vanish(criterion):
    """Weights of about 1e-4: their squares are 0 in 16 bits, and only the order would decide."""

    def make():
        net = nn.Sequential(nn.Linear(8, 6, bias=False), nn.Linear(6, 3, bias=False))
        for part in net:
            part.weight.data = part.weight.data.mul(1e-3).half().float()
        return net

    torch.manual_seed(1)
    x, labels = torch.randn(64, 8).half(), torch.arange(64) % 3
    expected = pruned(criterion, make, (x.float(), labels))
    half = pruned(criterion, lambda: make().half(), (x, labels))
    differing = sum(int((half[name] != mask).sum()) for name, mask in expected.items())
    assert differing <= 2  # of 66: the gradients themselves are rounded


@pytest.mark.filterwarnings("ignore:not pruned")  # the embedding
@pytest.mark.filterwarnings("ignore:.*leaves nothing")  # of two answers, where one counts for all
@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_takes_tokens(criterion):
    def make():
        layers = [nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2)]
        return nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), *layers)

    torch.manual_seed(0)
    batch = (torch.randint(10, (60, 3)), torch.arange(60) % 2)
    masks = pruned(criterion, make, batch)
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert 0 < kept < sum(mask.numel() for mask in masks.values())


def test_an_input_given_by_name_is_seen():
    class ByName(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.b(input=self.a(input=x))

    torch.manual_seed(0)
    net, x = ByName(), torch.randn(7, 6)
    torch.testing.assert_close(unit_means(net, x)["a"], net.a(x).abs().mean(0).detach())


@pytest.mark.filterwarnings("ignore:not pruned")  # the embedding, the attention's other weights
def test_an_attention_whose_output_layer_no_hook_sees_is_refused():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.fc = nn.Linear(8, 3)

        def forward(self, x):
            return self.fc(self.attention(x, x, x)[0].mean(1))

    torch.manual_seed(0)
    net, batch = Attention(), (torch.randn(9, 5, 8), torch.arange(9) % 3)
    for criterion in ("activity", "apoz"):
        pruning = ex.Pruning(criterion=criterion, granularity="neuron", threshold=0.4)
        before = copy.deepcopy(net.state_dict())
        with pytest.raises(ValueError, match=r"no activations of attention\.out_proj were seen"):
            ex.prune(net, pruning, batch)
        assert all(value.equal(before[name]) for name, value in net.state_dict().items())
        masks = ex.prune(copy.deepcopy(net), pruning, batch, skip=["attention.out_proj"])
        assert list(masks) == ["fc.weight"]


class Answers(nn.Module):
    """A segmentation's way to answer, and a Linear layer that is never called as one."""

    def __init__(self):
        super().__init__()
        self.conv, self.head, self.mix = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 3, 1), nn.Linear(4, 4)

    def forward(self, x):
        maps = F.linear(self.conv(x).relu().movedim(1, -1), self.mix.weight).movedim(-1, 1)
        return {"out": self.head(maps).mean((2, 3)), "aux": (self.head(maps).mean((2, 3)),)}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_takes_a_model_that_answers_with_a_dict(criterion):
    def loss(answer, labels):
        return F.cross_entropy(answer["out"], labels)

    torch.manual_seed(0)
    batch = torch.randn(12, 1, 6, 6), torch.arange(12) % 3
    units = bool(registry.get("criterion", criterion).traits.granularity)
    pruning = ex.Pruning(criterion=criterion, granularity="filter" if units else "weight", threshold=0.4)
    masks = ex.prune(Answers(), pruning, batch, loss)  # the filters alone are scored: mix is not missed
    assert set(masks) == {"conv.weight", "head.weight"} | ({"mix.weight"} if not units else set())
    assert not all(mask.all() for mask in masks.values())
