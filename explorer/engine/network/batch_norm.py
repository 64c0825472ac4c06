"""Batch norm's running statistics: whose they are, and how they are taken anew after pruning."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from explorer.engine.network.forward_backward import Network

CHUNK = 500  # images at once
Buffers = dict[str, Tensor]


def norms_of(module: nn.Module) -> dict[str, _BatchNorm]:
    """The batch norms of a module that keep running statistics, by name."""
    parts = module.named_modules()
    return {n: p for n, p in parts if isinstance(p, _BatchNorm) and p.running_mean is not None}


def lacks_statistics(network: Network, buffers: Mapping[str, Tensor]) -> bool:
    """Whether there are batch norms that have seen no batch yet."""
    counts = [buffers[f"{name}.num_batches_tracked"] for name in norms_of(network.module)]
    return bool(counts) and not any(int(count) for count in counts)


@torch.no_grad()
def recalibrated(network: Network, row: Tensor, buffers: Buffers, x: Tensor) -> Buffers:
    """A lane's buffers with the statistics that its weights, [P], have over these images.

    All images count the same; the number of batches seen stays, and dropout is off.
    """
    norms = norms_of(network.module)
    if not norms:
        return buffers
    taken = {name: buffer.clone() for name, buffer in buffers.items()}
    for name, norm in norms.items():
        taken[f"{name}.num_batches_tracked"].zero_()
        norm.train()
    momenta = {name: norm.momentum for name, norm in norms.items()}
    try:
        for norm in norms.values():
            norm.momentum = None  # the average of all batches, the first of which replaces what was there
        views = {**network.layout.views(row.unsqueeze(0)), **taken}
        for part in torch.tensor_split(x, math.ceil(len(x) / CHUNK)):
            torch.func.functional_call(network.module, views, (part,))
    finally:
        for name, norm in norms.items():
            norm.momentum = momenta[name]
            norm.eval()
    counts = {f"{name}.num_batches_tracked": buffers[f"{name}.num_batches_tracked"] for name in norms}
    return {**taken, **counts}
