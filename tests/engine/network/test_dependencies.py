"""Who reads a layer's units is what a change of one unit shows."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

from explorer.engine.network import models
from explorer.engine.network.dependencies import trace_dependencies
from explorer.engine.network.layout import PRUNABLE
from explorer.experiment import Experiment


def traced(module, *shape):
    module.eval()
    names = [n for n, p in module.named_modules() if isinstance(p, PRUNABLE)]
    layers = {f"{n}.weight": n for n in names}
    x = torch.randn(2, *shape)
    return trace_dependencies(
        module, dict(module.named_parameters()), dict(module.named_buffers()), layers, x
    )


def fields(dependencies):
    return {name: (units.readers, units.norms, units.last) for name, units in dependencies.items()}


def test_a_chain():
    module = models.build(Experiment(model="lenet-300-100"))
    assert fields(traced(module, 1, 28, 28)) == {
        "fc1": (["fc2"], [], False),
        "fc2": (["fc3"], [], False),
        "fc3": ([], [], True),
    }


def test_convolutions_batch_norms_and_what_is_flattened():
    assert fields(traced(models.build(Experiment(model="small-cnn")), 1, 28, 28)) == {
        "conv1": (["conv2"], ["bn1.weight", "bn1.bias"], False),
        "conv2": (["fc"], ["bn2.weight", "bn2.bias"], False),
        "fc": ([], [], True),
    }


@pytest.mark.parametrize(
    "between",
    [
        *(
            nn.ReLU(inplace=True),
            nn.GELU(),
            nn.SiLU(),
            nn.Hardtanh(),
            nn.Softplus(),
            nn.PReLU(4),
            nn.LeakyReLU(),
        ),
        *(
            nn.Dropout(),
            nn.Dropout2d(),
            nn.Identity(),
            nn.MaxPool2d(2),
            nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d(3),
        ),
        *(
            nn.BatchNorm2d(4, affine=False),
            nn.BatchNorm2d(4, track_running_stats=False),
            nn.LayerNorm([8, 8]),
        ),
    ],
    ids=lambda m: type(m).__name__,
)
def test_what_leaves_units_in_their_place(between):
    module = nn.Sequential(OrderedDict(a=nn.Conv2d(1, 4, 3), m=between, b=nn.Conv2d(4, 2, 1)))
    assert traced(module, 1, 10, 10)["a"].readers == ["b"]


class HandWritten(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.go = forward
        self.out, self.a, self.b = nn.Linear(6, 3), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        return self.go(self, x)


CASES = {
    "functional, defined last first": (lambda s, x: s.out(F.relu(s.a(x))), {"a": ["out"]}, "out"),
    "methods": (lambda s, x: s.out(s.a(x).relu().mul(2).clamp(min=0)), {"a": ["out"]}, "out"),
    "two readers": (lambda s, x: s.out(torch.cat([s.b(h := s.a(x)), h], 1)[:, :6]), {"a": ["b"]}, "out"),
    "a sum": (lambda s, x: s.out(s.a(x) + s.b(x)), {"a": [], "b": []}, "out"),
    "a residual": (lambda s, x: s.out((h := s.a(x)) + s.b(h)), {"a": ["b"], "b": []}, "out"),
    "used twice": (lambda s, x: s.out(s.b(s.b(s.a(x)))), {"a": [], "b": ["out"]}, "out"),
    "shuffled": (lambda s, x: s.out(s.a(x).flip(1)), {"a": []}, "out"),
    "transposed": (lambda s, x: s.out(s.a(x).view(2, 2, 3).transpose(1, 2).reshape(2, 6)), {"a": []}, "out"),
    "a tail": (lambda s, x: torch.log_softmax(s.b(torch.tanh(s.a(x))), 1), {"a": ["b"]}, "b"),
    "a tail that hides it": (lambda s, x: s.out(s.a(x)).sort().values, {"a": ["out"]}, "out"),
}


@pytest.mark.parametrize(("forward", "readers", "last"), CASES.values(), ids=CASES)
def test_modules_written_by_hand(forward, readers, last):
    dependencies = traced(HandWritten(forward), 6)
    assert {name: dependencies[name].readers for name in readers} == readers
    assert [name for name, units in dependencies.items() if units.last] == [last]


def test_nothing_is_said_of_units_that_are_not_in_the_second_place():
    module = nn.Sequential(OrderedDict(a=nn.Linear(5, 4), b=nn.Flatten(), c=nn.Linear(12, 2)))
    assert traced(module, 3, 5)["a"].readers == []


def test_grouped_convolutions_read_too_little_to_be_told():
    module = nn.Sequential(OrderedDict(a=nn.Conv2d(1, 4, 3), b=nn.Conv2d(4, 4, 1, groups=4)))
    assert traced(module, 1, 6, 6)["a"].readers == []


def test_a_norm_that_serves_two_layers_belongs_to_neither():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.n = nn.Linear(6, 6), nn.Linear(6, 6), nn.BatchNorm1d(6)

        def forward(self, x):
            return self.n(self.b(self.n(self.a(x))))

    assert traced(Shared(), 6)["a"].norms == []


@pytest.mark.parametrize("name", ["lenet-5", "small-cnn", "deep-sigmoid"])
def test_a_unit_that_nobody_reads_changes_nothing(name):
    """With a unit's readers at zero, whatever the unit says, the answers stay."""
    torch.manual_seed(0)
    module = models.build(Experiment(model=name))
    x = torch.randn(3, 1, 28, 28)
    for layer, units in traced(module, 1, 28, 28).items():
        if units.last:
            continue
        part = module.get_submodule(layer)
        with torch.no_grad():
            for reader in units.readers:
                weight = module.get_submodule(reader).weight
                each = weight.shape[1] // part.weight.shape[0]
                weight[:, each : 2 * each] = 0  # those of unit 1
            before = module(x)
            part.weight[1] += 3
            assert torch.equal(module(x), before)
