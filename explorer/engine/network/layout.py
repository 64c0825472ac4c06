"""The row matrix: every run is a row of `theta` [L, P], every parameter a range of its columns.

Shapes: L lanes, P parameters.
"""

import warnings
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.RMSNorm)
NAMED = 4  # weights that a warning names


@dataclass(frozen=True)
class ParameterSlice:
    """The columns of one parameter."""

    name: str
    shape: torch.Size
    start: int
    stop: int

    def of(self, rows: Tensor) -> Tensor:
        """Return the parameter's columns of rows [..., P], flat [..., numel]; shares their memory."""
        return rows[..., self.start : self.stop]

    def view(self, rows: Tensor) -> Tensor:
        """Return the same in the parameter's shape, [..., *shape]."""
        return self.of(rows).view(*rows.shape[:-1], *self.shape)


@dataclass(frozen=True)
class Layer:
    """A prunable layer: its weight and its bias, and into how many groups a convolution falls."""

    name: str
    weight: ParameterSlice
    bias: ParameterSlice | None
    groups: int = 1


def prunable_parts(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of a module that can be pruned, by name; a bare one is called "weight"."""
    return {name or "weight": part for name, part in module.named_modules() if isinstance(part, PRUNABLE)}


def prunable_weights(module: nn.Module) -> dict[str, list[str]]:
    """Return the names of the weights that can be pruned, each with the parts that have it, layers first.

    A tied weight has several, and is called as the first part that has it is, whatever that is.
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    layers = prunable_parts(module)
    owners: dict[str, list[str]] = {}
    for layer, part in layers.items():
        if part._parameters.get("weight") is not None:
            owners.setdefault(names[id(part.weight)], []).append(layer)
    for other, part in module.named_modules():
        for parameter in part.parameters(recurse=False):
            if other and other not in layers and names[id(parameter)] in owners:
                owners[names[id(parameter)]].append(other)
    return owners


def check_weights(module: nn.Module, skip: Collection[str] = ()) -> None:
    """Raise ValueError, with what to do, where a layer's weights are not there to be pruned.

    A weight that torch computes at every forward pass would come back. Layers in `skip` may have such.
    """
    for name, part in prunable_parts(module).items():
        if name not in skip and part._parameters.get("weight") is None:
            raise ValueError(
                f"layer {name!r} has no plain weight, torch holds it behind a mask or a parametrization; "
                "make that permanent first, for instance by torch.nn.utils.prune.remove(layer, 'weight')"
            )
    for name, parameter in module.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise ValueError(f"{name!r} has no values yet: call the module once on a batch first")
        if parameter.is_meta:
            raise ValueError(f"{name!r} is on device 'meta', without values: load the module's weights first")


def left_out(module: nn.Module, skip: Collection[str] = ()) -> dict[str, str]:
    """Return the matrices that are no prunable layer's weight, by parameter name: the type that has them.

    Biases and normalisation never count; what is in `skip`, by its own name or its part's, is not meant.
    """
    pruned, within = prunable_weights(module), tuple(f"{name}." for name in skip)
    others: dict[str, str] = {}
    for prefix, part in module.named_modules():
        for name, parameter in part.named_parameters(prefix, recurse=False):
            own = name.rpartition(".")[2]
            counts = not isinstance(part, NORMS) and not own.endswith("bias")
            masked = isinstance(part, PRUNABLE) and own.startswith("weight")  # "weight_orig", "weight_g"
            named = name in pruned or name in skip or name.startswith(within)
            if counts and not masked and not named and sum(size > 1 for size in parameter.shape) > 1:
                others[name] = type(part).__name__
    return others


def warn_of_left_out(module: nn.Module, skip: Collection[str] = (), advice: str = "") -> None:
    """Warn the caller's caller of matrices that are not pruned."""
    names = [f"{name} ({kind})" for name, kind in left_out(module, skip).items()]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    if names:
        text = f"not pruned: {', '.join(names[:NAMED])}{more}; the threshold is met on Linear and Conv layers"
        warnings.warn(f"{text} alone{advice}", stacklevel=3)


class Layout:
    """Where each parameter of a module stands in the row, and which of them can be pruned.

    Args:
        module: whose parameters they are, in the order of `named_parameters`.
    """

    def __init__(self, module: nn.Module) -> None:
        self.slices: dict[str, ParameterSlice] = {}
        start = 0
        for name, parameter in module.named_parameters():
            stop = start + parameter.numel()
            self.slices[name] = ParameterSlice(name, parameter.shape, start, stop)
            start = stop
        self.width = start
        self.frozen = [self.slices[n] for n, p in module.named_parameters() if not p.requires_grad]
        every = self._layers(module)
        self.weights = [layer.weight for layer in every]  # those without an entry included
        self.layers = [layer for layer in every if layer.weight.shape.numel()]
        self.prunable = sum(layer.weight.shape.numel() for layer in self.layers)

    def _layers(self, module: nn.Module) -> list[Layer]:
        parts, names = prunable_parts(module), {id(p): name for name, p in module.named_parameters()}
        return [
            Layer(
                layer,
                self.slices[weight],
                self.slices.get(names.get(id(parts[layer].bias), "")),
                groups_of(parts[layer]),
            )
            for weight, (layer, *_) in prunable_weights(module).items()
        ]

    def views(self, matrix: Tensor) -> dict[str, Tensor]:
        """Return all parameters of a matrix [L, P] by name, as [L, *shape], or [*shape] where L is 1."""
        rows = matrix[0] if len(matrix) == 1 else matrix  # one row does not pay for a lane dimension
        return {name: part.view(rows) for name, part in self.slices.items()}

    def row(self, module: nn.Module) -> Tensor:
        """Return a module's parameters as one row, [P]."""
        return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

    def load(self, module: nn.Module, row: Tensor) -> nn.Module:
        """Copy a row, [P], into a module's parameters, and return the module."""
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(self.slices[name].view(row))
        return module


def groups_of(part: nn.Module) -> int:
    """Return into how many groups of inputs and filters a layer falls."""
    return int(getattr(part, "groups", 1))
