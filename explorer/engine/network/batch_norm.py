"""Batch norm's running statistics: whose they are, and how they are taken anew after pruning.

Shapes: P parameters, B batch.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from explorer.engine.network.forward_backward import Network

CHUNK = 500  # images at once
Buffers = dict[str, Tensor]


def lacks_statistics(network: Network, buffers: Mapping[str, Tensor]) -> bool:
    """Return whether there are batch norms that no batch has passed yet; a lane's buffers, [*shape] each."""
    counts = [buffers[name] for name in _batch_counts(_batch_norms(network.module))]
    return bool(counts) and not any(int(count) for count in counts)


@torch.no_grad()
def recalibrated(network: Network, row: Tensor, buffers: Buffers, x: Tensor) -> Buffers:
    """Return a lane's buffers with the statistics of its weights, [P], over images [B, 1, 28, 28].

    All images count the same; the number of batches stays what it was, and dropout is off.
    """
    norms = _batch_norms(network.module)
    if not norms:
        return buffers
    fresh = {name: buffer.clone() for name, buffer in buffers.items()}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    try:
        for name, norm in norms.items():
            fresh[f"{name}.num_batches_tracked"].zero_()
            norm.momentum = None  # the average of all batches, the first of which replaces what was there
            norm.train()
        views = {**network.layout.views(row.unsqueeze(0)), **fresh}
        for part in torch.tensor_split(x, math.ceil(len(x) / CHUNK)):
            torch.func.functional_call(network.module, views, (part,))
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
