"""From scores to exact masks: units, budgets, ties, and the threshold that a person sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer import registry
from explorer.experiment import Pruning

GONE = float("-inf")  # the score of what is pruned already: it falls before anything else


@dataclass(frozen=True)
class Kept:
    """Which units are kept, [units] a layer, and the cut-off score of each layer."""

    units: list[Tensor]
    cutoffs: list[float]


def select(scores: Tensor, k: int) -> Tensor:
    """True for all but the k lowest scores, [n]; among ties the lowest index falls first.

    Linear time: the k-th value is found without a sort, then ties are counted off from the front.
    """
    if k <= 0:
        return torch.ones_like(scores, dtype=torch.bool)
    edge = torch.kthvalue(scores, k).values
    keep = scores > edge
    tied = scores == edge
    below = scores.numel() - int(keep.sum()) - int(tied.sum())
    return keep | (tied & (tied.cumsum(0) > k - below))


def choose(scores: Sequence[Tensor], pruning: Pruning, threshold: float, alive: Sequence[Tensor]) -> Kept:
    """Decides which units stay. `scores` are [units] a layer, `alive` the units kept so far.

    With unit "sparsity" exactly round(threshold × n) units are pruned afterwards, those pruned before
    included; with another unit, what scores less than the cut-off joins them.
    """
    masked = [s.masked_fill(~kept, GONE) for s, kept in zip(scores, alive, strict=True)]
    unit = registry.get("unit", pruning.unit)
    if pruning.unit == "sparsity":
        units = _by_count(masked, pruning, threshold)
        return Kept(units, [_lowest(s, keep) for s, keep in zip(masked, units, strict=True)])
    limit = torch.tensor(threshold, dtype=scores[0].dtype, device=scores[0].device)
    cutoffs = [unit(limit, s[kept]) for s, kept in zip(scores, alive, strict=True)]
    return Kept([s >= c for s, c in zip(masked, cutoffs, strict=True)], [float(c) for c in cutoffs])


def _by_count(scores: Sequence[Tensor], pruning: Pruning, sparsity: float) -> list[Tensor]:
    sizes = [s.numel() for s in scores]
    budget = registry.get("allocation", pruning.allocation)(sizes, sparsity, **pruning.own("allocation"))
    if budget is not None:
        return [select(s, k) for s, k in zip(scores, budget, strict=True)]
    keep = select(torch.cat(list(scores)), round(sparsity * sum(sizes)))
    return list(torch.split(keep, sizes))


def _lowest(scores: Tensor, keep: Tensor) -> float:
    """The score below which units fell: that of the weakest one kept, or of the strongest one if none is."""
    kept = scores[keep]
    value = float(kept.min()) if kept.numel() else float(scores.max())
    return value if value > GONE else 0.0


def unit_scores(scores: Sequence[Tensor], fan_ins: Sequence[int], pruning: Pruning) -> list[Tensor]:
    """Reduces a layer's scores, [1, *shape], to those of its units, [units].

    In one pool, units with many inputs would win by size alone, so norms are divided by √fan-in.
    """
    granularity = registry.get("granularity", pruning.granularity)
    reduced = []
    for values, fan_in in zip(scores, fan_ins, strict=True):
        units = granularity(values, **pruning.own("granularity"))[0]
        pooled = pruning.allocation == "global" and granularity.traits["hidden"] and values.dim() > 2
        reduced.append(units / fan_in**0.5 if pooled else units)
    return reduced


def expand(keep: Sequence[Tensor], shapes: Sequence[torch.Size], pruning: Pruning) -> list[Tensor]:
    """Turns the units kept, [units] a layer, into masks of the weights, [*shape]."""
    grow = registry.get("granularity", pruning.granularity).traits["expand"]
    return [grow(k.unsqueeze(0), torch.Size((1, *s)))[0] for k, s in zip(keep, shapes, strict=True)]


def score_at(scores: Sequence[Tensor], sparsity: float) -> float:
    """The score that cuts off this share of all units, [units] a layer: the weakest one that stays."""
    ranked = torch.cat(list(scores)).sort().values
    return float(ranked[min(round(sparsity * len(ranked)), len(ranked) - 1)])
