"""The only loop and the only clock: trains a stack, prunes it when it is time, and yields records."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from explorer import registry
from explorer.engine.network.state import LaneView
from explorer.engine.pruning.pruner import PruneDecision
from explorer.engine.pruning.scoring import NonFiniteScores
from explorer.engine.training import metrics
from explorer.engine.training.lanes import Checkpoint, Lane
from explorer.engine.training.recorder import Record
from explorer.engine.training.stack import Stack
from explorer.experiment import Experiment, Pruning
from explorer.methods.schedules import Event
from explorer.traits import ScheduleTraits

LIVE = {
    "lr": "lr",
    "clipping.max_norm": "max_norm",
    "pruning.threshold": "threshold",
}  # what a slider may move


class Trainer(Stack):
    """Trains a stack to its end; whoever holds `run()` may steer, preview or restore between two items."""

    checkpoint: Checkpoint | None = None  # just before the first prune event
    _moved = False  # the run went back while a record was looked at
    _told = -1  # the last step whose events and record are behind it

    # -- the loop -------------------------------------------------------------------------------------

    def run(self) -> Iterator[Record | None]:
        """Trains to the end; yields a Record where one falls, and None after every other step or few steps.

        Whoever holds the iterator may steer, preview or restore between two items, or simply not go on;
        where records come late, only the last.
        """
        batches, position = self._batches(), self.step
        while not self.done:
            started, here = time.perf_counter(), self.step
            fresh, self._told = here > self._told, here
            if self.recorder.waiting(due=fresh and self.recorded_at(here)):
                yield self._record(started)
                started = time.perf_counter()
            if fresh and (self._prune_due() or here in self.record_steps):
                self._settle()
                self.recorder.ask()
                if not self.late:
                    yield self._record(started)
                    started = time.perf_counter()
                    if self._moved:
                        continue  # the run went back to its checkpoint, perhaps to this very step
            if here >= self.total or all(lane.diverged for lane in self.lanes):
                if self.recorder.asked:
                    yield self._record(started)
                self._finish()
                self.done = True
                return
            free = self.laps.free()
            if free:
                self.laps.run(free)
            else:
                if position != here or here % self.per_epoch == 0:
                    batches = self._batches()
                self._step(next(batches))
                position = self.step
            self.seconds += time.perf_counter() - started
            yield None

    @property
    def late(self) -> bool:
        """Whether records are told while later steps run: on a GPU, where nobody looks in between."""
        return self.device.type == "cuda" and not self.rewindable

    def _record(self, started: float) -> Record:
        record, self._moved = self.recorder.tell(), False
        self.seconds += time.perf_counter() - started
        return record

    # -- pruning --------------------------------------------------------------------------------------

    def _prune_due(self) -> bool:
        """Carries out the prune events of this step; True if one of them is to be recorded."""
        marked, here = False, self.step
        for lane in [each for each in self.lanes if here == each.early]:
            self.state.criterion_memory["early"][lane.row] = self.state.theta[lane.row]
        due = [lane for lane in self.lanes if here in lane.plan and not lane.diverged]
        due = [lane for lane in due if not self._fell_too_far(lane, lane.plan[here])]
        if due:
            marked = self._carry_out_all(due)
        return marked

    def _carry_out_all(self, due: list[Lane]) -> bool:
        """Prunes these lanes; True if one of their events is to be recorded."""
        again = any(not self._continuous(lane) for lane in due)
        if self.rewindable and again and self.checkpoint is None:
            self.checkpoint = replace(self.snapshot(), told=self.step - 1)
        self._own_rows(due)
        for lane in due:
            try:
                self._carry_out(lane, lane.plan[self.step])
            except NonFiniteScores as error:  # the gradient of the scoring set, before any batch's
                self._give_up(lane, f"{error}, at step {self.step}", self.step)
        return any(lane.noted for lane in due)

    def _fell_too_far(self, lane: Lane, event: Event) -> bool:
        """Whether pruning so far cost more validation accuracy than is allowed; if so it ends here."""
        if event.tolerance is None:
            return False
        accuracy = self.observer.judge(self.view(lane))["val_accuracy"]
        lane.baseline = accuracy if lane.baseline is None else lane.baseline
        if lane.baseline - accuracy <= event.tolerance:
            return False
        lane.plan = {step: later for step, later in lane.plan.items() if step < self.step}
        lane.history.events.append((self.step, "tolerance", lane.baseline, accuracy))
        return True

    def _carry_out(self, lane: Lane, event: Event) -> None:
        before = self.sparsity(lane)
        if event.grow:
            assert lane.decision is not None
            keep, grown = self.pruner.regrowth(self.view(lane), lane.experiment, self.step, event)
            self.state.prune(lane.row, keep)
            self.state.grow(lane.row, grown)
        else:
            self._prune(lane, event.threshold)
        if event.rewind:
            self.state.rewind(lane.row)
        if lane.noted:
            self._recalibrate(lane)
            self._note(lane, before, decided=not event.grow)
        elif lane.before is None:
            lane.before = before

    def _own_rows(self, lanes: list[Lane]) -> None:
        """Gives lanes rows of their own where they shared one, and shadows where their schedules want one."""
        shared: list[int] = []
        if any(self._shares(lane) for lane in lanes):
            self.flush()  # what is still to be logged knows only the old rows
        for lane in filter(self._shares, lanes):
            shared.append(lane.row)
            lane.row = len(self.state.theta) + len(shared) - 1
        shadowed = [lane for lane in lanes if _shadowed(lane) and not self._has_shadow(lane)]
        if not shared and not shadowed:
            return
        state = self.state.fork(shared)
        if self.gradient is not None:
            self.gradient = torch.cat([self.gradient, self.gradient[shared]])
        if shadowed and state.shadow is None:
            state.shadow = torch.zeros_like(state.theta[:, 0], dtype=torch.bool)
        for lane in shadowed:
            assert state.shadow is not None
            state.shadow[lane.row] = True
        self._load(state)

    def _shares(self, lane: Lane) -> bool:
        return any(other is not lane and other.row == lane.row for other in self.lanes)

    def _has_shadow(self, lane: Lane) -> bool:
        shadow = self.state.shadow
        return shadow is not None and lane.row < len(shadow) and bool(shadow[lane.row])

    def _prune(self, lane: Lane, threshold: float) -> None:
        view = self.view(lane)
        scale = self._scale(lane, view)
        lane.decision = self.pruner.decide(view, lane.experiment, self.step, threshold=threshold, scale=scale)
        self.state.prune(lane.row, lane.decision.keep, lane.decision.fill)

    def _recalibrate(self, lane: Lane) -> None:
        """Takes a lane's running statistics anew; before the first step there are none to take."""
        if self.step:
            for name, taken in self.pruner.recalibrated(self.view(lane), lane.experiment).items():
                self.state.buffers[name][lane.row] = taken

    def _note(self, lane: Lane, before: float, *, decided: bool = True) -> None:
        lane.history.events.append((self.step, "prune", before, self.sparsity(lane)))
        if decided and lane.decision is not None:
            named = zip(lane.decision.layers, lane.decision.cutoffs, strict=True)
            lane.history.cutoffs += [(self.step, layer.name, cutoff) for layer, cutoff in named]
            lane.history.histograms += metrics.score_rows(self.step, lane.decision)

    def _settle(self) -> None:
        """Notes events that are too many to be noted one by one, as a record is to come."""
        for lane in self.lanes:
            if lane.before is not None and not lane.diverged:
                self._recalibrate(lane)
                self._note(lane, lane.before)
            lane.before = None

    def _scale(self, lane: Lane, view: LaneView) -> list[float]:
        """A continuous schedule's statistics, taken once: as weights fall they would erode."""
        pruning = lane.experiment.pruning
        assert pruning is not None
        if _schedule(pruning).traits.continuous and pruning.unit in ("std", "mean") and not lane.scale:
            lane.scale = self.pruner.scale(view, lane.experiment, self.step)
        return lane.scale

    # -- steering -------------------------------------------------------------------------------------

    def steer(self, changes: Mapping[str, float]) -> None:
        """Moves sliders of every lane between two steps; each move is an event of the run."""
        for name in changes:
            if name not in LIVE:
                raise ValueError(registry.unknown("slider", name, LIVE))
        for lane in self.lanes:
            moves = {n: v for n, v in changes.items() if _value(lane.experiment, n) not in (None, v)}
            old = {name: _value(lane.experiment, name) for name in moves}
            lane.experiment = lane.experiment.replace(moves)
            lane.steered = lane.steered or bool(moves)
            lane.history.events += [(self.step, n.split(".")[-1], old[n], float(v)) for n, v in moves.items()]
            if "pruning.threshold" in moves:
                self._plan_anew(lane)
        self.stepper.set_rates(self._rates(self.state))

    def _plan_anew(self, lane: Lane) -> None:
        """Events to come take the threshold that was moved; where there is none, there is one more."""
        pruning = lane.experiment.pruning
        assert pruning is not None
        lane.plan = self.plan(pruning)
        if self.step >= max(lane.plan):
            lane.plan[self.step + 1] = Event(self.step + 1, pruning.threshold)

    @property
    def continuous(self) -> bool:
        """Whether a threshold moved in the first lane acts from the next step on."""
        return self._continuous(self.lanes[0])

    @property
    def pruned(self) -> bool:
        """Whether the first lane has had a prune event."""
        return any(what == "prune" for _, what, *_ in self.lanes[0].history.events)

    def _continuous(self, lane: Lane) -> bool:
        pruning = lane.experiment.pruning
        return pruning is not None and bool(_schedule(pruning).traits.continuous)

    def first_event(self, pruning: Pruning) -> int | None:
        """The step of a pruning's first event; None where it has none."""
        return min(self.plan(pruning), default=None)

    def replan(self, experiment: Experiment) -> None:
        """Gives the first lane another pruning whose events are all still to come."""
        lane, pruning = self.lanes[0], experiment.pruning
        lane.experiment, lane.plan, lane.early = experiment, self.plan(pruning), self.early_step(pruning)

    def source(self, point: Checkpoint | None = None) -> tuple[LaneView, int]:
        """The first lane as a new threshold would find it: just before its prune event, or as it is.

        Now, or as that was at a point of the run.
        """
        found = (self.checkpoint if point is None else point.earlier) or point
        return (self.view(self.lanes[0]), self.step) if found is None else (found.view(), found.step)

    def preview(self, experiment: Experiment) -> tuple[LaneView, PruneDecision]:
        """What the first lane would be under this pruning: its checkpoint, or its present weights, masked."""
        assert experiment.pruning is not None
        view, step = self.source()
        decision = self.pruner.decide(view, experiment, step)
        fallen = torch.where(decision.keep, torch.nan, view.row)
        pruned = LaneView(
            decision.apply_to_row(view.row), decision.keep.to(view.row.dtype), fallen, buffers=view.buffers
        )
        if step:
            pruned = replace(pruned, buffers=self.pruner.recalibrated(pruned, experiment))
        return pruned, decision

    def restore(self, experiment: Experiment) -> None:
        """Goes back to just before the first prune event, with another pruning for the first lane.

        A learning rate or clip norm that was not in force there acts from there on, as a slider move.
        """
        point = self.checkpoint
        assert point is not None
        self.return_to(replace(point, seconds=self.seconds))  # what was spent is spent
        self.checkpoint = point
        self.replan(point.lanes[0].experiment.replace(pruning=experiment.pruning))
        self.steer({n: v for n in ("lr", "clipping.max_norm") if (v := _value(experiment, n)) is not None})

    def snapshot(self) -> Checkpoint:
        """All there is now, to return to; what comes later does not show in it."""
        return Checkpoint(
            step=self.step,
            told=self._told,
            done=self.done,
            state=self.state.clone(),
            gradient=self.gradient,
            lanes=[lane.copy() for lane in self.lanes],
            log=self.flush().copy(),
            recorded=self.recorder.recorded,
            seconds=self.seconds,
            compiled=self.laps.compiled,
            earlier=self.checkpoint,
        )

    def return_to(self, point: Checkpoint) -> None:
        """Goes back to a snapshot of this run, or of one whose lanes train the same network."""
        self.step, self.done, self.seconds = point.step, point.done, point.seconds
        self._told, self._moved, self.checkpoint = point.told, True, point.earlier
        self.recorder.forget()
        self.laps.compiled = point.compiled
        self.log, self.gradient, self.recorder.recorded = point.log.copy(), point.gradient, point.recorded
        for lane, then in zip(self.lanes, point.lanes, strict=True):
            vars(lane).update(vars(then.copy()))
        self._load(point.state.clone())


def _value(experiment: Experiment, name: str) -> float | None:
    """A slider's value by its dotted name; None where the experiment has no such part."""
    part, _, field_ = name.rpartition(".")
    node = getattr(experiment, part) if part else experiment
    value: float | None = getattr(node, field_, None)
    return value


def _schedule(pruning: Pruning) -> registry.Method[ScheduleTraits]:
    return registry.get("schedule", pruning.schedule)


def _shadowed(lane: Lane) -> bool:
    pruning = lane.experiment.pruning
    return pruning is not None and bool(_schedule(pruning).traits.shadow)
