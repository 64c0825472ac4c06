"""The hand-written backward pass is the derivative: autograd, in float64, is the judge."""

from collections import OrderedDict
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

import explorer as ex
from explorer import registry
from explorer.engine.data import datasets
from explorer.engine.network import forward_backward, losses
from explorer.engine.network.forward_backward import Network, chain_of, evaluate
from explorer.engine.training.trainer import Trainer

LOSSES = {name: registry.get("loss", name).function for name in ("cross-entropy", "mse")}


def chain(activation, seed=0, widths=(12, 7, 5, 3)):
    torch.manual_seed(seed)
    parts = [("flatten", nn.Flatten())]
    for i, (a, b) in enumerate(pairwise(widths)):
        parts += [(f"fc{i}", nn.Linear(a, b)), (f"act{i}", activation())]
    return nn.Sequential(OrderedDict(parts[:-1])).double()


def batch(count=9, classes=3):
    torch.manual_seed(1)
    return torch.randn(count, 1, 3, 4, dtype=torch.float64), torch.randint(classes, (count,))


def gradient(network, rows, data, loss):
    """Losses and gradients of every row, [L] and [L, P]."""
    grad = torch.full_like(rows, torch.nan)  # what is not written shows
    alone = [(network.views(rows[i : i + 1]), network.views(grad[i : i + 1])) for i in range(len(rows))]
    return torch.stack([network.gradient(v, g, data, loss).reshape(()) for v, g in alone]), grad


def by_torch(module, data, name):
    """Loss and gradient as torch has them, for the module's own values."""
    x, labels = data
    module.zero_grad()
    logits = module(x)
    if name == "mse":
        value = 0.5 * ((logits - F.one_hot(labels, 3)) ** 2).sum() / len(labels)
    else:
        value = F.cross_entropy(logits, labels)
    value.backward()
    return value.detach(), torch.cat([p.grad.flatten() for p in module.parameters()])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
@pytest.mark.parametrize("by_hand", [True, False])
def test_gradient_is_torchs(activation, loss, by_hand):
    module, data = chain(activation), batch()
    network = Network(module, by_hand=by_hand)
    assert (network.chain is not None) == by_hand
    row = network.layout.row(module).unsqueeze(0)
    value, grad = gradient(network, row, data, LOSSES[loss])
    expected_value, expected = by_torch(module, data, loss)
    torch.testing.assert_close(value[0], expected_value, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(grad[0], expected, rtol=1e-12, atol=1e-14)


def test_each_row_has_its_own_gradient():
    modules, data = [chain(nn.ReLU, seed) for seed in (0, 1, 2)], batch()
    network = Network(modules[0])
    rows = torch.stack([network.layout.row(m) for m in modules])
    _, grad = gradient(network, rows, data, losses.cross_entropy)
    for module, row in zip(modules, grad, strict=True):
        torch.testing.assert_close(row, by_torch(module, data, "cross-entropy")[1], rtol=1e-12, atol=1e-14)


def convolution(seed=0):
    torch.manual_seed(seed)
    parts = nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
    return nn.Sequential(*parts).double()


MODULES = {"chain": partial(chain, nn.Tanh), "convolution": convolution}


@pytest.mark.parametrize("own", [False, True], ids=["one batch", "a batch each"])
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_lanes_together_equal_lanes_alone(make, own):
    """What a GPU does in one go, by batched products or vmap, held to plain matrices; buffers included."""
    modules, (x, labels) = [make(seed) for seed in (0, 1)], batch()
    network = Network(modules[0])
    rows = torch.stack([network.layout.row(m) for m in modules])
    data = [(x, labels), (x.flip(0) * 0.5, labels) if own else (x, labels)]
    names = [name for name, _ in modules[0].named_buffers()]
    start = {name: torch.stack([m.get_buffer(name) for m in modules]) for name in names}
    buffers = [{name: b.clone() for name, b in start.items()} for _ in range(2)]
    grads, row_losses = [torch.zeros_like(rows) for _ in range(2)], []
    with network.train_mode(torch.device("cpu"), 0):
        for i in range(2):
            views = network.views(rows[i : i + 1], {n: b[i : i + 1] for n, b in buffers[0].items()})
            grad = network.views(grads[0][i : i + 1])
            row_losses.append(network.gradient(views, grad, data[i], losses.cross_entropy))
        both = tuple(torch.stack(pair) for pair in zip(*data, strict=True)) if own else data[0]
        views = network.views(rows, buffers[1])
        value = network.gradient(views, network.views(grads[1]), both, losses.cross_entropy)
    torch.testing.assert_close(value, torch.stack(row_losses), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-10, atol=1e-13)
    for name in names:
        torch.testing.assert_close(buffers[1][name], buffers[0][name], rtol=1e-12, atol=1e-14)
        assert not torch.equal(buffers[0][name], start[name])


def test_chains_are_recognised():
    links = chain_of(chain(nn.ReLU))
    assert [(la.weight, la.bias, la.activation) for la in links] == [
        ("fc0.weight", "fc0.bias", "relu"),
        ("fc1.weight", "fc1.bias", "relu"),
        ("fc2.weight", "fc2.bias", ""),
    ]


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(3, 2),
        nn.Sequential(nn.Linear(3, 2, bias=False)),
        nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Tanh()),
        nn.Sequential(nn.Linear(3, 3), nn.Dropout()),
        nn.Sequential(nn.ReLU(), nn.Linear(3, 3)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)),
        nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3))),
        nn.Sequential(nn.Flatten()),
    ],
)
def test_what_is_no_chain_goes_through_autograd(module):
    assert chain_of(module) is None


def test_what_the_answers_do_not_depend_on_has_no_gradient():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(12, 3), nn.Linear(12, 3)

        def forward(self, x):
            return self.used(x.flatten(1))

    network = Network(Idle().double())
    row = network.layout.row(network.module).unsqueeze(0)
    _, grad = gradient(network, row, batch(), losses.cross_entropy)
    views = network.layout.views(grad)
    assert views["used.weight"].any()
    assert not views["idle.weight"].any()
    assert not views["idle.bias"].any()


def test_autograd_serves_convolutions():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)).double()
    network, data = Network(module), batch()
    rows = network.layout.row(module).repeat(2, 1)
    _, grad = gradient(network, rows, data, losses.cross_entropy)
    _, expected = by_torch(module, data, "cross-entropy")
    torch.testing.assert_close(grad, expected.repeat(2, 1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(5,), (2, 5)])
def test_losses_equal_their_trait_and_its_derivative(name, shape):
    torch.manual_seed(3)
    logits = torch.randn(*shape, 4, dtype=torch.float64) * 3
    labels = torch.randint(4, shape)
    value, grad = LOSSES[name](logits.clone(), labels)
    lanes = zip(logits.reshape(-1, 5, 4), labels.reshape(-1, 5), strict=True)
    for i, (z, y) in enumerate(lanes):
        z.requires_grad_()
        expected = registry.get("loss", name).traits.value(z, y)
        torch.testing.assert_close(value.reshape(-1)[i], expected.detach(), rtol=1e-13, atol=0)
        (derivative,) = torch.autograd.grad(expected, z)
        torch.testing.assert_close(grad.reshape(-1, 5, 4)[i], derivative, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(5,), (2, 5)])
def test_losses_of_one_output_equal_their_trait_and_its_derivative(name, shape):
    torch.manual_seed(4)
    logits = torch.randn(*shape, 1, dtype=torch.float64) * 3
    labels = torch.randint(2, (5,))
    value, grad = LOSSES[name](logits.clone(), labels)
    assert value.shape == shape[:-1]
    for i, z in enumerate(logits.reshape(-1, 5, 1)):
        z.requires_grad_()
        expected = registry.get("loss", name).traits.value(z, labels)
        torch.testing.assert_close(value.reshape(-1)[i], expected.detach(), rtol=1e-13, atol=0)
        (derivative,) = torch.autograd.grad(expected, z)
        torch.testing.assert_close(grad.reshape(-1, 5, 1)[i], derivative, rtol=1e-12, atol=1e-15)


def test_losses_of_one_output_worked_by_hand():
    """At z = 0 the sigmoid is ½ and its slope ¼; log 2 = 0.693."""
    logits, labels = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([1, 0])
    value, grad = losses.mse(logits, labels)
    assert float(value) == 0.5 * 0.25
    assert grad.tolist() == [[-0.5 * 0.25 / 2], [0.5 * 0.25 / 2]]
    value, grad = losses.cross_entropy(logits, labels)
    assert float(value) == pytest.approx(0.6931471805599453)
    assert grad.tolist() == [[-0.25], [0.25]]
    value, grad = losses.cross_entropy(torch.tensor([[1e4]]), torch.tensor([0]))
    assert (float(value), grad.tolist()) == (1e4, [[1.0]])


def test_an_answer_is_right_by_the_largest_logit_or_by_the_sign_of_the_only_one():
    labels = torch.tensor([1, 0, 1])
    assert losses.is_correct(torch.tensor([[0.1], [-2.0], [-0.1]]), labels).tolist() == [True, True, False]
    many = torch.tensor([[0.0, 1.0], [0.0, 1.0], [5.0, 1.0]])
    assert losses.is_correct(many, labels).tolist() == [True, False, False]


def test_losses_worked_by_hand():
    logits, labels = torch.tensor([[1.0, 2.0], [0.0, 0.0]], dtype=torch.float64), torch.tensor([0, 1])
    value, grad = losses.mse(logits.clone(), labels)
    assert value == (0.5 * (0 + 4) + 0.5 * (0 + 1)) / 2
    assert grad.tolist() == [[0.0, 1.0], [0.0, -0.5]]
    value, grad = losses.cross_entropy(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0]))
    assert float(value) == pytest.approx(0.6931471805599453)
    assert grad.tolist() == [[-0.5, 0.5]]


def test_cross_entropy_stands_huge_logits():
    value, grad = losses.cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([1]))
    assert float(value) == 2e4
    assert grad.tolist() == [[1.0, -1.0]]


def test_evaluate_is_the_mean_over_all_images_whatever_the_chunks():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()
    torch.manual_seed(5)
    x, labels = torch.randn(6001, 1, 3, 4, dtype=torch.float64), torch.randint(3, (6001,))
    network = Network(module)
    loss, accuracy = evaluate(network, network.layout.row(module), x, labels, losses.cross_entropy)
    with torch.no_grad():
        logits = module(x)
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-12)
    assert accuracy == float((logits.argmax(1) == labels).double().mean())


def test_a_whole_training_by_autograd_equals_the_one_by_hand(tiny):
    exp = tiny(model="lenet-300-100", momentum=0.9, clipping={"max_norm": 0.5})
    by_hand, by_autograd = (Trainer([exp], "cpu", torch.float64) for _ in range(2))
    by_autograd.network.chain = None
    by_autograd._load(by_autograd.state)
    for trainer in (by_hand, by_autograd):
        assert sum(1 for _ in trainer.run()) > trainer.total
    a, b = by_hand.lanes[0].history.history, by_autograd.lanes[0].history.history
    assert [row[:4] for row in a] == [row[:4] for row in b]
    assert [row[4] for row in a] == pytest.approx([row[4] for row in b], rel=1e-10, abs=1e-12)
    torch.testing.assert_close(by_hand.state.theta, by_autograd.state.theta, rtol=1e-10, atol=1e-12)


def repeated_activation():
    relu = nn.ReLU()
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 9), relu, nn.Linear(9, 10), relu)


def repeated_layer():
    layer = nn.Linear(9, 9)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 9), layer, nn.ReLU(), layer, nn.Linear(9, 10))


def tied_layers():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.Linear(9, 9), nn.Linear(9, 9), nn.Linear(9, 10))
    net[3].weight = net[2].weight
    return net


def hooked(register, hook):
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    getattr(net[1], register)(hook)
    return net


def patched():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    net[1].forward = lambda x: F.linear(x, torch.zeros(10, 784))
    return net


def frozen():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 10))
    net[1].requires_grad_(requires_grad=False)
    return net


NOT_CHAINS = {
    "an activation twice": repeated_activation,
    "a layer twice": repeated_layer,
    "tied layers": tied_layers,
    "a hook": partial(hooked, "register_forward_hook", lambda _m, _x, out: -out),
    "a hook before": partial(hooked, "register_forward_pre_hook", lambda _m, args: (-args[0],)),
    "a patched forward": patched,
    "a frozen layer": frozen,
    "another flatten": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(784, 10)),
}


@pytest.mark.parametrize("make", NOT_CHAINS.values(), ids=NOT_CHAINS)
def test_what_is_not_surely_a_chain_is_called_as_it_is(make):
    assert chain_of(make()) is None


@pytest.mark.parametrize("name", ["an activation twice", "a layer twice", "a hook", "a hook before"])
def test_what_was_trained_is_what_the_model_computes(tiny, scratch_registry, name):
    scratch_registry.register("model", "own")(lambda: NOT_CHAINS[name]())  # noqa: PLW0108  a function of its own
    run = ex.train(tiny(model="own", lr=0.1, pruning=None), device="cpu", progress=False)
    test = datasets.split("tiny", torch.device("cpu"), 100).test
    answers = run.model()(test.inputs(run.experiment.normalise, torch.float32)).argmax(1)
    assert run.summary["test_accuracy"] == pytest.approx((answers == test.labels).float().mean().item())


def test_a_model_that_computes_something_else_than_was_trained_is_an_error(
    tiny, scratch_registry, monkeypatch
):
    scratch_registry.register("model", "own")(lambda: NOT_CHAINS["a hook"]())  # noqa: PLW0108  likewise
    monkeypatch.setattr(forward_backward, "_is_plain", lambda _module: True)  # as if nobody had looked
    with pytest.raises(RuntimeError, match="what was trained is not what the module computes"):
        ex.train(tiny(model="own", pruning=None), device="cpu", progress=False)
