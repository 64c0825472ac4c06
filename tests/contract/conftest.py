"""Shared by the contract tests: a tiny run of a pruning, and nets so small that a run takes milliseconds."""

import dataclasses

import pytest

ROUNDS = 4  # SynFlow's own 100 take most of the time and hold nothing more


@pytest.fixture
def trained(tiny):
    """Returns a function that trains the tiny experiment under a pruning, its twin beside it."""
    import explorer as ex

    def make(**pruning):
        return ex.train(tiny(pruning=pruning), progress=False)

    return make


@pytest.fixture
def small(scratch_registry):
    """Experiments on 35 training, 12 validation and 17 test images of 8 pixels: 12 steps, the last of 2."""
    import torch
    from torch import nn

    import explorer as ex
    from explorer.engine.data.datasets import Images

    @scratch_registry.register("dataset", "made-up")
    def made_up():
        """Three kinds of noise, each brightest in a part of its own."""
        drawn = torch.Generator().manual_seed(5)
        labels = torch.randint(3, (64,), generator=drawn)
        pixels = torch.randint(100, (64, 1, 2, 4), generator=drawn)
        pixels[torch.arange(64), 0, 0, labels] += 150
        images = Images(pixels.to(torch.uint8), labels)
        return images[slice(47)], images[slice(47, 64)]

    @scratch_registry.register("model", "small-chain")
    def chain():
        """A hidden layer of each kind: one that reads pixels, and a square one."""
        layers = [nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)]
        return nn.Sequential(nn.Flatten(), *layers)

    @scratch_registry.register("model", "small-conv")
    def conv():
        """A convolution, for what prunes no other layers; batch norm, for what is no chain."""
        layers = [nn.Conv2d(1, 4, (1, 3)), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)]
        return nn.Sequential(*layers)

    for method in scratch_registry.methods("criterion"):
        fewer = dataclasses.replace(method.traits, rounds=min(ROUNDS, method.traits.rounds))
        scratch_registry._METHODS["criterion"][method.name] = dataclasses.replace(method, traits=fewer)

    def make(**fields):
        few = {"dataset": "made-up", "model": "small-chain", "batch_size": 3, "validation": 12, "epochs": 1}
        return ex.Experiment(**(few | fields))

    return make
