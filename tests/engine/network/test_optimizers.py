"""Optimizers and the whole step are torch's own, held to it in float64."""

from functools import partial

import pytest
import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

import explorer as ex
from explorer import registry
from explorer.engine.data import datasets
from explorer.engine.data.random import generator, shuffled_indices
from explorer.engine.network import models
from explorer.engine.training.train import train

LANES, WIDTH, STEPS = 3, 11, 20


def batches_of(images, exp, epoch):
    order = shuffled_indices(len(images), exp.seed, epoch)
    return datasets.batches(images, order, exp.batch_size, normalise=exp.normalise, dtype=torch.float64)


def gradients():
    torch.manual_seed(0)
    return torch.randn(STEPS, LANES, WIDTH, dtype=torch.float64) * torch.logspace(-6, 3, WIDTH).double()


def ours(name, rates, momentum):
    torch.manual_seed(1)
    theta = torch.randn(LANES, WIDTH, dtype=torch.float64)
    method = registry.get("optimizer", name)
    state = {n: torch.zeros_like(theta) for n in method.traits.state}
    state["steps"] = theta.new_zeros(LANES, 1)
    lr = theta.new_tensor(rates).unsqueeze(1)
    mu = None if momentum is None else theta.new_tensor(momentum).unsqueeze(1)
    for grad in gradients():
        method(theta, grad.clone(), lr, mu, state)
    return theta


def theirs(make):
    torch.manual_seed(1)
    start = torch.randn(LANES, WIDTH, dtype=torch.float64)
    lanes = []
    for i in range(LANES):
        parameter = torch.nn.Parameter(start[i].clone())
        optimizer = make(i, [parameter])
        for grad in gradients():
            parameter.grad = grad[i].clone()
            optimizer.step()
        lanes.append(parameter.detach())
    return torch.stack(lanes)


RATES = [0.1, 0.01, 1.0]


def test_sgd():
    expected = theirs(lambda i, p: torch.optim.SGD(p, lr=RATES[i]))
    torch.testing.assert_close(ours("sgd", RATES, None), expected, rtol=1e-12, atol=1e-12)


def test_momentum_of_each_lane():
    momentum = [0.9, 0.0, 0.5]
    expected = theirs(lambda i, p: torch.optim.SGD(p, lr=RATES[i], momentum=momentum[i]))
    torch.testing.assert_close(ours("sgd", RATES, momentum), expected, rtol=1e-12, atol=1e-12)


def test_adam():
    expected = theirs(lambda i, p: torch.optim.Adam(p, lr=RATES[i]))
    torch.testing.assert_close(ours("adam", RATES, None), expected, rtol=1e-12, atol=1e-12)


def plain_loop(exp, make, clip, l1=0.0, decay=None):
    """The training as any PyTorch user would write it; returns the weights, [P], and the norms."""
    module = models.initialised(exp, generator(exp.seed, 0)).double()
    optimizer = make(module.parameters())
    rates = decay and decay(optimizer)
    value = registry.get("loss", exp.loss).traits.value
    parts = datasets.split(exp.dataset, torch.device("cpu"), exp.validation)
    for epoch in range(exp.epochs):
        for x, y in batches_of(parts.train, exp, epoch):
            optimizer.zero_grad()
            penalty = sum(p.abs().sum() for n, p in module.named_parameters() if n.endswith("weight"))
            (value(module(x), y) + l1 * penalty).backward()
            clip(module.parameters())
            optimizer.step()
            if rates:
                rates.step()
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
def test_training_equals_a_plain_loop_with_momentum_decay_and_clipping(tiny, loss):
    exp = tiny(
        loss=loss,
        lr=0.05,
        momentum=0.9,
        weight_decay=5e-3,
        epochs=2,
        pruning=None,
        clipping={"max_norm": 0.3},
    )
    run = train(exp, progress=False, dtype=torch.float64)
    expected = plain_loop(
        exp,
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=5e-3),
        lambda p: clip_grad_norm_(p, 0.3),
    )
    assert run.summary["clip_rate"] > 0
    torch.testing.assert_close(run.row, expected, rtol=1e-9, atol=1e-11)


def test_training_equals_a_plain_loop_with_adam_and_value_clipping(tiny):
    exp = tiny(
        optimizer="adam",
        lr=1e-3,
        weight_decay=1e-2,
        pruning=None,
        clipping={"rule": "value", "max_norm": 0.01},
    )
    run = train(exp, progress=False, dtype=torch.float64)
    expected = plain_loop(
        exp,
        lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=1e-2),
        lambda p: clip_grad_value_(p, 0.01),
    )
    torch.testing.assert_close(run.row, expected, rtol=1e-7, atol=1e-9)


def test_l1_is_a_penalty_on_weights_alone_and_is_clipped_with_the_rest(tiny):
    exp = tiny(l1=1e-3, pruning=None, clipping={"max_norm": 0.5})
    run = train(exp, progress=False, dtype=torch.float64)
    expected = plain_loop(
        exp, lambda p: torch.optim.SGD(p, lr=0.1), lambda p: clip_grad_norm_(p, 0.5), l1=1e-3
    )
    torch.testing.assert_close(run.row, expected, rtol=1e-9, atol=1e-11)


DECAYS = {
    "cosine": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=32),
    "linear": partial(torch.optim.lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.0, total_iters=32),
}


def test_every_decay_has_a_peer():
    assert set(DECAYS) == set(registry.names("lr_decay")) - {"constant"}


@pytest.mark.parametrize("name", DECAYS)
def test_the_learning_rate_falls_as_torchs_does(tiny, name):
    exp = tiny(lr_decay=name, epochs=2, momentum=0.5, pruning=None, clipping={"max_norm": 0.5})
    run = train(exp, progress=False, dtype=torch.float64)
    expected = plain_loop(
        exp,
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5),
        lambda p: clip_grad_norm_(p, 0.5),
        decay=DECAYS[name],
    )
    torch.testing.assert_close(run.row, expected, rtol=1e-9, atol=1e-11)
    rates = [v for _, _, metric, _, v in run.records.history if metric == "lr"]
    assert rates[0] == 0.1
    assert sorted(rates, reverse=True) == rates
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_fine_tuning_equals_torchs_custom_from_mask(tiny):
    """After the event our run is what torch's own pruning would train."""
    from torch.nn.utils import prune as torch_prune

    exp = tiny(momentum=0.9, clipping=None, pruning={"threshold": 0.8, "begin_epoch": 0})
    run = train(exp, progress=False, dtype=torch.float64)
    module = models.initialised(exp, generator(exp.seed, 0)).double()
    masks = ex.prune(module, exp.pruning)
    for name, part in module.named_modules():
        if f"{name}.weight" in masks:
            torch_prune.custom_from_mask(part, "weight", masks[f"{name}.weight"])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    train_images = datasets.split(exp.dataset, torch.device("cpu"), exp.validation).train
    for x, y in batches_of(train_images, exp, 0):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    module(x)  # torch computes the masked weight at the forward pass
    ours = run.model()
    for name in ("fc1", "fc2"):
        expected = module.get_submodule(name).weight.detach()
        assert torch.equal(expected != 0, run.masks[f"{name}.weight"])
        torch.testing.assert_close(ours.get_submodule(name).weight.detach(), expected, rtol=1e-9, atol=1e-11)
