"""From scores to exact masks: units, budgets, ties, and the threshold that a person sees."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer import registry
from explorer.experiment import Pruning

GONE = float("-inf")  # the score of what is pruned already: it falls before anything else


@dataclass(frozen=True)
class UnitMasks:
    """Which units are kept, [units] a layer, and the cut-off score of each layer."""

    units: list[Tensor]
    cutoffs: list[float]


def keep_highest(scores: Tensor, k: int) -> Tensor:
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


def select_units(
    scores: Sequence[Tensor],
    pruning: Pruning,
    threshold: float,
    alive: Sequence[Tensor],
    *,
    shapes: Sequence[Sequence[int]] = (),
    spread: Sequence[Tensor] = (),
    scale: Sequence[float] = (),
) -> UnitMasks:
    """Decides which units stay.

    With unit "sparsity" exactly round(threshold × n) units are pruned afterwards, those pruned before
    included; with another unit, what scores less than the cut-off joins them.

    Args:
        scores: [units] a layer.
        pruning: allocation and unit.
        threshold: in that unit; the pruning's own is not looked at.
        alive: the units kept so far, bool [units] a layer.
        shapes: of the layers' weights, for allocations that ask.
        spread: the values whose standard deviation counts, a layer each; the scores by default.
        scale: a layer's cut-off for a threshold of 1 where it was fixed before, not to be taken anew.
    """
    masked = [s.masked_fill(~kept, GONE) for s, kept in zip(scores, alive, strict=True)]
    if pruning.unit == "sparsity":
        chosen = _by_count(masked, pruning, threshold, shapes)
        units = [keep & kept for keep, kept in zip(chosen, alive, strict=True)]
        return UnitMasks(units, [_lowest(s, keep) for s, keep in zip(masked, units, strict=True)])
    factors = scale or scale_of(scores, pruning, alive, spread)
    cutoffs = [threshold * factor for factor in factors]
    return UnitMasks([s >= c for s, c in zip(masked, cutoffs, strict=True)], cutoffs)


def scale_of(
    scores: Sequence[Tensor], pruning: Pruning, alive: Sequence[Tensor], spread: Sequence[Tensor] = ()
) -> list[float]:
    """Each layer's cut-off for a threshold of 1: every unit but "sparsity" is proportional to it."""
    unit = registry.get("unit", pruning.unit)
    one = torch.ones((), dtype=scores[0].dtype, device=scores[0].device)
    rows = zip(scores, spread or scores, alive, strict=True)
    return [float(unit(one, s[kept], w[kept])) if kept.any() else 0.0 for s, w, kept in rows]


def _by_count(
    scores: Sequence[Tensor], pruning: Pruning, sparsity: float, shapes: Sequence[Sequence[int]]
) -> list[Tensor]:
    granularity = registry.get("granularity", pruning.granularity)
    if within := granularity.traits.get("select"):
        pairs = zip(scores, shapes, strict=True)
        return [within(s, shape, sparsity, **pruning.own("granularity")) for s, shape in pairs]
    sizes = [s.numel() for s in scores]
    allocation = registry.get("allocation", pruning.allocation)
    budget = allocation(sizes, shapes or [(n,) for n in sizes], sparsity, **pruning.own("allocation"))
    if budget is not None:
        return [keep_highest(s, k) for s, k in zip(scores, budget, strict=True)]
    keep = keep_highest(torch.cat(list(scores)), round(sparsity * sum(sizes)))
    return list(torch.split(keep, sizes))


def _lowest(scores: Tensor, keep: Tensor) -> float:
    """The score below which units fell: that of the weakest one kept, or of the strongest one if none is."""
    kept = scores[keep]
    value = float(kept.min()) if kept.numel() else float(scores.max())
    return value if value > GONE else 0.0


def spread(pruning: Pruning, weights: Sequence[Tensor]) -> Sequence[Tensor]:
    """The values whose standard deviation unit "std" counts in: the weights, [n] a layer, for magnitude."""
    plain = pruning.criterion == "magnitude" and pruning.granularity == "weight"
    return weights if plain else ()


def eligible(shapes: Mapping[str, Sequence[int]], last: Collection[str], pruning: Pruning) -> list[str]:
    """The names of the layers that a granularity prunes; raises ValueError, with the reason, if it cannot.

    Args:
        shapes: of each layer's weight, by the layer's name.
        last: the layers whose units are the network's answers.
        pruning: granularity and its options.
    """
    granularity, options = registry.get("granularity", pruning.granularity), pruning.own("granularity")
    spared = last if granularity.traits["hidden"] or options.get("spare_last") else ()
    takes = granularity.traits.get("takes", _any_shape)
    names = [name for name, shape in shapes.items() if name not in spared and takes(shape)]
    told = ", ".join(f"{name} ({' × '.join(map(str, shape))})" for name, shape in shapes.items())
    if not names:
        raise ValueError(
            f"granularity = {pruning.granularity!r} prunes {granularity.traits['prunes']}, and here there "
            f"are none; layers: {told}"
        )
    for name in names:
        problem = granularity.traits.get("problem", _no_problem)(shapes[name], **options)
        if problem:
            given = f"granularity = {pruning.granularity!r}"
            raise ValueError(f"{given} does not fit layer {name!r}: {problem}; layers: {told}")
    return names


def _any_shape(shape: Sequence[int]) -> bool:  # noqa: ARG001
    return True


def _no_problem(shape: Sequence[int], **options: object) -> str:  # noqa: ARG001
    return ""


def unit_scores(scores: Sequence[Tensor], pruning: Pruning) -> list[Tensor]:
    """Reduces a layer's scores, [1, *shape], to those of its units, [units].

    In one pool, or under one cut-off, units with many weights would win by size alone, so norms are divided
    by the root of their number.
    """
    granularity = registry.get("granularity", pruning.granularity)
    # an allocation spreads a count; what a cut-off means must not hang on it
    pooled = pruning.allocation == "global" or pruning.unit != "sparsity"
    reduced = []
    for values in scores:
        units = granularity(values, **pruning.own("granularity"))[0]
        even = pooled and values.dim() > 2  # a criterion that scores whole units has no size in it
        reduced.append(units / (values.numel() / len(units)) ** 0.5 if even else units)
    return reduced


def expand(keep: Sequence[Tensor], shapes: Sequence[torch.Size], pruning: Pruning) -> list[Tensor]:
    """Turns the units kept, [units] a layer, into masks of the weights, [*shape]."""
    grow = registry.get("granularity", pruning.granularity).traits["expand"]
    return [grow(k.unsqueeze(0), torch.Size((1, *s)))[0] for k, s in zip(keep, shapes, strict=True)]


def score_at(scores: Sequence[Tensor], sparsity: float) -> float:
    """The score that cuts off this share of all units, [units] a layer: the weakest one that stays."""
    return thresholds_at(scores, [1.0] * len(scores), [sparsity])[0]


def thresholds_at(scores: Sequence[Tensor], scale: Sequence[float], shares: Sequence[float]) -> list[float]:
    """The thresholds that cut off these shares of all units, where `scale` is a layer's cut-off for 1."""
    pairs = zip(scores, scale, strict=True)
    ranked = torch.cat([s / factor if factor else s for s, factor in pairs]).sort().values
    return [float(ranked[min(round(share * len(ranked)), len(ranked) - 1)]) for share in shares]
