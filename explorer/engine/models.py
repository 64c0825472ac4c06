"""The zoo: each model is a factory of an ordinary `nn.Module` that takes images [B, 1, 28, 28].

Modules are built without values and initialised by `initialise` from a generator of the run's own, with
torch's default distributions, so that no run disturbs another's random numbers.
"""

import math
from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn

from explorer.experiment import Experiment
from explorer.registry import get, register


def _linear_chain(*sizes: int) -> nn.Sequential:
    parts: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        parts.append((f"fc{i}", nn.Linear(fan_in, fan_out)))
        parts.append((f"relu{i}", nn.ReLU()))
    return nn.Sequential(OrderedDict(parts[:-1]))  # the logits stay as they are


@register("model", "mlp-784-128-10")
def mlp_784_128_10() -> nn.Module:
    """One hidden layer of 128 ReLU units: the network of article 000.

    Reference: sources/000, section 4.1
    """
    return _linear_chain(784, 128, 10)


@register("model", "lenet-300-100")
def lenet_300_100() -> nn.Module:
    """Two hidden layers of 300 and 100 ReLU units, the field's yardstick for pruning.

    Reference: LeCun, Bottou, Bengio & Haffner 1998, https://doi.org/10.1109/5.726791
    """
    return _linear_chain(784, 300, 100, 10)


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Fills a module built on the meta device with torch's default initial values, from this generator."""
    module = module.to_empty(device="cpu")
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_uniform_(part.weight, a=math.sqrt(5), generator=generator)
            if part.bias is not None:
                bound = 1 / math.sqrt(part.weight[0].numel())
                part.bias.uniform_(-bound, bound, generator=generator)
    return module


def build(experiment: Experiment) -> nn.Module:
    """The experiment's module without values, on the meta device: structure only."""
    with torch.device("meta"):
        module: nn.Module = get("model", experiment.model)(**experiment.model_options)
    return module
