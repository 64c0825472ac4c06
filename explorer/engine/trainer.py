"""The only loop and the only clock: trains a stack, prunes it when it is time, and yields records."""

import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from explorer import registry
from explorer.engine import data, observe
from explorer.engine.lanes import Checkpoint, Lane
from explorer.engine.pruner import Verdict
from explorer.engine.scoring import NotFinite
from explorer.engine.stack import Record, Stack
from explorer.engine.step import Rates, View
from explorer.experiment import Experiment, Pruning

LIVE = {
    "lr": "lr",
    "clipping.max_norm": "max_norm",
    "pruning.threshold": "threshold",
}  # what a slider may move


class Trainer(Stack):
    """Trains a stack to its end; whoever holds `run()` may steer, preview or restore between two items."""

    checkpoint: Checkpoint | None = None
    _moved = False  # the run went back while a record was looked at

    # -- the loop -------------------------------------------------------------------------------------

    def run(self) -> Iterator[Record | None]:
        """Trains to the end; yields a Record where one falls, and None after every other step.

        Whoever holds the iterator may steer, preview or restore between two items, or simply not go on.
        """
        batches, position = self._batches(), self.step
        while not self.done:
            started, here = time.perf_counter(), self.step
            marked = self._prune_due()
            if marked or here in self.record_steps:
                record = self._record()
                self.seconds += time.perf_counter() - started
                self._moved = False
                yield record
                started = time.perf_counter()
                if self._moved:
                    continue  # the run went back to its checkpoint, perhaps to this very step
            if here >= self.total or all(lane.diverged for lane in self.lanes):
                self._finish()
                self.done = True
                return
            if position != here or here % self.per_epoch == 0:
                batches = self._batches()
            self._step(next(batches))
            position = self.step
            self.seconds += time.perf_counter() - started
            yield None

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, skip = divmod(self.step, self.per_epoch)
        first = self.lanes[0].experiment
        return data.batches(self.split.train, first, epoch, skip=skip, dtype=self.dtype)

    # -- pruning --------------------------------------------------------------------------------------

    def _prune_due(self) -> bool:
        """Carries out the prune events of this step; True if one of them is to be recorded."""
        marked = False
        for lane in self.lanes:
            share = lane.plan.get(self.step)
            if share is None or lane.diverged:
                continue
            pruning = lane.experiment.pruning
            assert pruning is not None
            continuous = _schedule(pruning).traits["continuous"]
            if self.checkpoint is None and not continuous:
                lanes = [each.copy() for each in self.lanes]
                grad = self.stepper.grad.clone()
                self.checkpoint = Checkpoint(self.step, self.state.clone(), grad, lanes, self._recorded)
            try:
                self._prune(lane, share * pruning.threshold, note=not continuous)
            except NotFinite as error:  # the gradient of the scoring set, before any batch's
                self._give_up(lane, f"{error}, at step {self.step}")
            marked |= not continuous
        return marked

    def _prune(self, lane: Lane, threshold: float, *, note: bool) -> None:
        if any(other is not lane and other.row == lane.row for other in self.lanes):
            self.flush()  # what is still to be logged knows only the old rows
            shared, lane.row = lane.row, len(self.state.theta)
            grad = self.stepper.grad
            self._load(self.state.fork(shared), torch.cat([grad, grad[shared : shared + 1]]))
        before = self.sparsity(lane)
        view = self.view(lane)
        scale = self._scale(lane, view)
        lane.verdict = self.pruner.verdict(view, lane.experiment, self.step, threshold=threshold, scale=scale)
        self.state.prune(lane.row, lane.verdict.keep)
        if note:
            lane.history.events.append((self.step, "prune", before, self.sparsity(lane)))
            named = zip(lane.verdict.layers, lane.verdict.cutoffs, strict=True)
            lane.history.cutoffs += [(self.step, layer.name, cutoff) for layer, cutoff in named]
            lane.history.histograms += observe.score_rows(self.step, lane.verdict)

    def _scale(self, lane: Lane, view: View) -> list[float]:
        """A continuous schedule's statistics, taken once: as weights fall they would erode."""
        pruning = lane.experiment.pruning
        assert pruning is not None
        if _schedule(pruning).traits["continuous"] and pruning.unit in ("std", "mean") and not lane.scale:
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
            if "pruning.threshold" in moves and lane.verdict is not None and self.step >= max(lane.plan):
                lane.plan[self.step + 1] = 1.0  # all events are over: one more, with the next step
        by_row = {lane.row: lane.experiment for lane in self.lanes}
        self.rates = Rates.of([by_row[row] for row in range(len(self.state.theta))], self.state.theta)

    @property
    def continuous(self) -> bool:
        """Whether the first lane's schedule prunes all the while."""
        pruning = self.lanes[0].experiment.pruning
        return pruning is not None and bool(_schedule(pruning).traits["continuous"])

    def first_event(self, pruning: Pruning) -> int | None:
        """The step of a pruning's first event; None where it has none."""
        return min(self.plan(pruning), default=None)

    def replan(self, experiment: Experiment) -> None:
        """Gives the first lane another pruning whose events are all still to come."""
        self.lanes[0].experiment, self.lanes[0].plan = experiment, self.plan(experiment.pruning)

    def source(self) -> tuple[View, int]:
        """The first lane as a new threshold would find it: just before its prune event, or as it is."""
        if self.checkpoint is None:
            return self.view(self.lanes[0]), self.step
        return self.checkpoint.state.view(self.checkpoint.lanes[0].row), self.checkpoint.step

    def preview(self, experiment: Experiment) -> tuple[View, Verdict]:
        """What the first lane would be under this pruning: its checkpoint, or its present weights, masked."""
        assert experiment.pruning is not None
        view, step = self.source()
        verdict = self.pruner.verdict(view, experiment, step)
        fallen = torch.where(verdict.keep, torch.nan, view.row)
        return View(view.row * verdict.keep, verdict.keep.to(view.row.dtype), fallen), verdict

    def restore(self, experiment: Experiment) -> None:
        """Goes back to just before the first prune event, with another pruning for the first lane.

        A learning rate or clip norm that was not in force there acts from there on, as a slider move.
        """
        point = self.checkpoint
        assert point is not None
        self.step, self.done, self._moved = point.step, False, True
        del self.flush()[self.step :]
        self._recorded = point.recorded
        for lane, then in zip(self.lanes, point.lanes, strict=True):
            vars(lane).update(vars(then.copy()))
        self.replan(point.lanes[0].experiment.replace(pruning=experiment.pruning))
        self._load(point.state.clone(), point.grad)
        self.steer({n: v for n in ("lr", "clipping.max_norm") if (v := _value(experiment, n)) is not None})


def _value(experiment: Experiment, name: str) -> float | None:
    """A slider's value by its dotted name; None where the experiment has no such part."""
    part, _, field_ = name.rpartition(".")
    node = getattr(experiment, part) if part else experiment
    value: float | None = getattr(node, field_, None)
    return value


def _schedule(pruning: Pruning) -> registry.Method:
    return registry.get("schedule", pruning.schedule)
