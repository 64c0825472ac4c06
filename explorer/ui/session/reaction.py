"""What a moved slider or a changed setting does to the run: a table, and the facts that decide."""

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from explorer.engine.training.steering import LIVE
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment, Pruning

ACTIVE = ("training", "paused")  # the status of a run that has not ended
THRESHOLD, CLIP_NORM = "pruning.threshold", "clipping.max_norm"
PRUNING = {f"pruning.{name}" for name in Pruning.model_fields}
NETWORK = ("model", "model_options", "dataset", "normalise", "seed", "validation")


class Reaction(Enum):
    """What follows from a change; the value says it in words."""

    REBUILD = "nothing was trained, so the untrained network of the new settings is shown"
    STEER = "the run takes the change between two steps"
    REPLAN = "prune events that are still to come take the change"
    REWIND = "the run goes back to just before its first prune event, prunes anew and fine-tunes"
    RESTART = "a new run begins"
    SHOW = "the run has ended: it stays on view, and the next one takes the change"


@dataclass(frozen=True)
class RunFacts:
    """What of a run and of the settings that are wanted decides what a change does."""

    clips: bool  # the settings before had a clip rule
    continuous: bool  # a threshold acts from the next step on
    pruned: bool  # there has been a prune event
    rewindable: bool  # the training before the first prune event is the same with the new settings

    @classmethod
    def of(cls, trainer: Trainer, before: Experiment, after: Experiment) -> "RunFacts":
        """Return the facts about a change of settings."""
        lane = trainer.lanes[0]
        return cls(before.clipping is not None, lane.continuous, lane.pruned, _rewindable(trainer, after))


def react(changes: Set[str], status: str, facts: RunFacts | None) -> Reaction:
    """Return what a change does: that of the first row of the table that applies.

    Args:
        changes: the settings that change, by dotted name.
        status: of the session.
        facts: None where there is no trainer.
    """
    if facts is None or status == "idle":
        return Reaction.REBUILD
    active, threshold = status in ACTIVE, THRESHOLD in changes
    live = changes <= set(LIVE) and (facts.continuous or not threshold)
    table = (
        (active and live and (facts.clips or CLIP_NORM not in changes), Reaction.STEER),
        (active and changes == {THRESHOLD} and not facts.pruned, Reaction.REPLAN),
        (changes & PRUNING and facts.rewindable, Reaction.REWIND),
        (active or threshold, Reaction.RESTART),
        (True, Reaction.SHOW),
    )
    return next(reaction for applies, reaction in table if applies)


def _rewindable(trainer: Trainer, experiment: Experiment) -> bool:
    if trainer.checkpoint is None or experiment.pruning is None:
        return False
    if trainer.lanes[0].experiment.dense() != experiment.dense() or not trainer.remembers(experiment.pruning):
        return False
    return trainer.timetable.first_event(experiment.pruning) == trainer.checkpoint.step


def previewable(trainer: Trainer, experiment: Experiment) -> bool:
    """Return whether a trainer's weights, and what it remembers of them, serve to try an Experiment out."""
    present = trainer.lanes[0].experiment
    same = all(getattr(present, name) == getattr(experiment, name) for name in NETWORK)
    return same and trainer.remembers(experiment.pruning)
