"""Granularities: the unit that lives or dies together.

A granularity reduces the scores of a layer, [L, *shape], to one score a unit, [L, units]. Its trait `expand`
turns the units that stay back into a mask of the layer's weights; what the other traits say stands in
`explorer/traits.py`, as `GranularityTraits`.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from explorer.registry import register

Shape = Sequence[int]


def _every_weight(keep: Tensor, shape: torch.Size) -> Tensor:
    return keep.view(shape)


def _rows(keep: Tensor, shape: torch.Size) -> Tensor:
    return keep.view(*keep.shape, *[1] * (len(shape) - 2)).expand(shape)


def _columns(keep: Tensor, shape: torch.Size) -> Tensor:
    return keep.view(len(keep), 1, -1, *[1] * (len(shape) - 3)).expand(shape)


def _length(scores: Tensor, norm: int) -> Tensor:
    """Return the norm over all dimensions behind the second, [L, units]."""
    length: Tensor = torch.linalg.vector_norm(scores.flatten(2), ord=norm, dim=2)
    return length


@register("granularity", "weight", expand=_every_weight, hidden=False, prunes="weights")
def weight(scores: Tensor, *, spare_last: bool = False) -> Tensor:  # noqa: ARG001  the engine leaves it out
    """Each weight on its own.

    Formula: one unit a weight
    Reference: LeCun, Denker & Solla 1989, https://papers.nips.cc/paper/250
    """
    return scores.flatten(1)


@register("granularity", "neuron", expand=_rows, hidden=True, outlets=True, prunes="units of hidden layers")
def neuron(scores: Tensor, *, norm: Literal[1, 2] = 2) -> Tensor:
    """Whole hidden neurons: a run drops bias, norm and outgoing weights too, ex.prune the incoming alone.

    Formula: ‖scores of the incoming weights‖₂
    Reference: Li, Kadav, Durdanovic, Samet & Graf 2017, https://arxiv.org/abs/1608.08710
    """
    # a criterion that scores the neurons themselves leaves nothing to reduce
    return scores if scores.dim() == 2 else _length(scores, norm)


def _convolution(shape: Shape) -> bool:
    return len(shape) > 2


@register(
    "granularity",
    "filter",
    expand=_rows,
    hidden=True,
    outlets=True,
    takes=_convolution,
    prunes="filters of convolutions",
)
def filter_(scores: Tensor, *, norm: Literal[1, 2] = 2) -> Tensor:
    """Whole filters of convolutions: a run drops bias, norm and readers too, ex.prune their weights alone.

    Formula: ‖scores of the filter's weights‖₂
    Reference: Li, Kadav, Durdanovic, Samet & Graf 2017, https://arxiv.org/abs/1608.08710
    """
    return scores if scores.dim() == 2 else _length(scores, norm)


@register("granularity", "input", expand=_columns, hidden=False, inputs=True, prunes="inputs of layers")
def input_(
    scores: Tensor,
    *,
    norm: Literal[1, 2] = 2,
    spare_last: bool = False,  # noqa: ARG001  the engine leaves it out
) -> Tensor:
    """What a layer reads: all weights from one input, in the first layer from one pixel.

    Formula: ‖scores of the weights that read the input‖₂
    Reference: Wen, Wu, Wang, Chen & Li 2016, https://arxiv.org/abs/1608.03665
    """
    return _length(scores.transpose(1, 2), norm)


def _whole(keep: Tensor, shape: torch.Size) -> Tensor:
    return keep.view(len(keep), *[1] * (len(shape) - 1)).expand(shape)


def _square(shape: Shape) -> bool:
    return len(shape) == 2 and shape[0] == shape[1]


@register(
    "granularity",
    "layer",
    expand=_whole,
    hidden=True,
    identity=True,
    takes=_square,
    prunes="square hidden layers",
    only={"allocation": ("global",), "schedule": ("one-shot", "iterative", "gradual", "every-step")},
)
def layer(scores: Tensor, *, norm: Literal[1, 2] = 2) -> Tensor:
    """Whole square hidden layers, replaced by the identity; their activation stays.

    Formula: ‖scores of the layer‖₂; a layer that falls becomes W = I, b = 0
    Reference: Chen & Zhao 2019, https://doi.org/10.1109/TPAMI.2018.2874634
    """
    return _length(scores.flatten(1).unsqueeze(1), norm)


def _blocks_problem(shape: Shape, *, m: int = 4, **_: object) -> str:
    return "" if shape[1] % m == 0 else f"its {shape[1]} inputs do not fall into blocks of m = {m}"


def _lowest_of_blocks(scores: Tensor, shape: Shape, sparsity: float, *, m: int = 4, **_: object) -> Tensor:
    """Return all but the round(sparsity × m) lowest of every m neighbours along the inputs, bool [n].

    Among ties the first falls first.
    """
    blocks = scores.view(shape[0], shape[1], -1).transpose(1, 2).reshape(-1, m)
    lowest = blocks.argsort(dim=1, stable=True)[:, : round(sparsity * m)]
    keep = torch.ones_like(blocks, dtype=torch.bool).scatter_(1, lowest, value=False)
    return keep.view(shape[0], -1, shape[1]).transpose(1, 2).flatten()


def _share(*, n: int = 2, m: int = 4, **_: object) -> float:
    if n >= m:
        raise ValueError(f"n = {n} of m = {m} would prune nothing; allowed: n below m")
    return 1 - n / m


@register(
    "granularity",
    "n:m",
    expand=_every_weight,
    hidden=False,
    prunes="blocks of weights",
    problem=_blocks_problem,
    select=_lowest_of_blocks,
    threshold=_share,
    only={"unit": ("sparsity",), "allocation": ("global", "uniform")},
)
def n_of_m(
    scores: Tensor,
    *,
    n: Annotated[int, Field(ge=1, le=31)] = 2,  # noqa: ARG001  the threshold says it
    m: Annotated[int, Field(ge=2, le=32)] = 4,  # noqa: ARG001  the selection uses it
    spare_last: bool = False,  # noqa: ARG001  the engine leaves it out
) -> Tensor:
    """Of every m neighbouring weights n stay, as sparse tensor cores want it; the threshold becomes 1 − n/m.

    Formula: in every block of m weights along the inputs the m − n lowest scores fall
    Reference: Mishra, Latorre, Pool, Stosic et al. 2021, https://arxiv.org/abs/2104.08378
    """
    return scores.flatten(1)
