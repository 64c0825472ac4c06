"""Branches: a run goes on from a moment of its past, as it was or with other settings."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from explorer.engine.network.state import State
from explorer.engine.training.history import Row
from explorer.engine.training.lanes import Checkpoint, Lane
from explorer.engine.training.timetable import rewind_epoch, tracks_movement
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment, Pruning
from explorer.methods.schedules import Event

# Every string that a person reads here.
OTHER_NETWORK = (
    "{} = {!r}, but this run has {!r}: a branch goes on with the same network, images and batches; "
    "put that back, or press Train"
)
STAYS_PRUNED = "pruning = None: a branch of a pruned run stays pruned; press Train for a dense one"
NOT_KEPT = "{} was not followed from the first step on, so a branch cannot prune by it; press Train"
NOTHING_LEFT = "the training ends at epoch {:g}: branch from an earlier moment, or give more epochs"

FIXED = ("model", "model_options", "dataset", "normalise", "validation", "batch_size")
PARTS = {"pruning": "pruning.criterion", "clipping": "clipping.rule"}  # what says that there is none
NONE = "none"


def fields(experiment: Experiment) -> dict[str, Any]:
    """Return all settings by dotted name, options included; a part that is None has a method "none"."""
    return dict(_flat(experiment.model_dump(), ""))


def _flat(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif name in PARTS:
            yield PARTS[name], NONE
        elif value is not None:
            yield prefix + name, value


def diff(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, by dotted name: old and new value, None where there is none."""
    before, after = fields(old), fields(new)
    names = dict.fromkeys([*before, *after])
    return {n: (before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)}


def check(point: Checkpoint, experiment: Experiment, per_epoch: int) -> None:
    """Raise ValueError where a run can't go on from there with these settings."""
    then = point.lanes[0].experiment
    for name in FIXED:
        ours, theirs = getattr(experiment, name), getattr(then, name)
        if ours != theirs:
            raise ValueError(OTHER_NETWORK.format(name, ours, theirs))
    if experiment.pruning is None and then.pruning is not None:
        raise ValueError(STAYS_PRUNED)
    if point.step >= experiment.epochs * per_epoch:
        raise ValueError(NOTHING_LEFT.format(experiment.epochs))


def branch(point: Checkpoint, experiments: list[Experiment], device: str | torch.device) -> Trainer:
    """Return a trainer that goes on from there with these settings; what differs is an event each.

    With nothing changed it equals the run that went on, to the bit.

    Args:
        point: where to go on.
        experiments: one a lane; beside those of the point, a dense run may get a pruned lane.
        device: where the point's tensors are.

    Raises:
        ValueError: where a run can't go on with these settings.
    """
    trainer = Trainer(experiments, str(device), point.state.theta.dtype)
    check(point, experiments[0], trainer.per_epoch)
    first = point.lanes[0].experiment
    state = _without_foreign_memories(point.state, first, experiments[0], trainer.total)
    lanes = [point.lanes[min(i, len(point.lanes) - 1)].copy() for i in range(len(experiments))]
    for lane, experiment in zip(lanes, experiments, strict=True):
        _apply_settings(lane, experiment, point, trainer)
    same = first == experiments[0] and len(lanes) == len(point.lanes)
    earlier = point.earlier if same else None  # its lanes have the old settings
    trainer.return_to(replace(point, lanes=lanes, state=state, done=False, earlier=earlier))
    return trainer


def resume(point: Checkpoint, device: str | torch.device) -> Trainer:
    """Return the trainer of a run that has been left, as it was at a point."""
    trainer = Trainer([lane.experiment for lane in point.lanes], str(device), point.state.theta.dtype)
    trainer.return_to(point)
    return trainer


def _without_foreign_memories(state: State, old: Experiment, new: Experiment, total: int) -> State:
    """Return the state without memories that another optimizer or clip rule would take for its own."""
    rules = _rules(old) == _rules(new)
    optimizer = old.optimizer == new.optimizer
    memory = {n: t for n, t in state.memory.items() if (rules if n.startswith("rule ") else optimizer)}
    past = {name: _as_long(t, total) for name, t in state.clip_history.items()} if rules else {}
    return replace(state, memory=memory, clip_history=past)


def _rules(experiment: Experiment) -> Any:
    clipping = experiment.clipping
    return clipping and (clipping.rules, dict(clipping.options))


def _as_long(past: Tensor, total: int) -> Tensor:
    """Return a number a step, [L, steps], for a run of another length."""
    more = max(0, total - past.shape[1])
    return torch.cat([past, past.new_full((len(past), more), torch.nan)], 1)[:, :total]


def _apply_settings(lane: Lane, experiment: Experiment, point: Checkpoint, trainer: Trainer) -> None:
    """Give a lane other settings from here on, and notes the branch and what differs as events."""
    changed = diff(lane.experiment, experiment)
    pruned = any(what == "prune" for _, what, *_ in lane.history.events)
    replan = any(n.split(".")[0] == "pruning" for n in changed) or ("epochs" in changed and not pruned)
    if replan and experiment.pruning is not None:
        _check_memory(point.state, lane.experiment.pruning, experiment.pruning)
        lane.plan = trainer.timetable.events(experiment.pruning)
        lane.rewind_step = trainer.timetable.rewind_step(experiment.pruning)
        if max(lane.plan) <= point.handled_step:  # nothing is left of it
            lane.plan[point.step + 1] = Event(point.step + 1, experiment.pruning.threshold)
        lane.scale = []
    lane.experiment, lane.steered = experiment, lane.steered or bool(changed)
    lane.history.events.append((point.step, "branch", None, None))
    lane.history.events += [_event(point.step, name, *values) for name, values in changed.items()]


def _check_memory(state: State, old: Pruning | None, new: Pruning) -> None:
    """Raise ValueError where a criterion or schedule needs what has not been kept."""
    if tracks_movement(new) and "movement" not in state.criterion_memory:
        raise ValueError(NOT_KEPT.format(new.criterion))
    if rewind_epoch(new) not in (None, rewind_epoch(old)):
        raise ValueError(NOT_KEPT.format(new.schedule))


def _event(step: int, name: str, old: Any, new: Any) -> Row:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    short = name.rsplit(".", 1)[-1]
    if numbers:
        return step, short, float(old), float(new)
    return step, f"{short} {_text(old)} → {_text(new)}", None, None


def _text(value: Any) -> str:
    return NONE if value is None else str(value)
