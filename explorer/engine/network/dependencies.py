"""Which layers read a layer's units: traced by letting a few images pass through the module.

A unit that is pruned takes with it the batch norm's parameters behind it and the weights that read it. Module
order does not tell who reads what where a network branches, so the tensors themselves are followed, from the
layer that makes them through whatever keeps each unit's entries together, and with them the dimension that
the units lie in: never is one taken for another because it is as large. Where the trail is lost, at a sum for
instance, nobody is said to read the unit, and only its own weights go.

Shapes: B batch.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = {f"conv{d}d": d for d in (1, 2, 3)}  # by name, over how many dimensions
POOLS = {
    f"{kind}_pool{d}d": d for kind in ("max", "avg", "lp", "adaptive_avg", "adaptive_max") for d in (1, 2, 3)
}
IN_PLACE = {  # operations that leave each unit where it is
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    *("tanh", "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "softplus", "softsign", "logsigmoid"),
    *("tanhshrink", "softshrink", "hardshrink", "threshold", "clamp", "abs", "square"),
    *("softmax", "log_softmax", "layer_norm"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    *("add", "sub", "mul", "div", "neg", "contiguous", "to", "float", "double"),
}
RESHAPE = {"flatten", "unflatten", "view", "reshape", "squeeze", "unsqueeze"}
REDUCE = {"mean", "amax", "amin", "sum"}


@dataclass
class UnitDependencies:
    """What depends on the units of one layer, as names of parameters and of layers.

    A unit has as many entries in a row of each as there are for every unit: several of a map that is flat.
    """

    norms: list[str] = field(default_factory=list)  # the batch norm's weight and bias behind it
    readers: list[str] = field(default_factory=list)  # the layers that take its units as inputs
    last: bool = False  # its units are the network's answers


@dataclass(frozen=True)
class UnitTrail:
    """Where in a tensor a layer's units are: in one dimension, one after the other, of `each` entries."""

    layer: str
    dim: int
    each: int = 1

    def reshaped(self, before: Sequence[int], after: Sequence[int]) -> "UnitTrail | None":
        """Return where they are in the same entries of another shape; None where one is in several parts."""
        left, inside = math.prod(before[: self.dim]), self.each * math.prod(before[self.dim + 1 :])
        for dim in range(len(after)):
            each, rest = divmod(inside, math.prod(after[dim + 1 :]))
            if math.prod(after[:dim]) == left and not rest:
                return UnitTrail(self.layer, dim, each)
        return None

    def reduced(self, dims: Any, before: int, after: int) -> "UnitTrail | None":
        """Return where they are once these dimensions are summed up; None if theirs is one, or none is named.

        Args:
            dims: one or several.
            before: how many dimensions there were.
            after: how many there are: as many where they are kept, of size 1.
        """
        fall = {dim % before for dim in ([dims] if isinstance(dims, int) else dims or range(before))}
        left = 0 if before == after else sum(dim < self.dim for dim in fall)
        return None if self.dim in fall else UnitTrail(self.layer, self.dim - left, self.each)


def trace_dependencies(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    layers: Mapping[str, str],
    x: Tensor,
) -> dict[str, UnitDependencies]:
    """Return what depends on the units of each layer of a module in eval mode.

    Args:
        module: passed through once.
        parameters: its parameters by name, [*shape] each.
        buffers: its buffers likewise.
        layers: for each prunable weight, by name, the layer that it belongs to.
        x: a few images, [B, 1, 28, 28].
    """
    with torch.no_grad(), _Tracer(parameters, layers) as tracer:
        out = torch.func.functional_call(module, {**parameters, **buffers}, (x,))
    dependencies = {layer: tracer.dependencies.get(layer, UnitDependencies()) for layer in layers.values()}
    for units in dependencies.values():  # what is used twice may belong to another layer's units as well
        units.readers = [r for r in dict.fromkeys(units.readers) if tracer.uses[r] == 1]
        units.norms = [n for n in units.norms if tracer.uses[n] == 1]
    answers = tracer.trails.get(id(out))
    last = answers.layer if answers else (tracer.order or [""])[-1]
    if last in dependencies:
        dependencies[last].last = True
    return dependencies


class _Tracer(TorchFunctionMode):
    """Follows units from operation to operation: for every tensor, where it holds those of a layer."""

    def __init__(self, parameters: Mapping[str, Tensor], layers: Mapping[str, str]) -> None:
        super().__init__()
        self.names = {id(tensor): name for name, tensor in parameters.items()}
        self.layers = layers
        self.trails: dict[int, UnitTrail] = {}  # by a tensor's id
        self.dependencies: dict[str, UnitDependencies] = {}
        self.uses: Counter[str] = Counter()  # of layers and of batch norms' parameters
        self.order: list[str] = []  # the layers as they are called
        self._alive: list[Any] = []  # an id is a tensor's own only while the tensor lives

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the operation, and follow the units from its first argument to its result."""
        kwargs = kwargs or {}
        operands = [*args, *kwargs.values()]
        x = operands[0] if operands else None
        shape = x.shape if isinstance(x, Tensor) else ()  # what works in place may change it
        out = func(*args, **kwargs)
        self._alive.append(out)
        if isinstance(x, Tensor):
            name = getattr(func, "__name__", "").strip("_")
            changed = out if isinstance(out, Tensor) else x if name == "setitem" else None
            trail = self._follow(name, args, kwargs, shape, out) if isinstance(out, Tensor) else None
            if changed is not None:
                self.trails.pop(id(changed), None)
            if trail:
                self.trails[id(out)] = trail
        return out

    def _follow(
        self, operation: str, args: Any, kwargs: Mapping[str, Any], shape: Sequence[int], out: Tensor
    ) -> UnitTrail | None:
        """Return where `out` holds a layer's units, None where the trail is lost.

        `shape` is that of the operation's first operand before it.
        """
        operands = [*args, *kwargs.values()]
        others = [each for each in operands[1:] if isinstance(each, Tensor)]
        trail = self.trails.get(id(operands[0]))
        names = [self.names[id(each)] for each in others if id(each) in self.names]
        weight = next((each for each in others if self.names.get(id(each)) in self.layers), None)
        if weight is not None and (operation == "linear" or operation in CONVOLUTIONS):
            layer, dim = self.layers[self.names[id(weight)]], out.dim() - 1 - CONVOLUTIONS.get(operation, 0)
            grouped = shape[dim] != weight.shape[1]  # filters of a group read too few of the units to count
            self._add_layer(layer, None if grouped or not trail or trail.dim != dim else trail)
            return UnitTrail(layer, dim)
        if operation == "batch_norm":
            self._add_norm(names, trail if trail and trail.dim == 1 else None)
            return trail
        if trail is None or (others and operation not in ("layer_norm", "prelu")):
            return None
        if operation in REDUCE:
            dims = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
            return trail.reduced(dims, len(shape), out.dim())
        if operation in RESHAPE:
            return trail.reshaped(shape, out.shape)
        pooled = out.dim() - POOLS.get(operation, 0)  # the first of the dimensions that are
        still = operation in POOLS and trail.dim < pooled
        return trail if still or operation in IN_PLACE else None

    def _add_layer(self, layer: str, trail: UnitTrail | None) -> None:
        """Note that a layer is called, and whose units it reads."""
        self.uses[layer] += 1
        self.order.append(layer)
        self.dependencies.setdefault(layer, UnitDependencies())
        if trail:
            self.dependencies[trail.layer].readers.append(layer)

    def _add_norm(self, names: list[str], trail: UnitTrail | None) -> None:
        self.uses.update(names)
        if trail:
            self.dependencies[trail.layer].norms += names
