"""Allocations: how a budget of units to prune spreads over the layers.

An allocation gets the number of units of each layer, the shapes of their weights, and the share to prune; it
returns the number to prune in each layer, or None when all layers compete in one pool.
"""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from explorer.registry import register

Sizes = Sequence[int]
Shapes = Sequence[Sequence[int]]
Share = Annotated[float, Field(gt=0, le=1)]


@register("allocation", "global")
def global_(sizes: Sizes, shapes: Shapes, sparsity: float) -> None:  # noqa: ARG001  one pool needs none
    """All layers compete: the lowest scores of the whole network fall.

    Formula: k = round(s · Σ nᵢ), one pool
    Reference: Lee, Ajanthan & Torr 2019, https://arxiv.org/abs/1810.02340
    """
    return


@register("allocation", "uniform")
def uniform(sizes: Sizes, shapes: Shapes, sparsity: float) -> list[int]:  # noqa: ARG001
    """Every layer loses the same share.

    Formula: kᵢ = round(s · nᵢ)
    Reference: Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878
    """
    return [round(sparsity * size) for size in sizes]


@register("allocation", "erk")
def erk(sizes: Sizes, shapes: Shapes, sparsity: float) -> list[int]:
    """Small layers keep more: density grows with the sum of a layer's dimensions over their product.

    Formula: densityᵢ = min(1, ε · Σ dims / Π dims), ε so that k = round(s · Σ nᵢ)
    Reference: Evci, Gale, Menick, Castro & Elsen 2020, https://arxiv.org/abs/1911.11134
    """
    return _to_prune(sizes, [sum(shape) / math.prod(shape) for shape in shapes], sparsity)


@register("allocation", "shares")
def shares(
    sizes: Sizes,
    shapes: Shapes,  # noqa: ARG001  given by hand instead
    sparsity: float,
    *,
    shares: tuple[Share, ...],
) -> list[int]:
    """Layers keep shares given by hand, all scaled alike to meet the threshold.

    Formula: densityᵢ = min(1, c · shareᵢ), c so that k = round(s · Σ nᵢ)
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    if len(shares) != len(sizes):
        raise ValueError(
            f"shares = {shares!r} has {len(shares)} entries, but {len(sizes)} layers are pruned: give what "
            "each one keeps, such as options={'shares': (0.08, 0.09, 0.26)}"
        )
    return _to_prune(sizes, shares, sparsity)


def _to_prune(sizes: Sizes, densities: Sequence[float], sparsity: float) -> list[int]:
    """Return counts whose sum is exactly round(sparsity · n), from densities right up to a factor."""
    remaining = sum(sizes) - round(sparsity * sum(sizes))
    exact = _scaled(sizes, densities, remaining)
    floors = [math.floor(x) for x in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: floors[i] - exact[i])
    for i in by_remainder[: remaining - sum(floors)]:
        floors[i] += 1
    return [size - keep for size, keep in zip(sizes, floors, strict=True)]


def _scaled(sizes: Sizes, densities: Sequence[float], remaining: int) -> list[float]:
    """Return how many each layer keeps: a common factor times its density, at most all that it has."""
    full: set[int] = set()
    pairs = list(zip(densities, sizes, strict=True))
    while True:
        room = remaining - sum(sizes[i] for i in full)
        weight = sum(d * n for i, (d, n) in enumerate(pairs) if i not in full)
        factor = room / weight if weight else 0.0
        over = {i for i, d in enumerate(densities) if i not in full and factor * d > 1}
        if not over:
            break
        full |= over
    return [float(n) if i in full else factor * d * n for i, (d, n) in enumerate(pairs)]
