"""The only loop and the only clock: trains the lanes of a stack and yields records."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import Tensor

from explorer import registry
from explorer.engine import data, models, observe
from explorer.engine.device import pick_device
from explorer.engine.lanes import Checkpoint, Lane, check_stack
from explorer.engine.network import Network, evaluate
from explorer.engine.observe import Observer
from explorer.engine.pruner import Pruner, Verdict
from explorer.engine.scoring import NotFinite
from explorer.engine.step import Rates, State, Stepper, View
from explorer.experiment import DEFAULT_END, Experiment, Pruning

LIVE = {
    "lr": "lr",
    "clipping.max_norm": "max_norm",
    "pruning.threshold": "threshold",
}  # what a slider may move


@dataclass(frozen=True)
class Record:
    """What was recorded at a step: for each lane its new metrics by name, whole-model ones only."""

    step: int
    epoch: float
    lanes: list[dict[str, float]]


class Trainer:
    """Trains a stack of experiments that share model, batch size, loss, optimizer and clip rule.

    Lanes that differ only in pruning share one row until the first prune event of either: the dense twin
    costs nothing before it.
    """

    def __init__(
        self, experiments: Sequence[Experiment], device: str = "auto", dtype: torch.dtype = torch.float32
    ) -> None:
        first = experiments[0]
        check_stack(experiments)
        self.device, self.dtype = pick_device(device), dtype
        self.network = Network(models.build(first))
        self.split = data.split(first.dataset, self.device, first.validation)
        self.pruner = Pruner(self.network, self.split.train, dtype)
        self.per_epoch = math.ceil(len(self.split.train) / first.batch_size)
        self.total = self.per_epoch * first.epochs
        self.record_steps = {round(i * self.per_epoch / 4) for i in range(4 * first.epochs + 1)}
        self.loss = registry.get("loss", first.loss)
        validation = self._prepare(self.split.validation, first.normalise)
        self.observer = Observer(self.network, validation, self.loss.function)
        keys = [e.dense().hash for e in experiments]
        unique = list(dict.fromkeys(keys))
        self.lanes = [
            Lane(e, unique.index(k), self._plan(e.pruning)) for e, k in zip(experiments, keys, strict=True)
        ]
        self.step, self.done, self.seconds = 0, False, 0.0
        self._moved = False  # the run went back while a record was looked at
        self.checkpoint: Checkpoint | None = None
        self.log: list[list[list[float]]] = []
        self._tail: list[tuple[Tensor, ...]] = []  # the steps that are not in the log yet
        self._recorded = 0  # the length of the log at the last record
        theta = torch.stack([self._initial(experiments[keys.index(k)].seed) for k in unique])
        self._load(State(theta, traces=self._traces(theta)))

    # -- set-up ---------------------------------------------------------------------------------------

    def _initial(self, seed: int) -> Tensor:
        module = models.initialise(models.build(self.lanes[0].experiment), data.generator(seed, 0))
        return self.network.layout.row(module).to(self.device, self.dtype)

    def _traces(self, theta: Tensor) -> dict[str, Tensor]:
        """What criteria may ask to be remembered from the first step on; movement only where one does."""
        moves = any(_movement(lane.experiment.pruning) for lane in self.lanes)
        return {"initial_weight": theta.clone(), **({"movement": torch.zeros_like(theta)} if moves else {})}

    def remembers(self, pruning: Pruning | None) -> bool:
        """Whether all that a pruning's criterion asks for has been kept since the first step."""
        return "movement" in self.state.traces or not _movement(pruning)

    def _prepare(self, images: data.Images, normalise: bool) -> tuple[Tensor, Tensor]:
        return data.normalised(images.pixels, normalise, self.dtype), images.labels

    def _plan(self, pruning: Pruning | None) -> dict[int, float]:
        if pruning is None:
            return {}
        schedule = _schedule(pruning)
        begin = self._at(pruning.begin_epoch, schedule.traits["begin"])
        end = max(begin, self._at(pruning.end_epoch, DEFAULT_END))
        spacing = registry.get("unit", pruning.unit).traits["every"]
        return dict(schedule(begin, end, spacing, **pruning.own("schedule")))

    def _at(self, epoch: float | None, default: float) -> int:
        """The step at which an epoch, or a default share of the whole, is reached."""
        return round(default * self.total if epoch is None else epoch * self.per_epoch)

    def _load(self, state: State, grad: Tensor | None = None) -> None:
        first = self.lanes[0].experiment
        rule = registry.get("rule", first.clipping.rule) if first.clipping else None
        self.state = state
        optimizer = registry.get("optimizer", first.optimizer)
        self.stepper = Stepper(self.network, state, self.loss.function, optimizer, rule)
        if grad is not None:
            self.stepper.grad.copy_(grad)
        by_row = {lane.row: lane.experiment for lane in self.lanes}
        self.rates = Rates.of([by_row[row] for row in range(len(state.theta))], state.theta)

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

    def _step(self, batch: tuple[Tensor, Tensor]) -> None:
        losses, norms = self.stepper.backward(batch, self.rates)
        if not torch.isfinite(norms).all():
            self._rescue(norms)
        bound, clipped = self.stepper.update(norms, self.rates)
        self._tail.append((losses, norms, clipped, bound))
        self.step += 1

    def _rescue(self, norms: Tensor) -> None:
        """Keeps the last good weights of lanes whose gradient is not finite, and says what to try."""
        for lane in self.lanes:
            if not lane.diverged and not torch.isfinite(norms[lane.row]):
                grad = self.stepper.grad[lane.row : lane.row + 1]
                broken = [
                    s.name for s in self.network.layout.slots.values() if not s.view(grad).isfinite().all()
                ]
                where = broken[0] if broken else "all layers together"
                self._give_up(lane, f"the gradient of {where} is not finite at step {self.step + 1}")

    def _give_up(self, lane: Lane, what: str) -> None:
        lane.rescued = self.state.theta[lane.row].clone()
        lane.diverged = (
            f"{what} (epoch {self.step / self.per_epoch:.2f}): try a clip norm of 1, or a learning rate "
            f"below {lane.experiment.lr:g}"
        )

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

    def sparsity(self, lane: Lane) -> float:
        """The share of a lane's prunable weights that is pruned."""
        return self.observer.sparsity(self.view(lane))

    def view(self, lane: Lane) -> View:
        """A lane's present weights; the last good ones where it diverged."""
        view = self.state.view(lane.row)
        return view if lane.rescued is None else replace(view, row=lane.rescued)

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
        return min(self._plan(pruning), default=None)

    def replan(self, experiment: Experiment) -> None:
        """Gives the first lane another pruning whose events are all still to come."""
        self.lanes[0].experiment, self.lanes[0].plan = experiment, self._plan(experiment.pruning)

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

    # -- records --------------------------------------------------------------------------------------

    def _record(self) -> Record:
        epoch = self.step / self.per_epoch
        found = []
        judged: dict[int, dict[str, float]] = {}
        for i, lane in enumerate(self.lanes):
            view = self.view(lane)
            if lane.row not in judged:
                judged[lane.row] = {**self._since_record(i), **self.observer.judge(view)}
            values = {**judged[lane.row], "sparsity": self.sparsity(lane), "lr": lane.experiment.lr}
            if not lane.diverged:
                grad = self.stepper.grad[lane.row] if len(self.log) > self._recorded else None
                layers = self.observer.layers(view, grad)
                rows = [(None, metric, value) for metric, value in values.items()] + layers
                lane.history.history += [(self.step, epoch, m, layer, value) for layer, m, value in rows]
                lane.history.histograms += self.observer.histograms(self.step, view)
            found.append(values)
        self._recorded = len(self.log)
        return Record(self.step, epoch, found)

    def flush(self) -> list[list[list[float]]]:
        """What each step so far measured: loss, norm, clipped norm and bound, each a list over the lanes."""
        if self._tail:
            rows = [lane.row for lane in self.lanes]
            columns = [torch.stack(column)[:, rows].double() for column in zip(*self._tail, strict=True)]
            self.log += torch.stack(columns, 1).tolist()
            self._tail.clear()
        return self.log

    def _since_record(self, lane: int) -> dict[str, float]:
        steps = self.flush()[self._recorded :]
        names = ("train_loss", "grad_norm", "clipped_grad_norm", "clip_rate")
        return {n: fmean(step[i][lane] for step in steps) for i, n in enumerate(names)} if steps else {}

    def _finish(self) -> None:
        images = self._prepare(self.split.test, self.lanes[0].experiment.normalise)
        for lane in self.lanes:
            _, accuracy = evaluate(self.network, self.view(lane).row, *images, self.loss.function)
            epoch = self.step / self.per_epoch
            lane.history.history.append((self.step, epoch, "test_accuracy", None, accuracy))


def _value(experiment: Experiment, name: str) -> float | None:
    """A slider's value by its dotted name; None where the experiment has no such part."""
    part, _, field_ = name.rpartition(".")
    node = getattr(experiment, part) if part else experiment
    value: float | None = getattr(node, field_, None)
    return value


def _movement(pruning: Pruning | None) -> bool:
    return pruning is not None and "movement" in registry.get("criterion", pruning.criterion).needs


def _schedule(pruning: Pruning) -> registry.Method:
    return registry.get("schedule", pruning.schedule)
