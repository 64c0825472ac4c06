"""Allocations: how a budget of units to prune spreads over the layers.

An allocation gets the number of units of each layer and the share to prune; it returns the number to prune
in each layer, or None when all layers compete in one pool.
"""

from collections.abc import Sequence

from explorer.registry import register


@register("allocation", "global")
def global_(sizes: Sequence[int], sparsity: float) -> None:  # noqa: ARG001  one pool needs neither
    """All layers compete: the lowest scores of the whole network fall.

    Formula: k = round(s · Σ nᵢ), one pool
    Reference: Lee, Ajanthan & Torr 2019, https://arxiv.org/abs/1810.02340
    """
    return


@register("allocation", "uniform")
def uniform(sizes: Sequence[int], sparsity: float) -> list[int]:
    """Every layer loses the same share.

    Formula: kᵢ = round(s · nᵢ)
    Reference: Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878
    """
    return [round(sparsity * size) for size in sizes]
