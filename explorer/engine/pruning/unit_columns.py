"""From the units of layers to columns of a row: a unit falls with its bias, its batch norm and its readers.

P parameters of the network.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from explorer.engine.network.dependencies import UnitDependencies
from explorer.engine.network.layout import Layer, Layout, ParameterSlice
from explorer.engine.pruning.resolved import ResolvedPruning

Dependencies = Mapping[str, UnitDependencies]  # by the layer's name


def own_slices(layout: Layout, layer: Layer, dependencies: Dependencies) -> list[ParameterSlice]:
    """Return what a layer's units have each their part of: the bias, and the batch norms behind them."""
    norms = [layout.slices[name] for name in dependencies[layer.name].norms]
    return [*([layer.bias] if layer.bias else []), *norms]


def expand_to_columns(
    layout: Layout,
    layers: Sequence[Layer],
    units: Sequence[Tensor],
    resolved: ResolvedPruning,
    dependencies: Dependencies,
) -> Tensor:
    """Expand the units that stay, bool [units] a layer, into the columns that do, bool [P]."""
    keep = torch.ones(layout.width, dtype=torch.bool, device=units[0].device)
    shapes, groups = [layer.weight.shape for layer in layers], [layer.groups for layer in layers]
    masks = resolved.expand(units, shapes, groups)
    for layer, mask in zip(layers, masks, strict=True):
        layer.weight.of(keep).logical_and_(mask.flatten())
    traits = resolved.granularity.traits
    for layer, alive in zip(layers, units, strict=True):
        if traits.outlets:
            for piece in own_slices(layout, layer, dependencies):
                piece.of(keep).logical_and_(_spread(alive, piece.shape.numel()))
            _drop_readers(layout, keep, alive, dependencies[layer.name])
        elif traits.identity and layer.bias is not None:
            layer.bias.of(keep).logical_and_(alive)
    return keep


def _drop_readers(layout: Layout, keep: Tensor, alive: Tensor, dependencies: UnitDependencies) -> None:
    """Clear, in bool [P], the weights that read a unit that is not alive, bool [units]."""
    for reader in (layer.weight for layer in layout.layers if layer.name in dependencies.readers):
        inputs = reader.view(keep)
        inputs &= _spread(alive, reader.shape[1]).view(1, -1, *[1] * (inputs.dim() - 2))


def _spread(alive: Tensor, entries: int) -> Tensor:
    """Return which entries stay: a unit has several in a row where its map was flattened."""
    return alive.repeat_interleave(entries // len(alive))


def identity_fill(layers: Sequence[Layer], units: Sequence[Tensor], row: Tensor) -> Tensor:
    """Return what stands in the place of whole layers that fall, [P]: they hand on what they get."""
    fill = torch.zeros_like(row)
    for layer, alive in zip(layers, units, strict=True):
        if not alive.all():
            layer.weight.view(fill).fill_diagonal_(1)
    return fill
