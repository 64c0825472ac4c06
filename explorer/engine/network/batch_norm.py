"""Batch norm's running statistics: whose they are, and how they are taken anew after pruning.

Shapes: B batch.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

CHUNK = 500  # images at once
Tensors = Mapping[str, Tensor]


def lacks_statistics(module: nn.Module, buffers: Tensors) -> bool:
    """Return whether all batch norms of a module, with these buffers, are as no image has passed them yet.

    The number of batches does not tell: weights that were saved long ago come without it.
    """
    norms = _batch_norms(module)
    return bool(norms) and all(
        not buffers[f"{name}.running_mean"].any() and bool((buffers[f"{name}.running_var"] == 1).all())
        for name in norms
    )


@torch.no_grad()
def recalibrated(module: nn.Module, parameters: Tensors, buffers: Tensors, x: Tensor) -> dict[str, Tensor]:
    """Return a module's buffers with the statistics of its parameters over images, [B, ...]; all by name.

    The module is in eval mode, and dropout is off. All images count the same; the number of batches stays
    what it was.
    """
    norms = _batch_norms(module)
    fresh = {name: buffer.clone() for name, buffer in buffers.items()}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    try:
        for name, norm in norms.items():
            fresh[f"{name}.num_batches_tracked"].zero_()
            norm.momentum = None  # the average of all batches, the first of which replaces what was there
            norm.train()
        for part in torch.tensor_split(x, math.ceil(len(x) / CHUNK)) if norms else ():
            torch.func.functional_call(module, {**parameters, **fresh}, (part,))
    finally:
        for name, norm in norms.items():
            norm.momentum = momenta[name]
            norm.eval()
    return {**fresh, **{name: buffers[name] for name in _batch_counts(norms)}}


def _batch_norms(module: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch norms of a module that keep running statistics, by name."""
    parts = module.named_modules()
    return {n: p for n, p in parts if isinstance(p, _BatchNorm) and p.running_mean is not None}


def _batch_counts(norms: Mapping[str, _BatchNorm]) -> list[str]:
    return [f"{name}.num_batches_tracked" for name in norms]
