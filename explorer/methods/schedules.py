"""Schedules: when pruning happens, how much of it, and what else happens then.

A schedule turns a begin and an end, in steps, and a threshold with its unit into a plan, a list of events.
What its traits say stands in `explorer/traits.py`, as `ScheduleTraits`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from explorer.registry import get, register

Every = Annotated[int, Field(ge=1)]
Rounds = Annotated[int, Field(ge=1, le=100)]
REGROWTH_EVERY = 100


@dataclass(frozen=True)
class Event:
    """What happens before the step of that number."""

    step: int
    threshold: float
    tolerance: float | None = None  # prune no further once validation accuracy fell by more than this
    rewind: bool = False  # the kept weights go back to early values
    grow: str = ""  # after `drop` of the kept weights fell, as many come back by this quantity
    drop: float = 0.0


Plan = list[Event]


@register("schedule", "one-shot", begin=0.5, spans=False, continuous=False, immediate=True)
def one_shot(begin: int, end: int, unit: str, threshold: float) -> Plan:  # noqa: ARG001  one event, no end
    """Train, prune once, fine-tune what is left.

    Formula: one event, at the begin
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    return [Event(begin, threshold)]


@register("schedule", "iterative", begin=0.0, spans=True, continuous=False)
def iterative(
    begin: int,
    end: int,
    unit: str,
    threshold: float,
    *,
    rounds: Rounds = 5,
    tolerance: Annotated[float, Field(ge=0, le=1)] | None = None,
) -> Plan:
    """Train, prune a part, fine-tune, and again, until the threshold is met or accuracy falls too far.

    Formula: round i of R keeps (1 − s)^(i/R); it stops once accuracy fell by more than the tolerance
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    steps = _rounds(begin, end, rounds)
    shares = _thresholds(unit, threshold, rounds)
    return [Event(step, share, tolerance=tolerance) for step, share in zip(steps, shares, strict=True)]


@register("schedule", "rewind", begin=0.0, spans=True, continuous=False)
def rewind(
    begin: int,
    end: int,
    unit: str,
    threshold: float,
    *,
    rounds: Rounds = 3,
    rewind_epoch: Annotated[float, Field(ge=0)] = 0.0,  # noqa: ARG001  the engine takes the weights there
) -> Plan:
    """The lottery ticket: after each round, what is kept goes back to its initial or early values.

    Formula: round i of R keeps (1 − s)^(i/R), then w ← w(rewind epoch) · mask
    Reference: Frankle & Carbin 2019, https://arxiv.org/abs/1803.03635
    """
    steps = _rounds(begin, end, rounds)
    shares = _thresholds(unit, threshold, rounds)
    return [Event(step, share, rewind=True) for step, share in zip(steps, shares, strict=True)]


@register("schedule", "gradual", begin=0.0, spans=True, continuous=False)
def gradual(begin: int, end: int, unit: str, threshold: float, *, every: Every = 100) -> Plan:  # noqa: ARG001
    """Prune fast while much is redundant, and ever more slowly towards the threshold.

    Formula: s_t = s · (1 − (1 − (t − begin)/(end − begin))³)
    Reference: Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878
    """
    steps = [*range(begin + every, end, every), end]
    return [Event(t, threshold * (1 - (1 - (t - begin) / (end - begin)) ** 3)) for t in steps]


@register("schedule", "every-step", begin=0.0, spans=True, continuous=True, immediate=True)
def every_step(begin: int, end: int, unit: str, threshold: float, *, every: Every | None = None) -> Plan:
    """Prune all the while: what falls below the threshold is gone for good.

    Formula: events at begin, begin + every, … before the end; masks only shrink
    Reference: Narang, Elsen, Diamos & Sengupta 2017, https://arxiv.org/abs/1704.05119
    """
    return [Event(step, threshold) for step in range(begin, end, every or _spacing(unit))]


@register("schedule", "splicing", begin=0.0, spans=True, continuous=True, shadow=True, immediate=True)
def splicing(
    begin: int,
    end: int,
    unit: str,
    threshold: float,
    *,
    every: Every | None = None,
    margin: Annotated[float, Field(ge=0)] = 0.1,  # noqa: ARG001  the engine compares by it
) -> Plan:
    """Dynamic network surgery: pruned weights go on learning unseen, and come back once they matter.

    Formula: falls where score < τ, comes back where score ≥ τ · (1 + margin)
    Reference: Guo, Yao & Chen 2016, https://arxiv.org/abs/1608.04493
    """
    return [Event(step, threshold) for step in range(begin, end, every or _spacing(unit))]


@register("schedule", "rigl", begin=0.0, spans=True, continuous=False, regrows=True, immediate=True)
def rigl(
    begin: int,
    end: int,
    unit: str,  # noqa: ARG001
    threshold: float,
    *,
    every: Every = REGROWTH_EVERY,
    drop: Annotated[float, Field(gt=0, lt=1)] = 0.3,
) -> Plan:
    """Sparse from the start: the smallest weights make room where the gradient wants new ones.

    Formula: each layer drops α/2 · (1 + cos πt/T) of its kept weights by |w| and regrows as many by |∂L/∂w|
    Reference: Evci, Gale, Menick, Castro & Elsen 2020, https://arxiv.org/abs/1911.11134
    """
    steps = range(begin, end, every)
    return _regrowing(steps, end, threshold, lambda p: drop / 2 * (1 + math.cos(math.pi * p)), "grad")


@register("schedule", "set", begin=0.0, spans=True, continuous=False, regrows=True, immediate=True)
def set_(
    begin: int,
    end: int,
    unit: str,  # noqa: ARG001
    threshold: float,
    *,
    every: Every = REGROWTH_EVERY,
    drop: Annotated[float, Field(gt=0, lt=1)] = 0.3,
) -> Plan:
    """Sparse from the start: the smallest weights make room for new ones at random.

    Formula: each layer drops a share of its kept weights by |w| and regrows as many by chance
    Reference: Mocanu, Mocanu, Stone, Nguyen, Gibescu & Liotta 2018, https://arxiv.org/abs/1707.04780
    """
    return _regrowing(range(begin, end, every), end, threshold, lambda _: drop, "noise")


def _spacing(unit: str) -> int:
    return get("unit", unit).traits.every


def _rounds(begin: int, end: int, rounds: int) -> list[int]:
    """Return the steps of rounds, evenly spaced; each trains first and prunes at its end."""
    return [round(begin + (i + 1) * (end - begin) / rounds) for i in range(rounds)]


def _thresholds(unit: str, threshold: float, rounds: int) -> list[float]:
    """Return the rounds' thresholds: each takes the same share of what is left; a cut-off grows evenly."""
    parts = [(i + 1) / rounds for i in range(rounds)]
    if unit != "sparsity":
        return [threshold * part for part in parts]
    return [*(1 - (1 - threshold) ** part for part in parts[:-1]), threshold]


def _regrowing(steps: range, end: int, threshold: float, drop: Callable[[float], float], grow: str) -> Plan:
    """Plan to prune at the first step, and at the others to drop and regrow by the share of time gone by."""
    begin, *later = steps
    shares = [drop((t - begin) / (end - begin)) for t in later]
    regrown = [Event(t, threshold, drop=d, grow=grow) for t, d in zip(later, shares, strict=True)]
    return [Event(begin, threshold), *regrown]
