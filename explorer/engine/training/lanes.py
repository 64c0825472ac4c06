"""A lane is one run in a stack: its experiment, its row, what it has recorded, and a way back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from explorer.engine.data.random import is_stochastic
from explorer.engine.network import models
from explorer.engine.network.state import LaneView, State
from explorer.engine.pruning.pruner import PruneDecision
from explorer.engine.training.append_log import StepLog
from explorer.engine.training.history import History
from explorer.experiment import Experiment
from explorer.methods.schedules import Event
from explorer.registry import Method, get
from explorer.traits import ScheduleTraits

# What lanes of a stack may differ in.
PER_LANE_FIELDS = ("pruning", "clipping", "lr", "momentum", "weight_decay", "l1", "seed")

CALM_NORM = 1.0  # a clip norm that tames what runs away
LARGE_RATE = 10.0  # from here on even a gradient of that norm moves weights too far
GROWING = 2.0  # lr times weight decay from which a step turns a weight over and makes it larger

MANY_EVENTS = 64  # a plan with more of them is noted at the records only


@dataclass
class Lane:
    """One run in a stack: its experiment, the row that it trains in, and what it has recorded."""

    experiment: Experiment
    row: int
    plan: dict[int, Event]  # by step
    rewind_step: int | None = None  # the step whose weights its schedule goes back to
    history: History = field(default_factory=History)
    decision: PruneDecision | None = None
    steered: bool = False
    diverged: str = ""
    scale: list[float] = field(default_factory=list)  # each layer's cut-off for a threshold of 1, once fixed
    sparsity_before: float | None = None  # that before events that are too many to be noted one by one
    baseline: float | None = None  # validation accuracy at the first event, for a tolerance
    last_good_row: Tensor | None = None  # the last good weights of a lane that diverged, [P]
    last_good_buffers: dict[str, Tensor] = field(default_factory=dict)  # the module's, for them
    answers: dict[int, Tensor] = field(default_factory=dict)  # by recorded step; made anew, never changed

    @property
    def records_each_event(self) -> bool:
        """Whether each event has a record of its own; not where pruning goes on all the while."""
        return not self.continuous and len(self.plan) <= MANY_EVENTS

    @property
    def continuous(self) -> bool:
        """Whether pruning goes on at every step, so that a threshold moved acts from the next one."""
        schedule = self._schedule
        return schedule is not None and schedule.traits.continuous

    @property
    def shadowed(self) -> bool:
        """Whether its schedule has pruned weights go on learning unseen."""
        schedule = self._schedule
        return schedule is not None and schedule.traits.shadow

    @property
    def _schedule(self) -> Method[ScheduleTraits] | None:
        pruning = self.experiment.pruning
        return None if pruning is None else get("schedule", pruning.schedule)

    @property
    def pruned(self) -> bool:
        """Whether it has had a prune event."""
        return any(what == "prune" for _, what, *_ in self.history.events)

    def advice(self) -> str:
        """Return what a lane that diverged may try, of what could help; and whether its weights are lost."""
        exp, tries = self.experiment, []
        if exp.lr < LARGE_RATE and exp.lr * exp.weight_decay >= GROWING:
            tries.append(f"a weight decay below {1 / exp.lr:g}, as this one makes weights grow")
        bounded = exp.clipping is not None and exp.clipping.bounded and exp.clipping.max_norm <= CALM_NORM
        if not bounded and exp.optimizer == "sgd" and exp.lr < LARGE_RATE:
            tries.append(f"a clip norm of {CALM_NORM:g}")
        tries.append(f"a learning rate below {exp.lr:g}")
        lost = self.last_good_row is not None and not bool(self.last_good_row.isfinite().all())
        return f"try {', or '.join(tries)}" + ". The weights are not finite either: begin anew" * lost

    def copy(self) -> "Lane":
        """Return the lane as it is now: what is recorded and planned later does not show in it."""
        return replace(self, history=self.history.copy(), plan=dict(self.plan))

    def remember(self, step: int, answers: Tensor, *, earlier: bool) -> None:
        """Keep the answers of a record, beside or instead of the earlier ones."""
        self.answers = {**(self.answers if earlier else {}), step: answers.cpu()}

    def view(self, state: State) -> LaneView:
        """Return the lane's weights in a stack's state; the last good ones where it diverged."""
        view = state.view(self.row)
        return (
            view
            if self.last_good_row is None
            else replace(view, row=self.last_good_row, buffers=self.last_good_buffers)
        )


@dataclass(frozen=True)
class Checkpoint:
    """All there was at a moment of training, to go back to."""

    step: int
    handled_step: int  # the last one whose events and record are behind it
    done: bool
    state: State
    gradient: Tensor | None  # of the step before: the next record tells its norms
    lanes: list[Lane]
    log: StepLog  # what each step so far measured
    recorded: int
    seconds: float
    compiled: bool  # whether any steps were machine code
    earlier: "Checkpoint | None" = None  # the one just before the first prune event

    def tensors(self) -> list[Tensor]:
        """Return all that it holds, without `earlier`."""
        return [*self.state.tensors(), *([] if self.gradient is None else [self.gradient])]

    def deduplicated(self, other: "Checkpoint") -> "Checkpoint":
        """Return the same, in the memory of another where that holds the same."""
        return replace(self, state=self.state.deduplicated(other.state))

    def view(self, lane: int = 0) -> LaneView:
        """Return the weights of a lane as they were."""
        return self.lanes[lane].view(self.state)


def check_stack(experiments: Sequence[Experiment]) -> None:
    """Raise ValueError where experiments cannot share one network, one loss and one clock."""
    first = experiments[0]
    stochastic = _is_stochastic(first)  # so do all whose model is the same
    for other in experiments[1:]:
        for name in Experiment.model_fields:
            ours, theirs = (_shared(each, name, stochastic=stochastic) for each in (first, other))
            if ours != theirs:
                raise ValueError(
                    f"{name} = {ours!r} and {theirs!r} cannot train in one stack; its lanes may differ in "
                    f"{', '.join(PER_LANE_FIELDS)}"
                )


def shared_key(experiment: Experiment) -> str:
    """Return what experiments must have in common to train in one stack."""
    stochastic = _is_stochastic(experiment)
    return repr([_shared(experiment, name, stochastic=stochastic) for name in Experiment.model_fields])


def _is_stochastic(experiment: Experiment) -> bool:
    return is_stochastic(models.build(experiment))


def _shared(experiment: Experiment, name: str, *, stochastic: bool) -> object:
    """Return the part of a field that all lanes of a stack have in common."""
    if name == "seed" and stochastic:
        return experiment.seed  # lanes draw their random numbers together
    return None if name in PER_LANE_FIELDS else getattr(experiment, name)
