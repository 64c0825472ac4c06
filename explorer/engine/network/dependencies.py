"""Who reads a layer's units: found by watching two images pass through the module.

A unit that is pruned takes with it the batch norm's parameters behind it and the weights that read it. Module
order does not tell who reads what where a network branches, so the tensors themselves are followed, from the
layer that makes them through whatever leaves each unit in its place. Where the trail is lost, at a sum for
instance, nobody is said to read the unit, and only its own weights go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LAYERS = {"linear", "conv1d", "conv2d", "conv3d"}
IN_PLACE = {  # what leaves each unit where it is
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    *("tanh", "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "softplus", "softsign", "logsigmoid"),
    *(
        "tanhshrink",
        "softshrink",
        "hardshrink",
        "threshold",
        "clamp",
        "abs",
        "square",
        "softmax",
        "log_softmax",
    ),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    *(f"{kind}_pool{d}d" for kind in ("max", "avg", "lp", "adaptive_avg", "adaptive_max") for d in (1, 2, 3)),
    *("add", "sub", "mul", "div", "neg", "contiguous", "to", "float", "double", "squeeze", "layer_norm"),
}
FLATTEN = {"flatten", "view", "reshape"}
AVERAGE = {"mean", "amax", "sum"}


@dataclass
class UnitDependencies:
    """What depends on the units of one layer, as names of parameters and of layers."""

    norms: list[str] = field(default_factory=list)  # the batch norm's weight and bias behind it
    readers: list[str] = field(default_factory=list)  # the layers that take its units as inputs
    last: bool = False  # its units are the network's answers


def trace_dependencies(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    layers: Mapping[str, str],
    x: Tensor,
) -> dict[str, UnitDependencies]:
    """The wire of each layer of a module in eval mode, from a few images.

    `layers` names for each prunable weight the layer that it belongs to.
    """
    with torch.no_grad(), _Tracer(parameters, layers) as watch:
        out = torch.func.functional_call(module, {**parameters, **buffers}, (x,))
    found = {layer: watch.trace_dependencies.get(layer, UnitDependencies()) for layer in layers.values()}
    for wire in found.values():  # what is used twice may belong to another layer's units as well
        wire.readers = [r for r in dict.fromkeys(wire.readers) if watch.uses.get(r) == 1]
        wire.norms = [n for n in wire.norms if watch.uses.get(n) == 1]
    last = watch.source.get(id(out)) or (watch.order or [""])[-1]
    if last in found:
        found[last].last = True
    return found


class _Tracer(TorchFunctionMode):
    """Notes for every tensor the layer whose units it holds."""

    def __init__(self, parameters: Mapping[str, Tensor], layers: Mapping[str, str]) -> None:
        super().__init__()
        self.names = {id(tensor): name for name, tensor in parameters.items()}
        self.layers = layers
        self.source: dict[int, str] = {}
        self.trace_dependencies: dict[str, UnitDependencies] = {}
        self.uses: dict[str, int] = {}
        self.order: list[str] = []
        self._held: list[Any] = []  # an id is a tensor's own only while the tensor lives

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Does what is asked for, and follows the units."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self._held.append(out)
        given = [*args, *kwargs.values()]
        if isinstance(out, Tensor) and given and isinstance(given[0], Tensor):
            source = self._follow(getattr(func, "__name__", "").strip("_"), given, out)
            self.source.pop(id(out), None)
            if source:
                self.source[id(out)] = source
        return out

    def _follow(self, what: str, given: list[Any], out: Tensor) -> str | None:
        """The layer whose units `out` holds."""
        x = given[0]
        before = self.source.get(id(x))
        names = [self.names[id(g)] for g in given[1:] if isinstance(g, Tensor) and id(g) in self.names]
        layer = next((self.layers[n] for n in names if n in self.layers), None)
        if what in LAYERS and layer:
            self._layer(layer, before, grouped=_grouped(given))
            return None if what == "linear" and out.dim() > 2 else layer  # units are where they seldom are
        if what == "batch_norm":
            return self._norm(before, names)
        alone = not any(isinstance(g, Tensor) for g in given[1:]) or what in ("layer_norm", "prelu")
        flat = what in FLATTEN and out.dim() == 2 and len(out) == len(x)
        averaged = what in AVERAGE and out.shape[:2] == x.shape[:2]
        same = what in IN_PLACE and out.shape[:2] == x.shape[:2]
        return before if alone and (flat or averaged or same) else None

    def _layer(self, layer: str, before: str | None, *, grouped: bool) -> None:
        self.uses[layer] = self.uses.get(layer, 0) + 1
        self.order.append(layer)
        self.trace_dependencies.setdefault(layer, UnitDependencies())
        if before and not grouped:
            self.trace_dependencies[before].readers.append(layer)

    def _norm(self, before: str | None, names: list[str]) -> str | None:
        for name in names:
            self.uses[name] = self.uses.get(name, 0) + 1
        if before:
            self.trace_dependencies[before].norms += names
        return before


def _grouped(given: list[Any]) -> bool:
    """Whether it is a convolution whose filters read only some of the inputs: its 7th argument."""
    return len(given) > 6 and given[6] != 1
