"""Which methods go together: what an Experiment checks of its pruning, all axes side by side."""

import warnings
from collections.abc import Mapping
from typing import Any

from explorer import registry

DEFAULT = 0.9  # the threshold where none is given


def check(chosen: Mapping[str, str]) -> None:
    """Raises ValueError, with what is allowed, where the methods chosen, by axis, do not go together."""
    for axis, name in chosen.items():
        for other, only in _only(registry.get(axis, name)).items():
            if chosen[other] not in only:
                given = f"{other} = {chosen[other]!r}"
                raise ValueError(f"{given} does not go with {axis} {name!r}; allowed: {', '.join(only)}")
    criterion = registry.get("criterion", chosen["criterion"])
    if criterion.traits.get("signed") and not registry.get("unit", chosen["unit"]).traits["signed"]:
        allowed = [m.name for m in registry.methods("unit") if m.traits["signed"]]
        raise ValueError(
            f"unit = {chosen['unit']!r} does not go with criterion {criterion.name!r}, whose scores are "
            f"signed; allowed: {', '.join(allowed)}"
        )


def _only(method: registry.Method) -> dict[str, tuple[str, ...]]:
    """The methods on other axes that a method insists on, by axis."""
    traits = method.traits
    named = {axis: traits[axis] for axis in ("granularity", "allocation") if axis in traits}
    weightwise = {"granularity": ("weight",)} if traits.get("regrows") else {}
    return {**named, **weightwise, **traits.get("only", {})}


def check_threshold(threshold: float, unit: str, *, signed: bool) -> None:
    """Raises ValueError where a threshold is outside of what its unit allows."""
    if unit == "sparsity" and not 0 <= threshold < 1:
        raise ValueError(
            f"threshold = {threshold} is outside what unit 'sparsity' allows, 0 ≤ threshold < 1: the share "
            "of weights to prune, 0.9 prunes 90 %"
        )
    if unit != "sparsity" and threshold < 0 and not signed:
        raise ValueError(
            f"threshold = {threshold} is outside what unit {unit!r} allows here, threshold ≥ 0: the scores "
            "of this criterion are never negative"
        )


def threshold_of(granularity: registry.Method, options: Mapping[str, Any], threshold: float) -> float:
    """The threshold that is in force: where a granularity's options say how much falls, it is that."""
    fixed = granularity.traits.get("threshold")
    if fixed is None:
        return threshold
    share: float = fixed(**granularity.own(options))
    if threshold not in (share, DEFAULT):
        warnings.warn(
            f"threshold = {threshold:g} has no effect with granularity {granularity.name!r}, whose options "
            f"make it {share:g}",
            stacklevel=2,
        )
    return share
