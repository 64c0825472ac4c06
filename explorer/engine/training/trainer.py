"""The only loop and the only clock: trains a stack, prunes it when it is time, and yields records.

Shapes: L lanes, P parameters.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from explorer.engine.execution.executor import Chunk, StepExecutor
from explorer.engine.execution.interrupts import defer_sigint
from explorer.engine.execution.setup import Setup
from explorer.engine.network.forward_backward import evaluate
from explorer.engine.network.state import LaneView, State, StepHyperparameters
from explorer.engine.pruning.pruner import PruneDecision, Pruner
from explorer.engine.pruning.scoring import NonFiniteScores
from explorer.engine.training.append_log import StepLog
from explorer.engine.training.lanes import Checkpoint, Lane, check_stack
from explorer.engine.training.metrics import CHECKED, Observer
from explorer.engine.training.prune_events import PruneEvents
from explorer.engine.training.recorder import Record, Recorder
from explorer.engine.training.steering import slider_value, steer
from explorer.engine.training.timetable import Timetable, rewind_epoch, tracks_movement
from explorer.experiment import Experiment, Pruning


class Trainer:
    """Trains experiments that share model, batch size, loss, optimizer and length, as rows of one matrix.

    Lanes that differ only in pruning share one row until the first prune event of either: the dense twin
    costs nothing before it. Whoever holds `run()` may steer, preview or restore between two items.

    Args:
        experiments: one a lane.
        device: "auto", "cpu" or "cuda".
        dtype: of all numbers.
        together: has all rows in one product, as `Setup` says; None for what is best on the device.
    """

    rewindable = True  # whether somebody may go back: to the first prune event, or to look at a record

    def __init__(
        self,
        experiments: Sequence[Experiment],
        device: str = "auto",
        dtype: torch.dtype = torch.float32,
        *,
        together: bool | None = None,
    ) -> None:
        check_stack(experiments)
        self.setup = Setup.of(experiments[0], device, dtype, together=together)
        self.device, self.dtype, self.network = self.setup.device, dtype, self.setup.network
        self.split, self.per_epoch, self.total = self.setup.split, self.setup.per_epoch, self.setup.total
        self.timetable = Timetable(self.per_epoch, self.setup.epochs)
        self.pruner = Pruner(self.network, self.split.train, dtype, self.setup.loss.traits.value)
        self.observer = Observer(
            self.network, self.setup.inputs(self.split.validation), self.setup.loss.function
        )
        self.events = PruneEvents(self.pruner, self.observer)
        self.executor = StepExecutor(self.setup)
        self.recorder = Recorder(self.observer, self.per_epoch, self.setup.batch_images)
        self.step, self.done, self.seconds = 0, False, 0.0
        self.checkpoint: Checkpoint | None = None  # just before the first prune event
        self.gradient: Tensor | None = None  # of the step before a record, masked but not clipped, [L, P]
        self._moved = False  # the run went back while a record was looked at
        self._handled_step = -1  # the last step whose events and record are behind it
        keys = [experiment.dense().hash for experiment in experiments]
        rows = list(dict.fromkeys(keys))
        self.lanes = [
            self._lane(experiment, rows.index(key)) for experiment, key in zip(experiments, keys, strict=True)
        ]
        seeds = [experiments[keys.index(key)].seed for key in rows]
        movement = any(tracks_movement(experiment.pruning) for experiment in experiments)
        early = any(rewind_epoch(experiment.pruning) is not None for experiment in experiments)
        self._load(self.setup.new_state(seeds, movement=movement, early=early))
        for lane in self.lanes:
            if lane.experiment.pruning:  # one that does not fit the network is refused before it trains
                self.pruner.check(self.state.view(lane.row), lane.experiment)

    def _lane(self, experiment: Experiment, row: int) -> Lane:
        pruning, timetable = experiment.pruning, self.timetable
        return Lane(experiment, row, timetable.events(pruning), timetable.rewind_step(pruning))

    def _load(self, state: State) -> None:
        self.state = state
        self.executor.load(state, self._by_row(), {lane.row for lane in self.lanes if lane.diverged})

    def _by_row(self) -> list[Experiment]:
        """Return the experiment of one lane that trains in each row."""
        by_row = {lane.row: lane.experiment for lane in self.lanes}
        return [by_row[row] for row in range(len(self.state.theta))]

    # -- the loop -------------------------------------------------------------------------------------

    def run(self) -> Iterator[Record | None]:
        """Train to the end; yield a Record where one falls, and None after every other step or few steps.

        Whoever holds the iterator may steer, preview or restore between two items, or simply not go on;
        where records come late, only the last.
        """
        while not self.done:
            started, here = time.perf_counter(), self.step
            fresh, self._handled_step = here > self._handled_step, here
            recorded = self.timetable.is_recorded(here, self.lanes)
            if self.recorder.is_ready(due=fresh and recorded):
                yield self._record(started)
                started = time.perf_counter()
            if fresh and (self._prune_due() or here in self.record_steps):
                self.events.note_pending(self.state, self.lanes, here)
                self.recorder.request(here, self.lanes, self.executor, self.gradient)
                if not self.records_async:
                    yield self._record(started)
                    started = time.perf_counter()
                    if self._moved:
                        continue  # the run went back to its checkpoint, perhaps to this very step
            if here >= self.total or all(lane.diverged for lane in self.lanes):
                if self.recorder.pending:
                    yield self._record(started)
                self._finish()
                return
            self._advance()
            self.seconds += time.perf_counter() - started
            yield None

    @property
    def records_async(self) -> bool:
        """Whether records are completed while later steps run: on a GPU, where nobody looks in between."""
        return self.device.type == "cuda" and not self.rewindable

    @property
    def record_steps(self) -> frozenset[int]:
        """The steps that every run has a record of."""
        return self.timetable.record_steps

    def _advance(self) -> None:
        with defer_sigint():
            stop = self.timetable.next_stop(self.step, self.lanes)
            keep = self.timetable.is_recorded(stop, self.lanes)
            chunk = self.executor.advance(self.step, stop, keep_gradient=keep)
            self._take(chunk)

    def _take(self, chunk: Chunk) -> None:
        """Take down a chunk of steps that were done."""
        for row, steps in chunk.diverged.items():
            names = ", ".join(self.executor.nonfinite_parameters(row)[:1]) or "all layers together"
            for lane in self.lanes:
                if lane.row == row and not lane.diverged:
                    at = self.step + steps
                    self._mark_diverged(lane, f"the gradient of {names} is not finite at step {at + 1}", at)
        self.gradient = self.gradient if chunk.gradient is None else chunk.gradient
        self.recorder.append(chunk.measured)
        self.step += len(chunk.measured)

    def _record(self, started: float) -> Record:
        record, self._moved = self.complete_record(), False
        self.seconds += time.perf_counter() - started
        return record

    def complete_record(self) -> Record:
        """Take down the record that was requested, and mark the lanes that have diverged on the GPU."""
        record, diverged = self.recorder.complete(self.lanes, keep_answers=self.rewindable)
        self._mark_on_device(diverged, record.step)
        return record

    def _mark_on_device(self, lanes: Sequence[Lane], at: int) -> None:
        """Mark lanes whose rows stopped on the GPU by a step, with the step at which they did."""
        for lane in lanes:
            place = [each is lane for each in self.lanes].index(True)
            broken = np.flatnonzero(~np.isfinite(self.flush().series(place, 1)))
            step = int(broken[0]) if len(broken) else at
            self._mark_diverged(lane, f"the gradient is not finite at step {step + 1}", at)

    def _mark_diverged(self, lane: Lane, what: str, at: int) -> None:
        """Keep a lane's last good weights, and say what to try."""
        lane.last_good_row = self.state.theta[lane.row].clone()
        lane.last_good_buffers = self.pruner.recalibrated(self.state.view(lane.row), lane.experiment)
        lane.diverged = f"{what} (epoch {at / self.per_epoch:.2f}): {lane.advice()}"

    def _finish(self) -> None:
        if self.state.diverged is not None:
            stopped = self.state.diverged.tolist()
            lost = [lane for lane in self.lanes if stopped[lane.row] and not lane.diverged]
            self._mark_on_device(lost, self.step)
        measured = self.executor.evaluate(self.state.effective_weights(), self.split.test).tolist()
        epoch = self.step / self.per_epoch
        for lane in self.lanes:
            _, accuracy = measured[lane.row]
            if lane.diverged:
                view, loss = self.view(lane), self.setup.loss.function
                test = self.setup.inputs(self.split.test)
                _, accuracy = evaluate(self.network, view.row, *test, loss, buffers=view.buffers)
            lane.history.history.append((self.step, epoch, "test_accuracy", None, accuracy))
        self._check_modules()
        self.done = True

    def _check_modules(self) -> None:
        """Hold what was trained to what the models themselves answer."""
        few, lanes = self.split.test[slice(CHECKED)], [lane for lane in self.lanes if not lane.diverged]
        measured = self.executor.evaluate(self.state.effective_weights(), few)[:, 1].tolist() if lanes else []
        for lane in lanes:
            images = self.setup.inputs(few)
            self.observer.check_module(lane.experiment, self.view(lane), images, measured[lane.row])

    # -- looking --------------------------------------------------------------------------------------

    def view(self, lane: Lane) -> LaneView:
        """Return a lane's present weights; the last good ones where it diverged."""
        return lane.view(self.state)

    def sparsity(self, lane: Lane) -> float:
        """Return the share of a lane's prunable weights that is pruned."""
        return self.observer.sparsity(self.view(lane))

    def flush(self) -> StepLog:
        """Return what each step so far measured."""
        return self.recorder.flush(self.lanes)

    # -- pruning --------------------------------------------------------------------------------------

    def _prune_due(self) -> bool:
        """Carry out the prune events of this step; return True if one of them is to be recorded."""
        here = self.step
        for lane in self.lanes:
            if here == lane.rewind_step:
                self.state.criterion_memory["early"][lane.row] = self.state.theta[lane.row]
        due = [lane for lane in self.lanes if here in lane.plan and not lane.diverged]
        due = [lane for lane in due if not self.events.exceeds_tolerance(self.state, lane, here)]
        if not due:
            return False
        if self.rewindable and self.checkpoint is None and not all(lane.continuous for lane in due):
            self.checkpoint = replace(self.snapshot(), handled_step=here - 1)
        self._fork_shared_rows(due)
        for lane in due:
            try:
                self.events.apply(self.state, lane, here)
            except NonFiniteScores as error:  # the gradient of the scoring set, before any batch's
                self._mark_diverged(lane, f"{error}, at step {here}", here)
        return any(lane.records_each_event for lane in due)

    def _fork_shared_rows(self, lanes: list[Lane]) -> None:
        """Give lanes rows of their own where they shared one, and shadows where their schedules want one."""
        shared: list[int] = []
        if any(self._shares(lane) for lane in lanes):
            self.flush()  # what is still to be logged knows only the old rows
        for lane in filter(self._shares, lanes):
            shared.append(lane.row)
            lane.row = len(self.state.theta) + len(shared) - 1
        shadowed = [each for each in lanes if each.shadowed and not self._has_shadow(each)]
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

    def _has_shadow(self, lane: Lane) -> bool:
        shadow = self.state.shadow
        return shadow is not None and lane.row < len(shadow) and bool(shadow[lane.row])

    def _shares(self, lane: Lane) -> bool:
        return any(other is not lane and other.row == lane.row for other in self.lanes)

    # -- steering -------------------------------------------------------------------------------------

    def steer(self, changes: Mapping[str, float]) -> None:
        """Move sliders of every lane between two steps; each move is an event of the run."""
        for lane in self.lanes:
            steer(lane, changes, self.step, self.timetable)
        self.executor.stepper.set_rates(StepHyperparameters.of(self._by_row(), self.state.theta))

    def remembers(self, pruning: Pruning | None) -> bool:
        """Whether all that a pruning asks for has been kept since the first step."""
        epoch = rewind_epoch(pruning)
        known = epoch is None or epoch == rewind_epoch(self.lanes[0].experiment.pruning)
        return known and ("movement" in self.state.criterion_memory or not tracks_movement(pruning))

    def replan(self, experiment: Experiment) -> None:
        """Give the first lane another pruning whose events are all still to come."""
        lane, planned = self.lanes[0], self._lane(experiment, 0)
        lane.experiment, lane.plan, lane.rewind_step = experiment, planned.plan, planned.rewind_step

    def prune_base(self, point: Checkpoint | None = None) -> tuple[LaneView, int]:
        """Return the first lane as a new threshold would find it: just before its prune event, or as it is.

        Now, or as that was at a point of the run.
        """
        base = (self.checkpoint if point is None else point.earlier) or point
        return (self.view(self.lanes[0]), self.step) if base is None else (base.view(), base.step)

    def preview(self, experiment: Experiment) -> tuple[LaneView, PruneDecision]:
        """Return what the first lane would be under this pruning: its checkpoint, or itself, masked."""
        assert experiment.pruning is not None
        view, step = self.prune_base()
        decision = self.pruner.decide(view, experiment, step)
        pruned_values = torch.where(decision.keep, torch.nan, view.row)
        mask = decision.keep.to(view.row.dtype)
        pruned = LaneView(decision.apply_to_row(view.row), mask, pruned_values, buffers=view.buffers)
        if step:
            pruned = replace(pruned, buffers=self.pruner.recalibrated(pruned, experiment))
        return pruned, decision

    def rewind_and_prune(self, experiment: Experiment) -> None:
        """Go back to just before the first prune event, with another pruning for the first lane.

        A learning rate or clip norm that was not in force there acts from there on, as a slider move.
        """
        point = self.checkpoint
        assert point is not None
        self.return_to(replace(point, seconds=self.seconds))  # what was spent is spent
        self.checkpoint = point
        self.replan(point.lanes[0].experiment.replace(pruning=experiment.pruning))
        self.steer(
            {n: v for n in ("lr", "clipping.max_norm") if (v := slider_value(experiment, n)) is not None}
        )

    def snapshot(self) -> Checkpoint:
        """Return all there is now, to return to; what comes later does not show in it."""
        return Checkpoint(
            step=self.step,
            handled_step=self._handled_step,
            done=self.done,
            state=self.state.clone(),
            gradient=self.gradient,
            lanes=[lane.copy() for lane in self.lanes],
            log=self.flush().copy(),
            recorded=self.recorder.recorded,
            seconds=self.seconds,
            compiled=self.executor.compiled,
            earlier=self.checkpoint,
        )

    def return_to(self, point: Checkpoint) -> None:
        """Go back to a snapshot of this run, or of one whose lanes train the same network."""
        self.step, self.done, self.seconds = point.step, point.done, point.seconds
        self._handled_step, self._moved, self.checkpoint = point.handled_step, True, point.earlier
        self.recorder.restore(point.log, point.recorded)
        self.executor.compiled, self.gradient = point.compiled, point.gradient
        for lane, then in zip(self.lanes, point.lanes, strict=True):
            vars(lane).update(vars(then.copy()))
        self._load(point.state.clone())
