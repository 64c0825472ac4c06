"""Granularities: the unit that lives or dies together.

A granularity reduces the scores of a layer, [L, *shape], to one score a unit, [L, units]. Its trait `expand`
turns the units kept back into a mask of the layer's weights, [L, *shape]; its trait `hidden` says whether the
last layer is left out, because its units are the classes.
"""

from typing import Literal

import torch
from torch import Tensor

from explorer.registry import register


def _every_weight(keep: Tensor, shape: torch.Size) -> Tensor:
    return keep.view(shape)


def _rows(keep: Tensor, shape: torch.Size) -> Tensor:
    return keep.view(*keep.shape, *[1] * (len(shape) - 2)).expand(shape)


@register("granularity", "weight", expand=_every_weight, hidden=False)
def weight(scores: Tensor) -> Tensor:
    """Each weight on its own.

    Formula: one unit a weight
    Reference: LeCun, Denker & Solla 1989, https://papers.nips.cc/paper/250
    """
    return scores.flatten(1)


@register("granularity", "neuron", expand=_rows, hidden=True)
def neuron(scores: Tensor, *, norm: Literal[1, 2] = 2) -> Tensor:
    """Whole hidden neurons: incoming weights, bias and outgoing weights together.

    Formula: ‖scores of the incoming weights‖₂
    Reference: Li, Kadav, Durdanovic, Samet & Graf 2017, https://arxiv.org/abs/1608.08710
    """
    if scores.dim() == 2:  # the criterion has scored the neurons themselves
        return scores
    length: Tensor = torch.linalg.vector_norm(scores.flatten(2), ord=norm, dim=2)
    return length
