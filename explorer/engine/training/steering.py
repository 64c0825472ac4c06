"""What sliders may move between two steps of a run; each move is an event of the lane."""

from collections.abc import Mapping

from explorer import registry
from explorer.engine.training.lanes import Lane
from explorer.engine.training.timetable import Timetable
from explorer.experiment import Experiment
from explorer.methods.schedules import Event

LIVE = ("lr", "clipping.max_norm", "pruning.threshold")  # what a slider may move


def steer(lane: Lane, changes: Mapping[str, float], step: int, timetable: Timetable) -> None:
    """Move a lane's sliders, by dotted names; what its Experiment has no part for is left out.

    Raises:
        ValueError: where a name is no slider's.
    """
    for name in changes:
        if name not in LIVE:
            raise ValueError(registry.unknown("slider", name, LIVE))
    before = lane.experiment
    moves = {n: v for n, v in changes.items() if slider_value(before, n) not in (None, v)}
    lane.experiment = before.replace(moves)
    lane.steered = lane.steered or bool(moves)
    lane.history.events += [
        (step, name.split(".")[-1], slider_value(before, name), float(value)) for name, value in moves.items()
    ]
    if "pruning.threshold" in moves:
        _plan_anew(lane, step, timetable)


def _plan_anew(lane: Lane, step: int, timetable: Timetable) -> None:
    """Have events to come take the threshold that was moved; where there is none, there is one more."""
    pruning = lane.experiment.pruning
    assert pruning is not None
    lane.plan = timetable.events(pruning)
    if step >= max(lane.plan):
        lane.plan[step + 1] = Event(step + 1, pruning.threshold)


def slider_value(experiment: Experiment, name: str) -> float | None:
    """Return a slider's value by its dotted name; None where the experiment has no such part."""
    part, _, field_ = name.rpartition(".")
    node = getattr(experiment, part) if part else experiment
    value: float | None = getattr(node, field_, None)
    return value
