"""What a mask leaves: weights by pixel, by unit and by block of a layer, and units that are dead.

A layer's weights are [units, inputs], or [units, inputs, *kernel] of a convolution; C channels of an image.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

from explorer.engine.network.dependencies import UnitDependencies, trace_dependencies
from explorer.engine.network.forward_backward import Network
from explorer.engine.network.layout import Layer, ParameterSlice
from explorer.engine.network.state import LaneView

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class LayerGraph:
    """Who reads each layer's units, and which layer reads the image itself."""

    dependencies: dict[str, UnitDependencies]  # by the layer's name
    first: Layer | None  # None where no prunable layer reads pixels
    window: tuple[int, int]  # rows and columns of what one unit of that layer looks at
    filters: bool  # whether its units are filters, which look at every place of the image

    def readers(self, layer: Layer, layers: Iterable[Layer]) -> list[ParameterSlice]:
        """Return the weights that take a layer's units as inputs, as far as they are known."""
        names = self.dependencies[layer.name].readers
        return [other.weight for other in layers if other.name in names]


def layer_graph(network: Network, view: LaneView, image: Tensor) -> LayerGraph:
    """Follow an image, [1, C, H, W], through a network."""
    layers = network.layout.layers
    parameters = network.layout.views(view.row.unsqueeze(0))
    named = {layer.weight.name: layer.name for layer in layers}
    pair = image.expand(2, *image.shape[1:])
    traced = trace_dependencies(network.module, parameters, view.buffers, named, pair)
    readers = {name for each in traced.values() for name in each.readers}
    modules = dict(network.module.named_modules())
    for layer in layers:
        part = modules.get(layer.name, network.module)
        shape = layer.weight.shape
        if layer.name in readers:
            continue
        if isinstance(part, nn.Linear) and shape[1] == image.numel():
            return LayerGraph(traced, layer, (shape[1] // image.shape[-1], image.shape[-1]), filters=False)
        if isinstance(part, CONVOLUTIONS) and part.in_channels == image.shape[1]:
            return LayerGraph(traced, layer, (shape[1:].numel() // shape[-1], shape[-1]), filters=True)
    return LayerGraph(traced, None, (0, 0), filters=False)


def keep_mask(view: LaneView, slot: ParameterSlice) -> Tensor:
    """Return which weights of a parameter stay, bool of its shape."""
    if view.mask is None:
        return torch.ones(slot.shape, dtype=torch.bool, device=view.row.device)
    return slot.view(view.mask) > 0


def passes_signal(view: LaneView, slot: ParameterSlice) -> Tensor:
    """Return which weights let something through, bool: the kept, and a 1 that stands for a pruned layer."""
    return keep_mask(view, slot) | (slot.view(view.row) != 0)


def fan_in(alive: Tensor) -> Tensor:
    """Count the weights that lead into each unit, int [units], from bool [units, ...]."""
    return alive.flatten(1).sum(1)


def fan_out(units: int, readers: Iterable[Tensor]) -> Tensor | None:
    """Count the weights that lead out of each unit, int [units], from bool [outputs, inputs, ...] a reader.

    A unit whose map was flattened is read by several inputs in a row. None where no reader is known.
    """
    counts = [r.reshape(len(r), units, -1).sum((0, 2)) for r in readers if r.shape[1] % units == 0]
    return torch.stack(counts).sum(0) if counts else None


def dead(incoming: Tensor, outgoing: Tensor | None) -> Tensor:
    """Return the units that no weight leads into, or none out of, bool [units]."""
    return incoming == 0 if outgoing is None else (incoming == 0) | (outgoing == 0)


def per_input(alive: Tensor, window: tuple[int, int]) -> Tensor:
    """Count for each pixel, or place of a filter, the units that keep its weight, int [rows, columns]."""
    return alive.sum(0).view(window)


def blocks(alive: Tensor, most: tuple[int, int]) -> Tensor:
    """Return the share kept of each block of a layer, [rows, columns], at most `most`: units by inputs."""
    matrix = alive.flatten(2).float().mean(2) if alive.dim() > 2 else alive.float()
    size = [-(-there // limit) for there, limit in zip(matrix.shape, most, strict=True)]
    return F.avg_pool2d(matrix[None, None], size, ceil_mode=True)[0, 0]


def quantised(weights: Tensor, alive: Tensor, scale: float) -> Tensor:
    """Return weights as uint8: 0 where pruned, 128 for zero, 1 and 255 for ∓scale and what is beyond."""
    codes = (weights * (127 / scale)).round_().clamp_(-127, 127).add_(128)
    return codes.mul_(alive).to(torch.uint8)


def side_by_side(kernels: Tensor, gap: int = 128) -> Tensor:
    """Lay each unit's kernels side by side, lines of `gap` between: [units, n, h, w] to [units, H, W]."""
    units, n, high, wide = kernels.shape
    square = math.ceil(math.sqrt(n))
    across = next((a for a in range(square, 2 * square) if n % a == 0), square)  # full rows where it can be
    down = -(-n // across)
    room = kernels.new_full((units, down * across, high + 1, wide + 1), gap)
    room[:, :n, :high, :wide] = kernels
    rows = room.view(units, down, across, high + 1, wide + 1).transpose(2, 3)
    return rows.reshape(units, down * (high + 1), across * (wide + 1))[:, :-1, :-1].contiguous()


def colour_range(weights: Tensor, alive: Tensor) -> float:
    """Return where a scale of weights may end: twice the root mean square of those that are kept."""
    count = max(1, int(alive.sum()))
    return 2 * float(torch.linalg.vector_norm(weights * alive)) / count**0.5 or 1.0
