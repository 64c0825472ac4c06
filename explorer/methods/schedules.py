"""Schedules: when pruning happens, and how much of the threshold applies.

A schedule turns a begin and an end, in steps, into a plan: pairs of a step and the share of the threshold
that applies there. `spacing` is the unit's own distance between events. The trait `begin` is the default
begin as a share of the whole training; the trait `continuous` marks plans whose events are too many to be
recorded one by one.
"""

from typing import Annotated

from pydantic import Field

from explorer.registry import register

Plan = list[tuple[int, float]]


@register("schedule", "one-shot", begin=0.5, continuous=False)
def one_shot(begin: int, end: int, spacing: int) -> Plan:  # noqa: ARG001  one event has no end
    """Train, prune once, fine-tune what is left.

    Formula: one event, at the begin
    Reference: Han, Pool, Tran & Dally 2015, https://arxiv.org/abs/1506.02626
    """
    return [(begin, 1.0)]


@register("schedule", "every-step", begin=0.0, continuous=True)
def every_step(
    begin: int, end: int, spacing: int, *, every: Annotated[int, Field(ge=1)] | None = None
) -> Plan:
    """Prune all the while: what falls below the threshold is gone for good.

    Formula: events at begin, begin + every, … before the end; masks only shrink
    Reference: Narang, Elsen, Diamos & Sengupta 2017, https://arxiv.org/abs/1704.05119
    """
    return [(step, 1.0) for step in range(begin, end, every or spacing)]
