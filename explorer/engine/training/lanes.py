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
from explorer.registry import get

# What lanes of a stack may differ in.
OWN = ("pruning", "clipping", "lr", "momentum", "weight_decay", "l1", "seed")

NOTED = 64  # a plan with more events than this is noted at the records only


@dataclass
class Lane:
    """One run in a stack: its experiment, the row that it trains in, and what it has recorded."""

    experiment: Experiment
    row: int
    plan: dict[int, Event]  # by step
    early: int | None = None  # the step whose weights its schedule goes back to
    history: History = field(default_factory=History)
    decision: PruneDecision | None = None
    steered: bool = False
    diverged: str = ""
    scale: list[float] = field(default_factory=list)  # each layer's cut-off for a threshold of 1, once fixed
    before: float | None = None  # sparsity before events that are too many to be noted one by one
    baseline: float | None = None  # validation accuracy at the first event, for a tolerance
    rescued: Tensor | None = None  # the last good weights of a lane that diverged, [P]
    kept: dict[str, Tensor] = field(default_factory=dict)  # the module's buffers for them
    answers: dict[int, Tensor] = field(default_factory=dict)  # by recorded step; made anew, never changed

    @property
    def noted(self) -> bool:
        """Whether each event has a record of its own; not where pruning goes on all the while."""
        pruning = self.experiment.pruning
        continuous = pruning and get("schedule", pruning.schedule).traits.continuous
        return not continuous and len(self.plan) <= NOTED

    def copy(self) -> "Lane":
        """The lane as it is now: what is recorded and planned later does not show in it."""
        return replace(self, history=self.history.copy(), plan=dict(self.plan))

    def remember(self, step: int, answers: Tensor, *, earlier: bool) -> None:
        """Keeps the answers of a record, beside or instead of the earlier ones."""
        self.answers = {**(self.answers if earlier else {}), step: answers.cpu()}

    def view(self, state: State) -> LaneView:
        """The lane's weights in a stack's state; the last good ones where it diverged."""
        view = state.view(self.row)
        return view if self.rescued is None else replace(view, row=self.rescued, buffers=self.kept)


@dataclass(frozen=True)
class Checkpoint:
    """All there was at a moment of training, to go back to."""

    step: int
    told: int  # the last step whose events and record are behind it
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
        """All that it holds, without `earlier`."""
        return [*self.state.tensors(), *([] if self.gradient is None else [self.gradient])]

    def deduplicated(self, other: "Checkpoint") -> "Checkpoint":
        """The same, in the memory of another where that holds the same."""
        return replace(self, state=self.state.deduplicated(other.state))

    def view(self, lane: int = 0) -> LaneView:
        """The weights of a lane as they were."""
        return self.lanes[lane].view(self.state)


def check_stack(experiments: Sequence[Experiment]) -> None:
    """Raises ValueError where experiments cannot share one network, one loss and one clock."""
    first = experiments[0]
    draws = _draws(first)  # so do all whose model is the same
    for other in experiments[1:]:
        for name in Experiment.model_fields:
            ours, theirs = (_shared(each, name, draws=draws) for each in (first, other))
            if ours != theirs:
                raise ValueError(
                    f"{name} = {ours!r} and {theirs!r} cannot train in one stack; its lanes may differ in "
                    f"{', '.join(OWN)}"
                )


def shared_key(experiment: Experiment) -> str:
    """What experiments must have in common to train in one stack."""
    draws = _draws(experiment)
    return repr([_shared(experiment, name, draws=draws) for name in Experiment.model_fields])


def _draws(experiment: Experiment) -> bool:
    return is_stochastic(models.build(experiment))


def _shared(experiment: Experiment, name: str, *, draws: bool) -> object:
    """The part of a field that all lanes of a stack have in common."""
    if name == "seed" and draws:
        return experiment.seed  # lanes draw their random numbers together
    return None if name in OWN else getattr(experiment, name)
