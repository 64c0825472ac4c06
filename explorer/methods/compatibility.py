"""Which methods go together: what an Experiment checks of its pruning, all axes side by side."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from explorer import registry
from explorer.registry import Method
from explorer.traits import CriterionTraits, GranularityTraits, RuleTraits, ScheduleTraits

DEFAULT = 0.9  # the threshold where none is given
OUT = "leave it out"


def check(names: Mapping[str, str]) -> None:
    """Raise ValueError, with what is allowed, where the methods of a Pruning, by axis, do not go together."""
    for axis, name in names.items():
        for other, allowed in registry.get(axis, name).traits.partners.items():
            if names[other] not in allowed:
                value = f"{other} = {names[other]!r}"
                raise ValueError(f"{value} does not go with {axis} {name!r}; allowed: {', '.join(allowed)}")
    signed = registry.get("criterion", names["criterion"]).traits.signed
    if signed and not registry.get("unit", names["unit"]).traits.signed:
        units = [m.name for m in registry.methods("unit") if m.traits.signed]
        raise ValueError(
            f"unit = {names['unit']!r} does not go with criterion {names['criterion']!r}, whose scores are "
            f"signed; allowed: {', '.join(units)}"
        )


def check_time(
    criterion: Method[CriterionTraits],
    schedule: Method[ScheduleTraits],
    options: Mapping[str, Any],
    begin: float,
    end: float,
) -> None:
    """Raise ValueError where an event falls before there is what it needs; begin and end in epochs."""
    if not begin and criterion.traits.trained and schedule.traits.immediate:
        later = [m.name for m in registry.methods("schedule") if not m.traits.immediate]
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


def warn(methods: Mapping[str, Method], changed: Mapping[str, Any]) -> None:
    """Warn of what has no effect in a Pruning: its methods by axis, its fields not at their defaults."""
    criterion, granularity = methods["criterion"], methods["granularity"]
    schedule, unit = methods["schedule"], methods["unit"]
    if "allocation" in changed:
        what = f"allocation = {changed['allocation']!r}"
        if not unit.traits.counts:
            counts = [m.name for m in registry.methods("unit") if m.traits.counts]
            why = f"with unit {unit.name!r}, a cut-off that leaves no budget to spread"
            _warn_idle(what, why, f"leave it out, or set unit to {', '.join(counts)}")
        elif granularity.traits.select:
            _warn_idle(what, f"with granularity {granularity.name!r}, which decides within each layer", OUT)
    if "end_epoch" in changed and not schedule.traits.spans:
        spans = [m.name for m in registry.methods("schedule") if m.traits.spans]
        why = f"with schedule {schedule.name!r}, which prunes at its begin alone"
        _warn_idle(f"end_epoch = {changed['end_epoch']:g}", why, f"leave it out, or use {', '.join(spans)}")
    for name, value in granularity.own(changed.get("options", {})).items():
        if criterion.traits.granularity:
            why = f"with criterion {criterion.name!r}, which scores whole units itself"
            _warn_idle(f"{name} = {value!r}", why, OUT)


def warn_of_rules(rules: Sequence[Method[RuleTraits]], changed: Mapping[str, Any]) -> None:
    """Warn of what has no effect in a Clipping: its rules, its fields that are not at their defaults."""
    if "max_norm" in changed and not any("max_norm" in rule.needs for rule in rules):
        bounded = ", ".join(m.name for m in registry.methods("rule") if "max_norm" in m.needs)
        names = " + ".join(rule.name for rule in rules)
        what = f"max_norm = {changed['max_norm']:g}"
        _warn_idle(what, f"with clip rule {names}", f"leave it out; rules that it bounds: {bounded}")
    options = changed.get("options", {})
    for stronger, weaker in [pair for rule in rules for pair in rule.traits.overrides.items()]:
        if stronger in options and weaker in options:
            why = f"where {stronger} = {options[stronger]!r} takes its place"
            _warn_idle(f"{weaker} = {options[weaker]!r}", why, "leave one of the two out")


def _warn_idle(what: str, why: str, instead: str) -> None:
    warnings.warn(f"{what} has no effect {why}; {instead}", stacklevel=2)


def check_threshold(threshold: float, unit: str, *, signed: bool) -> None:
    """Raise ValueError where a threshold is outside of what its unit allows."""
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


def threshold_of(
    granularity: Method[GranularityTraits], options: Mapping[str, Any], threshold: float
) -> float:
    """Return the threshold in force: where a granularity's options say how much falls, it is that."""
    if granularity.traits.threshold is None:
        return threshold
    share = granularity.traits.threshold(**granularity.own(options))
    if threshold not in (share, DEFAULT):
        why = f"with granularity {granularity.name!r}, whose options make it {share:g}"
        _warn_idle(f"threshold = {threshold:g}", why, OUT)
    return share
