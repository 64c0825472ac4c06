"""Which layers read a layer's units: traced by letting a few images pass through the module.

A unit that is pruned takes with it the batch norm's parameters behind it and the weights that read it. Module
order does not tell who reads what where a network branches, so the tensors themselves are followed, from the
layer that makes them through whatever leaves each unit in its place. Where the trail is lost, at a sum for
instance, nobody is said to read the unit, and only its own weights go.

Shapes: B batch.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LAYERS = {"linear", "conv1d", "conv2d", "conv3d"}
IN_PLACE = {  # operations that leave each unit where it is
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
    *("tanh", "sigmoid", "hardtanh", "hardsigmoid", "hardswish", "softplus", "softsign", "logsigmoid"),
    *("tanhshrink", "softshrink", "hardshrink", "threshold", "clamp", "abs", "square"),
    *("softmax", "log_softmax", "layer_norm"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    *(f"{kind}_pool{d}d" for kind in ("max", "avg", "lp", "adaptive_avg", "adaptive_max") for d in (1, 2, 3)),
    *("add", "sub", "mul", "div", "neg", "contiguous", "to", "float", "double", "squeeze"),
}
FLATTEN = {"flatten", "view", "reshape"}
AVERAGE = {"mean", "amax", "sum"}
GROUPS = 6  # where a convolution's arguments have the number of its groups


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
    last = tracer.source.get(id(out)) or (tracer.order or [""])[-1]
    if last in dependencies:
        dependencies[last].last = True
    return dependencies


class _Tracer(TorchFunctionMode):
    """Follows units from operation to operation: for every tensor, the layer whose units it holds."""

    def __init__(self, parameters: Mapping[str, Tensor], layers: Mapping[str, str]) -> None:
        super().__init__()
        self.names = {id(tensor): name for name, tensor in parameters.items()}
        self.layers = layers
        self.source: dict[int, str] = {}  # the layer, by a tensor's id
        self.dependencies: dict[str, UnitDependencies] = {}
        self.uses: Counter[str] = Counter()  # of layers and of batch norms' parameters
        self.order: list[str] = []  # the layers as they are called
        self._alive: list[Any] = []  # an id is a tensor's own only while the tensor lives

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the operation, and follow the units from its first argument to its result."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self._alive.append(out)
        operands = [*args, *kwargs.values()]
        if isinstance(out, Tensor) and operands and isinstance(operands[0], Tensor):
            source = self._follow(getattr(func, "__name__", "").strip("_"), operands, out)
            self.source.pop(id(out), None)
            if source:
                self.source[id(out)] = source
        return out

    def _follow(self, operation: str, operands: list[Any], out: Tensor) -> str | None:
        """Return the layer whose units `out` holds, None where the trail is lost."""
        x, others = operands[0], [each for each in operands[1:] if isinstance(each, Tensor)]
        source = self.source.get(id(x))
        names = [self.names[id(each)] for each in others if id(each) in self.names]
        layer = next((self.layers[n] for n in names if n in self.layers), None)
        if operation in LAYERS and layer:
            self._add_layer(layer, source, grouped=len(operands) > GROUPS and operands[GROUPS] != 1)
            # a Linear over more than two dimensions has its units in the last one, not in the second
            return None if operation == "linear" and out.dim() > 2 else layer
        if operation == "batch_norm":
            self._add_norm(names, source)
            return source
        alone = not others or operation in ("layer_norm", "prelu")
        flat = operation in FLATTEN and out.dim() == 2 and len(out) == len(x)
        same = operation in IN_PLACE | AVERAGE and out.shape[:2] == x.shape[:2]
        return source if alone and (flat or same) else None

    def _add_layer(self, layer: str, source: str | None, *, grouped: bool) -> None:
        """Note that a layer reads its source's units; filters of a group read too few of them to count."""
        self.uses[layer] += 1
        self.order.append(layer)
        self.dependencies.setdefault(layer, UnitDependencies())
        if source and not grouped:
            self.dependencies[source].readers.append(layer)

    def _add_norm(self, names: list[str], source: str | None) -> None:
        self.uses.update(names)
        if source:
            self.dependencies[source].norms += names
