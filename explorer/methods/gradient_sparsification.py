"""Sparsification: clip rules that send only the large part of a gradient to the optimizer.

What is dropped is lost, or with `error_feedback` remembered, one residual a weight, and added to the next
gradient. Biases are part of the gradient here. A pruned weight's gradient is zero, and so is its residual.
What their traits say stands in `explorer/traits.py`, as `RuleTraits`.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from explorer.registry import register


@register("rule", "top-k", memory="weight", switch="error_feedback", sparse=True)
def top_k(
    grad: Tensor,
    memory: Tensor,
    *,
    k: Annotated[float, Field(ge=0.001, le=1)] = 0.1,
    error_feedback: bool = False,
) -> tuple[Tensor, Tensor]:
    """Only the largest entries of the whole gradient are sent, the share k of all; the others are zeroed.

    Exactly round(k · P) are kept of all P entries; among ties the lowest index falls first.

    Formula: gᵢ where |gᵢ| is among the k · P largest, else 0; with error feedback g + r, r what was not sent
    Reference: Aji & Heafield 2017, https://arxiv.org/abs/1704.05021
    """
    if error_feedback:
        grad.add_(memory)
    count = grad.shape[1]
    keep = _largest(grad.abs(), count - round(k * count))
    return _send(grad, memory, keep, error_feedback=error_feedback)


@register(
    "rule",
    "threshold",
    memory="weight",
    switch="error_feedback",
    sparse=True,
    overrides={"rate": "tau"},
)
def threshold(
    grad: Tensor,
    grads: Sequence[Tensor],
    mask: Tensor | None,
    memory: Tensor,
    *,
    tau: Annotated[float, Field(ge=0)] = 1e-3,
    rate: Annotated[float, Field(ge=0)] = 0.0,
    error_feedback: bool = False,
) -> tuple[Tensor, Tensor]:
    """Only entries of at least τ in size are sent; a rate above 0 takes rate × mean |g| in its place.

    That mean is taken over each weight and each bias on its own, pruned weights aside.

    Formula: gᵢ where |gᵢ| ≥ τ, else 0; τ = tau, or rate · mean |g| of its parameter tensor where rate > 0
    Reference: Strom 2015, https://www.isca-archive.org/interspeech_2015/strom15_interspeech.html
    """
    if error_feedback:
        grad.add_(memory)
    size = grad.abs()
    if rate:
        sizes = [g[0].numel() for g in grads]
        parts = torch.split(size, sizes, 1)
        means = _means(parts, None if mask is None else torch.split(mask, sizes, 1))
        keep = torch.cat([part >= rate * mean for part, mean in zip(parts, means, strict=True)], 1)
    else:
        keep = size >= tau
    return _send(grad, memory, keep, error_feedback=error_feedback)


def _means(parts: Sequence[Tensor], masks: Sequence[Tensor] | None) -> list[Tensor]:
    """Return the mean of each part where its mask is 1, [L, 1] each."""
    if masks is None:
        return [part.mean(1, keepdim=True) for part in parts]
    pairs = zip(parts, masks, strict=True)
    return [part.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1) for part, mask in pairs]


def _largest(size: Tensor, falls: int) -> Tensor:
    """Return all but the `falls` lowest of each row, bool [L, P]; of ties the lowest index falls first."""
    if not falls:
        return torch.ones_like(size, dtype=torch.bool)
    edge = torch.kthvalue(size, falls, dim=1, keepdim=True).values
    tied = size == edge
    spared = falls - (size < edge).sum(1, keepdim=True)  # of those tied, so many fall
    return (size > edge) | (tied & (tied.cumsum(1) > spared))


def _send(grad: Tensor, memory: Tensor, keep: Tensor, *, error_feedback: bool) -> tuple[Tensor, Tensor]:
    """Zero what is not kept, after it went into the memory; a lane is bound where that was not zero."""
    bound = (grad.ne(0) & ~keep).any(1)
    if error_feedback:
        memory.copy_(grad).masked_fill_(keep, 0)
    grad.masked_fill_(~keep, 0)
    return bound, torch.linalg.vector_norm(grad, dim=1)
