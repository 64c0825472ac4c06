"""The quantities that criteria ask for are exact, whatever the size of the set."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

import explorer as ex
from explorer import registry
from explorer.engine.data import datasets
from explorer.engine.data.random import generator
from explorer.engine.pruning import score_inputs
from explorer.engine.training.trainer import Trainer


def scene(net, count, loss=F.cross_entropy):
    torch.manual_seed(1)
    return score_inputs.ScoringContext(
        module=net,
        parameters=dict(net.named_parameters()),
        layers=[n for n, p in net.named_modules() if isinstance(p, nn.Linear)],
        x=torch.randn(count, 6, dtype=torch.float64),
        labels=torch.randint(3, (count,)),
        loss=loss,
        generator=generator(0, 2, 0),
    )


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


@pytest.mark.parametrize("count", [1, 10, 20, 23])
def test_gradient_over_a_set_is_that_of_the_mean_loss(count, monkeypatch):
    monkeypatch.setattr(score_inputs, "CHUNK", 10)
    module = net()
    found = score_inputs.grad(scene(module, count))
    there = scene(module, count)
    F.cross_entropy(module(there.x), there.labels).backward()
    for name, grad in found.items():
        expected = module.get_submodule(name).weight.grad
        torch.testing.assert_close(grad, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("count", [1, 10, 23])
def test_activation_over_a_set_is_the_mean_of_absolute_values(count, monkeypatch):
    monkeypatch.setattr(score_inputs, "CHUNK", 10)
    module = net()
    there = scene(module, count)
    found = score_inputs.activation(there)
    with torch.no_grad():
        hidden = torch.tanh(module[0](there.x))  # signed: summing before |·| would cancel
        expected = {"0": hidden.abs().mean(0), "2": module[2](hidden).abs().mean(0)}
    assert (hidden < 0).any()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_criteria_worked_by_hand():
    weight = torch.tensor([[[-2.0, 0.5]]])
    call = {name: registry.get("criterion", name) for name in registry.names("criterion")}
    assert call["magnitude"](weight).tolist() == [[[2.0, 0.5]]]
    assert call["gradient"](weight).tolist() == [[[2.0, 0.5]]]  # a signed threshold would kill −2
    assert call["activity"](weight[0]).tolist() == [[-2.0, 0.5]]


def test_noise_is_uniform_and_the_runs_own():
    module = nn.Sequential(nn.Linear(50, 40)).double()
    torch.manual_seed(8)
    noise = score_inputs.noise(scene_of(module, 5))["0"]
    torch.manual_seed(9)
    assert torch.equal(noise, score_inputs.noise(scene_of(module, 5))["0"])
    assert not torch.equal(noise, score_inputs.noise(scene_of(module, 6))["0"])
    assert noise.min() >= 0
    assert noise.max() < 1
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.03)  # five standard errors


def scene_of(module, seed):
    made = scene(net(), 1)
    made.module, made.parameters, made.layers = module, dict(module.named_parameters()), ["0"]
    made.generator = generator(seed, 2, 0)
    return made


def test_a_run_scores_by_5000_training_images_and_not_one_batch():
    exp = ex.Experiment(pruning={"criterion": "gradient"})
    trainer = Trainer([exp], "cpu", torch.float64)
    there = trainer.pruner.scoring_context(trainer.state.view(0), exp, 0)
    assert len(there.x) == len(there.labels) == 5000
    assert torch.equal(there.labels, trainer.split.train.labels[:5000])
    assert there.x.dtype == torch.float64


def test_scores_in_a_run_are_the_derivative_over_the_scoring_set(tiny):
    exp = tiny(loss="mse", pruning={"criterion": "gradient"})
    trainer = Trainer([exp], "cpu", torch.float64)
    scored = trainer.pruner.score(trainer.state.view(0), exp, 0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).double()
    torch.nn.utils.vector_to_parameters(trainer.state.theta[0], module.parameters())
    images = trainer.split.train
    logits = module(datasets.normalised(images.pixels, True, torch.float64))
    (0.5 * (logits - F.one_hot(images.labels, 10)) ** 2).sum(1).mean().backward()
    assert [layer.name for layer in scored.layers] == ["fc1", "fc2"]
    for part, found in zip((module[1], module[3]), scored.scores, strict=True):
        torch.testing.assert_close(found, part.weight.grad.abs().flatten(), rtol=1e-10, atol=1e-14)
