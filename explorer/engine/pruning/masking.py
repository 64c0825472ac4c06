"""From scores to exact masks: units, budgets, ties and cut-offs, on tensors, functions and numbers alone.

A layer's scores are [1, *shape], or [1, units] where a criterion scores whole units; those of its units are
[units], and so is what says whether they stay, bool. All functions take and return one tensor a layer.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

NAMED = 4  # layers that a warning names
PRUNED = float("-inf")  # of what is pruned already: it falls before anything else


def keep_highest(scores: Tensor, k: int) -> Tensor:
    """Return True for all but the k lowest scores, [n]; among ties the lowest index falls first.

    Linear time: the k-th value is found without a sort, then ties are counted off from the front.
    """
    if k <= 0:
        return torch.ones_like(scores, dtype=torch.bool)
    edge = torch.kthvalue(scores, k).values
    keep = scores > edge
    tied = scores == edge
    below = scores.numel() - int(keep.sum()) - int(tied.sum())
    return keep | (tied & (tied.cumsum(0) > k - below))


def with_pruned_lowest(scores: Sequence[Tensor], alive: Sequence[Tensor]) -> list[Tensor]:
    """Return the scores with those of units that are not alive below all others."""
    return [s.masked_fill(~stays, PRUNED) for s, stays in zip(scores, alive, strict=True)]


def lowest_kept(scores: Tensor, keep: Tensor) -> float:
    """Return the score of the weakest unit that stays, or of the strongest one where none does."""
    remaining = scores[keep]
    value = float(remaining.min()) if remaining.numel() else float(scores.max())
    return value if value > PRUNED else 0.0


def cutoffs_at_one(
    scores: Sequence[Tensor],
    alive: Sequence[Tensor],
    std_values: Sequence[Tensor],
    cutoff: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> list[float]:
    """Return each layer's cut-off for a threshold of 1: every unit but a count is proportional to it.

    `cutoff` is the threshold's unit; it gets the scores and the values whose standard deviation counts, both
    without what is pruned.
    """
    rows = zip(scores, std_values, alive, strict=True)
    return [float(cutoff(s.new_ones(()), s[stays], v[stays])) if stays.any() else 0.0 for s, v, stays in rows]


def reduce_to_units(
    scores: Sequence[Tensor], reduce: Callable[[Tensor], Tensor], *, by_size: bool
) -> list[Tensor]:
    """Reduce a layer's scores, [1, *shape], to those of its units, [units].

    With `by_size` they are divided by the root of a unit's weights: in one pool, or under one cut-off, units
    with many weights would win by size alone.
    """
    reduced = []
    for values in scores:
        units = reduce(values.clone())[0]
        even = by_size and values.dim() > 2  # a criterion that scores whole units has no size in it
        reduced.append(units / (values.numel() / len(units)) ** 0.5 if even else units)
    return reduced


def join_inputs(values: Tensor, groups: int) -> Tensor:
    """Turn [1, outputs, inputs of a group, *rest] into [1, outputs of a group, inputs, *rest]."""
    if groups == 1:
        return values
    _, outputs, inputs, *rest = values.shape
    return values.reshape(1, groups, outputs // groups, inputs, *rest).transpose(1, 2).flatten(2, 3)


def split_inputs(mask: Tensor, groups: int) -> Tensor:
    """Turn [outputs of a group, inputs, *rest] into a weight's shape, [outputs, inputs of a group, *rest]."""
    if groups == 1:
        return mask
    outputs, inputs, *rest = mask.shape
    return mask.reshape(outputs, groups, inputs // groups, *rest).transpose(0, 1).flatten(0, 1)


def expand_units(
    units: Sequence[Tensor], shapes: Sequence[torch.Size], expand: Callable[[Tensor, torch.Size], Tensor]
) -> list[Tensor]:
    """Expand the units that stay, [units], into masks of the weights, [*shape]."""
    pairs = zip(units, shapes, strict=True)
    return [expand(u.clone().unsqueeze(0), torch.Size((1, *s)))[0] for u, s in pairs]


def thresholds_at(scores: Sequence[Tensor], scale: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Return the thresholds that cut off these shares of all units; `scale` is a layer's cut-off for 1."""
    pairs = zip(scores, scale, strict=True)
    ranked = torch.cat([s / factor if factor else s for s, factor in pairs]).sort().values
    return [float(ranked[min(round(share * len(ranked)), len(ranked) - 1)]) for share in shares]


def warn_of_fallen(stays: Mapping[str, bool], threshold: float) -> None:
    """Warn the caller's caller where nothing stays of a whole layer, or of all, by name."""
    fallen = [name for name, some in stays.items() if not some]
    if fallen:
        more = f" and {len(fallen) - NAMED} more" if len(fallen) > NAMED else ""
        what = "the whole network" if len(fallen) == len(stays) else ", ".join(fallen[:NAMED]) + more
        warnings.warn(f"threshold = {threshold} leaves nothing of {what}: try a lower one", stacklevel=3)
