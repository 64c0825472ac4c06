"""Clip rules: how a gradient is bounded before the optimizer sees it.

A rule changes `grad`, [L, P], in place, one row a lane, and returns which lanes it bound, [L], and the norms
afterwards, [L]. `grad_norm` is the norm before; `max_norm` is the bound, both [L].
"""

import torch
from torch import Tensor

from explorer.registry import register


@register("rule", "norm")
def norm(grad: Tensor, grad_norm: Tensor, max_norm: Tensor) -> tuple[Tensor, Tensor]:
    """Long gradients are shortened to the clip norm; their direction stays.

    Formula: g · min(1, c / (‖g‖₂ + 1e-6))
    Reference: Pascanu, Mikolov & Bengio 2013, https://arxiv.org/abs/1211.5063
    """
    scale = (max_norm / (grad_norm + 1e-6)).clamp_(max=1.0)
    grad.mul_(scale[:, None])
    return scale < 1, grad_norm * scale


@register("rule", "value")
def value(grad: Tensor, grad_norm: Tensor, max_norm: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """Each component is cut to the interval from −c to c; the direction may turn.

    Formula: min(max(g, −c), c)
    Reference: Mikolov 2012, https://www.fit.vut.cz/study/phd-thesis/283/
    """
    bound = torch.linalg.vector_norm(grad, float("inf"), dim=1) > max_norm
    grad.clamp_(-max_norm[:, None], max_norm[:, None])
    return bound, torch.linalg.vector_norm(grad, dim=1)
