"""What falls with a unit is what a forward pass feels of it: random small modules whose sizes are alike."""

import random

import pytest
import torch
from torch import nn

import explorer as ex
from explorer.engine.network.dependencies import trace_dependencies
from explorer.engine.network.layout import PRUNABLE, Layout
from explorer.engine.pruning.resolved import resolve
from explorer.engine.pruning.unit_columns import expand_to_columns

SIZE = 4  # of every dimension: none can be told from another by it
PARTS = (*PRUNABLE, nn.BatchNorm1d, nn.BatchNorm2d)


class RandomModule(nn.Module):
    """Layers, norms, activations, sums, concatenations, reductions and reshapes in any order that fits."""

    def __init__(self, seed):
        super().__init__()
        self.seed, self.parts = seed, nn.ModuleDict()
        self.double().eval()
        self(torch.randn(2, SIZE, SIZE, SIZE, dtype=torch.float64))  # makes the parts as it meets the shapes

    def part(self, kind, *sizes):
        name = f"{kind.__name__.lower()}{self.count}"
        self.count += 1
        if name not in self.parts:
            self.parts[name] = kind(*sizes).double().eval()
            for tensor in self.parts[name].state_dict().values():
                if tensor.is_floating_point():
                    tensor.uniform_(0.5, 1.5)
            if isinstance(self.parts[name], PRUNABLE):
                nn.init.normal_(self.parts[name].weight)
        return self.parts[name]

    def layer(self, x):
        if x.dim() == 4:
            return self.part(nn.Conv2d, x.shape[1], SIZE, 1)(x)
        if x.dim() == 3 and self.draw.random() < 0.5:
            return self.part(nn.Conv1d, x.shape[1], SIZE, 1)(x)
        return self.part(nn.Linear, x.shape[-1], SIZE)(x)

    def step(self, x):
        dim = self.draw.randrange(1, x.dim())
        other = self.draw.randrange(1, x.dim())
        choices = {
            "layer": self.layer,
            "leaky": nn.functional.leaky_relu,
            "flatten": lambda x: x.flatten(dim),
            "transpose": lambda x: x.transpose(dim, other),
            "fold": lambda x: x.reshape(len(x), -1, 2),
            "unfold": lambda x: x.unflatten(dim, (2, -1)) if x.dim() < 4 and x.shape[dim] % 2 == 0 else x,
            "mean": lambda x: x.mean(dim),
            "sum": lambda x: x.sum(dim, keepdim=True),
            "amax": lambda x: x.amax((dim, other)),
            "concatenation": lambda x: torch.cat([x, x.neg()], dim),
            "a sum": lambda x: x + self.layer(x) if x.shape[-1] == SIZE else x,
            "pool": lambda x: nn.functional.avg_pool1d(x, 2) if x.dim() == 3 and x.shape[2] > 1 else x,
            "norm": lambda x: self.part(nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm1d, x.shape[1])(x),
        }
        out = choices[self.draw.choice([*choices, "layer", "layer", "flatten", "norm"])](x)
        return out if 2 <= out.dim() <= 4 and out[0].numel() <= 300 else x

    def forward(self, x):
        self.draw, self.count = random.Random(self.seed), 0
        x = self.layer(x)
        for _ in range(6):
            try:
                x = self.step(x)
            except RuntimeError:  # sizes that do not go together
                continue
        return self.part(nn.Linear, x.flatten(1).shape[1], 3)(x.flatten(1))


def inputs_of_parts(net, x, changed=None, unit=0):
    """What each part gets, by name, its channels first; one unit of one part says something else."""
    seen, hooks = {}, []

    def channel(part, dims):
        return (
            dims - 1
            if isinstance(part, nn.Linear)
            else max(1, dims - 3)
            if isinstance(part, nn.Conv2d)
            else 1
        )

    def note(name):
        return lambda part, args: seen.update(
            {name: args[0].movedim(channel(part, args[0].dim()), 0).clone()}
        )

    def change(part, _, out):
        out = out.clone()
        out.movedim(channel(part, out.dim()), 0)[unit] += 1 + torch.rand(out.shape[0], dtype=out.dtype).mean()
        return out

    for name, part in net.named_modules():
        if isinstance(part, PARTS):
            hooks.append(part.register_forward_pre_hook(note(name)))
            if name == changed:
                hooks.append(part.register_forward_hook(change))
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return seen


def felt(before, after):
    return (before != after).flatten(1).any(1)


def traced(net, x):
    layers = {f"{n}.weight": n for n, p in net.named_modules() if isinstance(p, PRUNABLE)}
    return trace_dependencies(net, dict(net.named_parameters()), dict(net.named_buffers()), layers, x)


def falls(net, dependencies, name, unit):
    """What a unit's pruning clears: by parameter, bool of its shape."""
    layout = Layout(net)
    layer = next(la for la in layout.layers if la.name == name)
    alive = torch.ones(layer.weight.shape[0], dtype=torch.bool)
    alive[unit] = False
    keep = expand_to_columns(
        layout, [layer], [alive], resolve(ex.Pruning(granularity="neuron")), dependencies
    )
    return {n: ~mask for n, mask in layout.views(keep[None]).items() if not mask.all()}


def check(net, x):
    """Compare what falls with what a forward pass feels; return how much was compared."""
    dependencies, before, compared = traced(net, x), inputs_of_parts(net, x), 0
    for name, units in dependencies.items():
        if units.last:
            continue
        for unit in range(SIZE):
            after, fallen = inputs_of_parts(net, x, name, unit), falls(net, dependencies, name, unit)
            for reader in units.readers:
                columns = fallen[f"{reader}.weight"].transpose(0, 1).flatten(1).all(1)
                assert torch.equal(columns, felt(before[reader], after[reader])), (name, unit, reader)
            for norm in units.norms:
                part = norm.rpartition(".")[0]
                assert torch.equal(fallen[norm], felt(before[part], after[part])), (name, unit, norm)
            own = {f"{name}.weight", f"{name}.bias", *units.norms, *(f"{r}.weight" for r in units.readers)}
            assert set(fallen) == own
            compared += len(units.readers) + len(units.norms)
    return compared


def test_what_falls_is_what_feels_the_unit():
    compared = 0
    for seed in range(300):
        net = RandomModule(seed)
        torch.manual_seed(seed)
        compared += check(net, torch.randn(2, SIZE, SIZE, SIZE, dtype=torch.float64))
    assert compared > 1000


class Named(nn.Module):
    """One convolution of 4 filters over 6 × 6 places, and what is made of its maps."""

    def __init__(self, go, width, filters=4):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, filters, 3), nn.BatchNorm1d(width), nn.Linear(width, 3)
        self.go = go

    def forward(self, x):
        return self.go(self, self.conv(x))


NORM = ["norm.weight", "norm.bias"]
CASES = {
    "each filter owns its map's entries of a norm": (
        lambda s, h: s.fc(s.norm(h.flatten(1))),
        144,
        4,
        ["fc"],
        NORM,
    ),
    "rows are not filters, be there as many": (lambda s, h: s.fc(h.mean(1).mean(1)), 6, 6, [], []),
    "means over the places": (lambda s, h: s.fc(h.mean((2, 3))), 6, 6, ["fc"], []),
    "a sum over one place": (lambda s, h: s.fc(h.sum(3).amax(dim=-1)), 6, 6, ["fc"], []),
    "the largest by another name": (lambda s, h: s.fc(h.amax(axis=(-2, -1))), 6, 6, ["fc"], []),
    "the mean of all": (lambda s, h: s.fc(h - h.mean())[:, 0, 0], 6, 6, [], []),
    "rows that a Linear reads": (lambda s, h: s.fc(h)[:, 0, 0], 6, 6, [], []),
    "what was written over": (lambda s, h: s.fc(written(h.flatten(1))), 144, 4, [], []),
}


def written(h):
    h[:, 0] = 1
    return h


@pytest.mark.parametrize(("go", "width", "filters", "readers", "norms"), CASES.values(), ids=CASES)
def test_dimensions_are_followed_and_never_sizes(go, width, filters, readers, norms):
    net = Named(go, width, filters).double().eval()
    units = traced(net, torch.randn(2, 1, 8, 8, dtype=torch.float64))["conv"]
    assert (units.readers, units.norms) == (readers, norms)


@pytest.mark.parametrize("granularity", ["filter", "neuron"])
def test_a_norm_behind_a_flattened_map_trains_and_falls_with_its_filters(tiny, scratch_registry, granularity):
    @scratch_registry.register("model", "flat-norm")
    def flat_norm():
        """A convolution, then a norm over its flattened maps."""
        conv = nn.Conv2d(1, 4, 4, stride=4, bias=False)
        return nn.Sequential(conv, nn.Flatten(), nn.BatchNorm1d(196), nn.ReLU(), nn.Linear(196, 10))

    pruning = {
        "granularity": granularity,
        "threshold": 0.5,
        "schedule": "iterative",
        "options": {"rounds": 2},
    }
    run = ex.train(tiny(model="flat-norm", pruning=pruning), progress=False, twin=False)
    stay, model = run.masks["0.weight"].flatten(1).any(1), run.model()
    assert int(stay.sum()) == 2
    assert torch.equal(model[2].bias != 0, stay.repeat_interleave(49))
    assert torch.equal(run.masks["4.weight"], stay.repeat_interleave(49).expand(10, 196))
