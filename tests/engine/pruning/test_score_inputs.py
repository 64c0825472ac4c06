"""Criteria on 2 × 2 examples worked by hand, and the quantities behind them against plain loops."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

import explorer as ex
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
