"""The zoo is what its sources describe, and any module of a user's trains, prunes and comes back."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

import explorer as ex
from explorer import registry
from explorer.engine.data import datasets
from explorer.engine.network import models
from explorer.engine.network.forward_backward import Network, chain_of
from explorer.engine.training.train import train
from explorer.engine.training.trainer import Trainer
from explorer.methods import clipping


def built(name, **options):
    return models.build(ex.Experiment(model=name, model_options=options))


PARAMETERS = {  # worked out by hand
    "mlp-784-128-10": 784 * 128 + 128 + 128 * 10 + 10,
    "mlp-784-64-32-10": 784 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10,
    "lenet-300-100": 266_610,
    "lenet-5": 431_080,  # as Han et al. count them
    "deep-sigmoid": 784 * 64 + 64 + 7 * (64 * 64 + 64) + 64 * 10 + 10,
    "small-cnn": 8 * 9 + 16 + 16 * 72 + 32 + 576 * 10 + 10,
    "binary-digit": 785,
}


def test_every_model_has_the_size_that_is_published():
    assert {name: sum(p.numel() for p in built(name).parameters()) for name in registry.names("model")} == (
        PARAMETERS
    )


@pytest.mark.parametrize("name", registry.names("model"))
def test_every_model_answers_for_images(name):
    logits = built(name)(torch.zeros(2, 1, 28, 28))
    assert logits.shape == (2, 1 if name == "binary-digit" else 10)


def test_lenet_5_is_caffes():
    layers = [
        (n, tuple(p.weight.shape)) for n, p in built("lenet-5").named_children() if hasattr(p, "weight")
    ]
    assert layers == [
        ("conv1", (20, 1, 5, 5)),
        ("conv2", (50, 20, 5, 5)),
        ("fc1", (500, 800)),
        ("fc2", (10, 500)),
    ]
    assert [n for n, p in built("lenet-5").named_children() if isinstance(p, nn.ReLU)] == ["relu1"]


@pytest.mark.parametrize("depth", [1, 3, 30])
def test_deep_sigmoid_has_so_many_hidden_layers_and_goes_by_hand(depth):
    links = chain_of(built("deep-sigmoid", depth=depth, width=5))
    assert [link.activation for link in links] == ["sigmoid"] * depth + [""]


@pytest.mark.parametrize(("name", "value"), [("depth", 0), ("depth", 31), ("width", 0)])
def test_options_of_deep_sigmoid_are_bounded(name, value):
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        ex.Experiment(model="deep-sigmoid", model_options={name: value})


def test_gradients_vanish_with_depth(tiny):
    exp = tiny(model="deep-sigmoid", model_options={"depth": 6, "width": 16}, pruning=None)
    trainer = Trainer([exp], "cpu", torch.float64)
    steps = trainer.run()
    for _ in range(3):
        next(steps)
    norms = [
        float(trainer.executor.stepper.grad[0, la.weight.start : la.weight.stop].norm())
        for la in trainer.network.layout.layers
    ]
    assert norms[2] < norms[4] / 5 < norms[6] / 25


@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
def test_binary_digit_learns_to_tell_its_digit(tiny, loss):
    run = ex.train(
        tiny(model="binary-digit", model_options={"digit": 1}, loss=loss, pruning={"threshold": 0.5}),
        progress=False,
    )
    test = datasets.split("tiny", torch.device("cpu"), 100).test
    with torch.no_grad():
        says = run.model()(test.inputs(True, torch.float32)).squeeze(1) > 0
    assert run.summary["test_accuracy"] == float((says == (test.labels == 1)).double().mean())
    assert run.summary["test_accuracy"] > 0.9


def test_another_digit_is_another_question(tiny):
    one, two = (Trainer([tiny(model="binary-digit", model_options={"digit": d})], "cpu") for d in (1, 2))
    plain = datasets.split("tiny", torch.device("cpu"), 100)
    assert torch.equal(one.split.train.labels, (plain.train.labels == 1).long())
    assert torch.equal(two.split.test.labels, (plain.test.labels == 2).long())
    assert int(plain.train.labels.max()) == 9  # what others see stays


def test_the_one_weight_example_of_article_003():
    """ŷ = σ(wx + b), x = y = 0.1 … 0.5, from w = b = 0; the gradient clipped at 0.05 by value and by norm."""
    x = torch.tensor([[0.1], [0.2], [0.3], [0.4], [0.5]], dtype=torch.float64)
    w, b = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    grads = {"weight": torch.zeros_like(w), "bias": torch.zeros_like(b)}

    def loss(logits, truth):
        p = logits.sigmoid()
        apart = p - truth
        return apart.square().mean(), 2 * apart * p * (1 - p) / len(truth)

    network = Network(nn.Sequential(nn.Linear(1, 1)).double())
    value = network.gradient(
        {"0.weight": w, "0.bias": b}, {f"0.{n}": g for n, g in grads.items()}, (x, x), loss
    )
    # errors 0.4 … 0: mean of squares 0.06; each weighed by 2 σ'(0) = ½
    assert float(value) == pytest.approx((0.16 + 0.09 + 0.04 + 0.01) / 5)
    assert float(grads["weight"]) == pytest.approx((0.04 + 0.06 + 0.06 + 0.04) / 10)
    assert float(grads["bias"]) == pytest.approx(1.0 / 10)
    row = torch.tensor([[float(grads["weight"]), float(grads["bias"])]], dtype=torch.float64)
    length = torch.tensor([(0.02**2 + 0.1**2) ** 0.5], dtype=torch.float64)
    for rule, held in ((clipping.value, [0.02, 0.05]), (clipping.norm, [0.02 * 0.49029, 0.1 * 0.49029])):
        clipped = row.clone()  # √(0.02² + 0.1²) = 0.10198, and 0.05/0.10198 = 0.49029
        rule(clipped, length, torch.tensor([0.05], dtype=torch.float64))
        assert clipped[0].tolist() == pytest.approx(held, rel=1e-4)


# -- a user's own ------------------------------------------------------------------------------------------


class Odd(nn.Module):
    """Branches, a parameter and a constant of its own, dropout, three activations, and a bare tensor."""

    def __init__(self):
        super().__init__()
        self.answer = nn.Linear(24, 10)  # defined first, used last
        self.conv = nn.Conv2d(1, 4, 5, stride=3)
        self.norm = nn.BatchNorm2d(4)
        self.left, self.right = nn.Linear(256, 12), nn.Linear(256, 12)
        self.gain = nn.Parameter(torch.full((12,), 0.5))
        self.unused = nn.Parameter(torch.randn(3))
        self.register_buffer("shift", torch.tensor([0.25]))
        self.drop, self.bare = nn.Dropout(0.5), torch.tensor(1.0)

    def forward(self, x):
        h = F.elu(self.norm(self.conv(x))).flatten(1)
        left = torch.tanh(self.left(h)) * self.gain
        right = torch.sigmoid(self.right(self.drop(h)) + self.shift * self.bare)
        return self.answer(torch.cat([left, right], 1))


@pytest.fixture
def odd(tiny, scratch_registry):
    scratch_registry.register("model", "odd")(Odd)

    def make(**fields):
        return tiny(model="odd", **fields)

    return make


@pytest.mark.parametrize("granularity", ["weight", "neuron", "filter", "input"])
def test_any_module_trains_and_prunes_and_comes_back(odd, granularity):
    run = ex.train(odd(pruning={"threshold": 0.5, "granularity": granularity}), progress=False)
    model = run.model()
    assert isinstance(model, Odd)
    assert run.status == "done"
    assert float(model.shift) == 0.25
    assert set(run.masks) == {f"{n}.weight" for n in ("answer", "conv", "left", "right")}
    for name, mask in run.masks.items():
        assert not model.get_parameter(name)[~mask].any()
    if granularity == "neuron":
        assert run.masks["answer.weight"].all()  # the classes, though defined first; no one follows a cat
    if granularity == "filter":
        dead = ~run.masks["conv.weight"].flatten(1).any(1)
        assert int(dead.sum()) == 2
        for part in ("left", "right"):  # both branches stop reading the maps
            read = run.masks[f"{part}.weight"].view(12, 4, 64)
            assert not read[:, dead].any()
            assert read[:, ~dead].all()
        assert not model.norm.weight[dead].any()
        assert not model.norm.bias[dead].any()
    test = datasets.split("tiny", torch.device("cpu"), 100).test
    with torch.no_grad():
        right = model(test.inputs(True, torch.float32)).argmax(1) == test.labels
    assert run.summary["test_accuracy"] == float(right.double().mean())


def test_initial_values_are_the_modules_own(odd):
    trainer = Trainer([odd(pruning=None)], "cpu")
    slices, row = trainer.network.layout.slices, trainer.state.theta[:1]
    assert set(slices["gain"].view(row).flatten().tolist()) == {0.5}
    assert slices["unused"].view(row).abs().min() > 0
    again = Trainer([odd(pruning=None)], "cpu")
    assert torch.equal(trainer.state.theta, again.state.theta)
    assert not torch.equal(trainer.state.theta, Trainer([odd(pruning=None, seed=1)], "cpu").state.theta)


def test_dropout_draws_from_the_runs_own_numbers(odd):
    state = torch.get_rng_state()
    one = ex.train(odd(pruning=None), progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(77)
    two = ex.train(odd(pruning=None), progress=False)
    assert torch.equal(one.row, two.row)
    assert one.records.history == two.records.history


def test_dropout_is_on_while_learning_and_off_otherwise(odd, scratch_registry):
    with_dropout = ex.train(odd(pruning=None), progress=False)

    @scratch_registry.register("model", "calm")
    def calm():
        """The same without dropout."""
        module = Odd()
        module.drop = nn.Identity()
        return module

    without = ex.train(odd(pruning=None).replace(model="calm"), progress=False)
    assert not torch.equal(with_dropout.row, without.row)
    x = torch.randn(4, 1, 28, 28)
    model = with_dropout.model()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("dropped", [0.0, 0.5])
def test_a_lane_of_a_stack_equals_the_single_run_whatever_the_module(odd, dropped):
    exp = odd(pruning={"threshold": 0.8, "begin_epoch": dropped, "criterion": "gradient"})
    both = train(exp, progress=False, dtype=torch.float64)
    alone = train(exp, progress=False, dtype=torch.float64, twin=False)
    torch.testing.assert_close(both.row, alone.row, rtol=0, atol=1e-12)
    dense = train(exp.dense(), progress=False, dtype=torch.float64)
    torch.testing.assert_close(both.dense.row, dense.row, rtol=0, atol=1e-12)
    for name, buffer in dense.buffers.items():
        torch.testing.assert_close(both.dense.buffers[name], buffer, rtol=0, atol=1e-12)


def test_a_pause_changes_nothing_for_a_module_with_dropout_and_statistics(odd):
    straight, broken = (Trainer([odd(pruning={"threshold": 0.5})], "cpu") for _ in range(2))
    for _ in straight.run():
        pass
    for stop in (6, 11, None):
        for _ in broken.run():
            torch.rand(3)
            if broken.step == stop:
                break
    assert torch.equal(straight.state.theta, broken.state.theta)
    assert all(torch.equal(b, broken.state.buffers[n]) for n, b in straight.state.buffers.items())


def test_a_factory_may_hand_out_a_module_of_somebodys_own(tiny, scratch_registry):
    """It is pruned and trained from the values that it has, and stays as it is."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).train()
    before = copy.deepcopy(net.state_dict())
    scratch_registry.register("model", "mine")(lambda: net)
    run = ex.train(tiny(model="mine", lr=1e-30, pruning=None), progress=False)
    assert torch.equal(run.model()[1].weight, net[1].weight)
    assert run.model() is not net
    assert net.training
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_a_factory_that_gives_no_module_is_refused(tiny, scratch_registry):
    scratch_registry.register("model", "nothing")(lambda: None)
    with pytest.raises(ValueError, match="model = 'nothing' gives NoneType"):
        Trainer([tiny(model="nothing")], "cpu")
