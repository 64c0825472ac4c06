"""Clip rules: how a gradient is bounded before the optimizer sees it.

A rule changes `grad`, [L, P], in place, one row a lane, and returns which lanes it bound, [L], and the norms
afterwards, [L]. What the parameters mean is told in `explorer/engine/execution/clipping.py`. Rules that send
only part of the gradient are in `gradient_sparsification.py`.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from explorer.registry import register

TINY = 1e-6  # torch and the authors of AGC guard their divisions with it


@register("rule", "norm")
def norm(grad: Tensor, grad_norm: Tensor, max_norm: Tensor) -> tuple[Tensor, Tensor]:
    """Long gradients are shortened to the clip norm; their direction stays.

    Formula: g · min(1, c / (‖g‖₂ + 1e-6))
    Reference: Pascanu, Mikolov & Bengio 2013, https://arxiv.org/abs/1211.5063
    """
    scale = (max_norm / (grad_norm + TINY)).clamp_(max=1.0)
    grad.mul_(scale[:, None])
    return scale < 1, grad_norm * scale


@register("rule", "layer-norm")
def layer_norm(grads: Sequence[Tensor], max_norm: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of each weight and each bias is shortened to the clip norm on its own.

    Formula: gₗ · min(1, c / (‖gₗ‖₂ + 1e-6)) for each parameter tensor l
    Reference: McMahan, Ramage, Talwar & Zhang 2018, https://arxiv.org/abs/1710.06963
    """
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in grads], 1)
    scale = (max_norm[:, None] / (norms + TINY)).clamp_(max=1.0)
    for g, factor in zip(grads, scale.unbind(1), strict=True):
        g.flatten(1).mul_(factor[:, None])
    return (scale < 1).any(1), torch.linalg.vector_norm(norms * scale, dim=1)


@register("rule", "value")
def value(grad: Tensor, grad_norm: Tensor, max_norm: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """Each component is cut to the interval from −c to c; the direction may turn.

    Formula: min(max(g, −c), c)
    Reference: Mikolov 2012, https://www.fit.vut.cz/study/phd-thesis/283/
    """
    bound = torch.linalg.vector_norm(grad, float("inf"), dim=1) > max_norm
    grad.clamp_(-max_norm[:, None], max_norm[:, None])
    return bound, torch.linalg.vector_norm(grad, dim=1)


@register("rule", "agc")
def agc(
    grad: Tensor,
    grads: Sequence[Tensor],
    weights: Sequence[Tensor],
    last: Sequence[bool],
    *,
    clipping: Annotated[float, Field(gt=0, le=1)] = 0.01,
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-3,
) -> tuple[Tensor, Tensor]:
    """Each output unit's gradient is held to a share of the unit's weights, the last layer's aside.

    A unit is a row of a weight; a bias, as a vector, is one unit. The clip norm plays no part.

    Formula: gᵢ · min(1, λ · max(‖wᵢ‖₂, ε) / ‖gᵢ‖₂), i an output unit, λ = clipping, ε = eps
    Reference: Brock, De, Smith & Simonyan 2021, https://arxiv.org/abs/2102.06171
    """
    bound = torch.zeros(len(grad), dtype=torch.bool, device=grad.device)
    for g, w, exempt in zip(grads, weights, last, strict=True):
        if not exempt:
            length = _unit_norm(g)
            limit = clipping * _unit_norm(w).clamp_(min=eps)
            long = length > limit
            _units(g).mul_(torch.where(long, limit / length.clamp(min=TINY), 1.0))
            bound |= long.flatten(1).any(1)
    return bound, torch.linalg.vector_norm(grad, dim=1)


def _units(tensor: Tensor) -> Tensor:
    """Return a parameter tensor as [L, units, what comes in]; a vector is one unit."""
    return tensor.flatten(2) if tensor.dim() > 2 else tensor.unsqueeze(1)


def _unit_norm(tensor: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(_units(tensor), dim=2, keepdim=True)
    return lengths


@register("rule", "autoclip", memory="step")
def autoclip(
    grad: Tensor,
    grad_norm: Tensor,
    memory: Tensor,
    *,
    percentile: Annotated[float, Field(ge=0, le=100)] = 10.0,
) -> tuple[Tensor, Tensor]:
    """Long gradients are shortened to a percentile of all norms so far; no clip norm has to be chosen.

    Formula: g · min(1, c / (‖g‖₂ + 1e-6)), c that percentile of ‖g‖₂ over all steps so far, this one too
    Reference: Seetharaman, Wichern, Pardo & Le Roux 2020, https://arxiv.org/abs/2007.14469
    """
    _insert(memory, grad_norm)
    limit = _percentile(memory, percentile)
    scale = torch.where(grad_norm > limit, limit / (grad_norm + TINY), 1.0)
    grad.mul_(scale[:, None])
    return scale < 1, grad_norm * scale


def _insert(ascending: Tensor, values: Tensor) -> None:
    """Put one value a row, [L], into sorted rows, [L, steps], whose free places at the end are NaN."""
    before = torch.nn.functional.pad(ascending[:, :-1], (1, 0), value=-torch.inf)
    ascending.copy_(torch.maximum(before, torch.fmin(ascending, values[:, None])))


def _percentile(ascending: Tensor, percentile: float) -> Tensor:
    """Return the percentile of each row up to its NaNs, [L], interpolated as numpy does."""
    final = (ascending.isnan().logical_not_().sum(1, keepdim=True) - 1).clamp_(min=0)
    place = final.double() * (percentile / 100)
    low = place.floor().long()
    below, above = ascending.gather(1, low), ascending.gather(1, torch.minimum(low + 1, final))
    return torch.lerp(below, above, (place - low).to(ascending.dtype)).squeeze(1)


# Last, so that menus name the clip rules first.
from explorer.methods import gradient_sparsification  # noqa: E402, F401
