"""Which methods go together: what an Experiment checks of its pruning, all axes side by side."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from explorer import registry

DEFAULT = 0.9  # the threshold where none is given
OUT = "leave it out"


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


def check_time(
    criterion: registry.Method,
    schedule: registry.Method,
    options: Mapping[str, Any],
    begin: float,
    end: float,
) -> None:
    """Raises ValueError where an event falls before there is what it needs; begin and end in epochs."""
    if not begin and criterion.traits.get("trained") and schedule.traits.get("immediate"):
        later = [m.name for m in registry.methods("schedule") if not m.traits.get("immediate")]
        raise ValueError(
            f"begin_epoch = 0 does not go with criterion {criterion.name!r} and schedule {schedule.name!r}: "
            "before the first step all scores are 0, and only their order would decide; allowed: begin_epoch "
            f"above 0, or schedule {', '.join(later)}"
        )
    own = schedule.settings(options)
    first = begin + (end - begin) / own.get("rounds", 1)
    if own.get("rewind_epoch", 0) > first:
        raise ValueError(
            f"rewind_epoch = {own['rewind_epoch']:g} lies after the first round, at epoch {first:g}, and "
            f"weights that are still to come cannot be gone back to; allowed: 0 to {first:g}"
        )


def warn(chosen: Mapping[str, registry.Method], given: Mapping[str, Any]) -> None:
    """Warns of what is set in a Pruning, its fields that differ from their defaults, and has no effect."""
    granularity, schedule = chosen["granularity"], chosen["schedule"]
    if "allocation" in given:
        what = f"allocation = {given['allocation']!r}"
        if not chosen["unit"].traits.get("counts"):
            counts = [m.name for m in registry.methods("unit") if m.traits.get("counts")]
            why = f"with unit {chosen['unit'].name!r}, a cut-off that leaves no budget to spread"
            _idle(what, why, f"leave it out, or set unit to {', '.join(counts)}")
        elif granularity.traits.get("select"):
            _idle(what, f"with granularity {granularity.name!r}, which decides within each layer", OUT)
    if "end_epoch" in given and not schedule.traits["spans"]:
        spans = [m.name for m in registry.methods("schedule") if m.traits["spans"]]
        why = f"with schedule {schedule.name!r}, which prunes at its begin alone"
        _idle(f"end_epoch = {given['end_epoch']:g}", why, f"leave it out, or use {', '.join(spans)}")
    for name, value in granularity.own(given.get("options", {})).items():
        if "granularity" in chosen["criterion"].traits:
            why = f"with criterion {chosen['criterion'].name!r}, which scores whole units itself"
            _idle(f"{name} = {value!r}", why, OUT)


def warn_of_rules(rules: Sequence[registry.Method], given: Mapping[str, Any]) -> None:
    """Warns of what is set in a Clipping, its fields that differ from their defaults, and has no effect."""
    if "max_norm" in given and not any("max_norm" in rule.needs for rule in rules):
        bounded = ", ".join(m.name for m in registry.methods("rule") if "max_norm" in m.needs)
        names = " + ".join(rule.name for rule in rules)
        what = f"max_norm = {given['max_norm']:g}"
        _idle(what, f"with clip rule {names}", f"leave it out; rules that it bounds: {bounded}")
    options = given.get("options", {})
    for stronger, weaker in [p for rule in rules for p in rule.traits.get("overrides", {}).items()]:
        if stronger in options and weaker in options:
            why = f"where {stronger} = {options[stronger]!r} takes its place"
            _idle(f"{weaker} = {options[weaker]!r}", why, "leave one of the two out")


def _idle(what: str, why: str, instead: str) -> None:
    warnings.warn(f"{what} has no effect {why}; {instead}", stacklevel=2)


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
        why = f"with granularity {granularity.name!r}, whose options make it {share:g}"
        _idle(f"threshold = {threshold:g}", why, OUT)
    return share
