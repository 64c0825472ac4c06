"""A stack: the lanes that train side by side, one step of them, and what is recorded of it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from explorer import registry
from explorer.engine import data, models
from explorer.engine.dataset_info import check_sizes, steps_per_epoch
from explorer.engine.device import let_convolutions_follow, pick_device
from explorer.engine.lanes import Lane, check_stack
from explorer.engine.laps import Laps
from explorer.engine.ledger import Log
from explorer.engine.network import Network, evaluate
from explorer.engine.observe import Observer
from explorer.engine.pruner import Pruner
from explorer.engine.recorder import Recorder
from explorer.engine.state import Rates, State, View
from explorer.engine.step import Stepper
from explorer.experiment import DEFAULT_END, Experiment, Pruning
from explorer.methods.schedules import Event

Batch = tuple[Tensor, Tensor]


class Stack:
    """Experiments that share model, batch size, loss, optimizer and length, as rows of one matrix.

    Lanes that differ only in pruning share one row until the first prune event of either: the dense twin
    costs nothing before it. `together` has all rows in one product, as is best on a GPU, instead of one
    after the other, as is best on a CPU.
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
        first = experiments[0]
        check_stack(experiments)
        check_sizes(first)
        self.device, self.dtype = pick_device(device), dtype
        if self.device.type == "cuda":
            let_convolutions_follow()
        self.together = self.device.type == "cuda" if together is None else together
        self.network = Network(models.build(first))
        models.check_data(self.network.module, first)
        self.split = models.asked(data.split(first.dataset, self.device, first.validation), first)
        self.pruner = Pruner(self.network, self.split.train, dtype)
        self.per_epoch = steps_per_epoch(first)
        self.total = self.per_epoch * first.epochs
        self.record_steps = {round(i * self.per_epoch / 4) for i in range(4 * first.epochs + 1)}
        self.loss = registry.get("loss", first.loss)
        self.decay = registry.get("lr_decay", first.lr_decay)
        keys = [e.dense().hash for e in experiments]
        unique = list(dict.fromkeys(keys))
        self.lanes = [
            Lane(e, unique.index(k), self.plan(e.pruning), self.early_step(e.pruning))
            for e, k in zip(experiments, keys, strict=True)
        ]
        self.observer = Observer(self.network, self.prepare(self.split.validation), self.loss.function)
        self.step, self.done, self.seconds = 0, False, 0.0
        self.log = Log()
        self.laps, self.recorder = Laps(self), Recorder(self)
        self.gradient: Tensor | None = None  # of the step before a record, masked but not clipped, [L, P]
        modules = [self._initial(experiments[keys.index(k)].seed) for k in unique]
        theta = torch.stack([self.network.layout.row(module) for module in modules])
        kept = [dict(module.named_buffers()) for module in modules]
        buffers = {name: torch.stack([each[name] for each in kept]) for name in kept[0]}
        self._load(State(theta, traces=self._traces(theta), buffers=buffers))
        for lane in self.lanes:
            if lane.experiment.pruning:  # one that does not fit the network is refused before it trains
                self.pruner.check(self.state.view(lane.row), lane.experiment.pruning)

    def _initial(self, seed: int) -> nn.Module:
        module = models.initialised(self.lanes[0].experiment, data.generator(seed, 0))
        return module.to(self.device, self.dtype)

    def _traces(self, theta: Tensor) -> dict[str, Tensor]:
        """What criteria may ask to be remembered from the first step on; movement only where one does."""
        moves = any(movement(lane.experiment.pruning) for lane in self.lanes)
        early = any(early_epoch(lane.experiment.pruning) is not None for lane in self.lanes)
        made = {"movement": torch.zeros_like(theta)} if moves else {}
        return {"initial_weight": theta.clone(), **made, **({"early": theta.clone()} if early else {})}

    def remembers(self, pruning: Pruning | None) -> bool:
        """Whether all that a pruning asks for has been kept since the first step."""
        epoch = early_epoch(pruning)
        known = epoch is None or epoch == early_epoch(self.lanes[0].experiment.pruning)
        return known and ("movement" in self.state.traces or not movement(pruning))

    def prepare(self, images: data.Images) -> tuple[Tensor, Tensor]:
        """Images as the network takes them, and their labels."""
        return images.inputs(self.lanes[0].experiment.normalise, self.dtype), images.labels

    def plan(self, pruning: Pruning | None) -> dict[int, Event]:
        """The events of a pruning by their step."""
        if pruning is None:
            return {}
        schedule = registry.get("schedule", pruning.schedule)
        room = int(schedule.traits["spans"])  # a step, where begin and end come to the same one
        begin = min(self._at(pruning.begin_epoch, schedule.traits["begin"]), self.total - room)
        end = max(begin + room, self._at(pruning.end_epoch, DEFAULT_END))
        events = schedule(begin, end, pruning.unit, pruning.threshold, **pruning.own("schedule"))
        return {event.step: event for event in events}

    def early_step(self, pruning: Pruning | None) -> int | None:
        """The step whose weights a schedule goes back to; None for schedules that never do."""
        epoch = early_epoch(pruning)
        return None if epoch is None else round(epoch * self.per_epoch)

    def _at(self, epoch: float | None, default: float) -> int:
        """The step at which an epoch, or a default share of the whole, is reached."""
        return round(default * self.total if epoch is None else epoch * self.per_epoch)

    def _load(self, state: State) -> None:
        first = self.lanes[0].experiment
        self.state, self.laps.program = state, None
        optimizer = registry.get("optimizer", first.optimizer)
        self.stepper = Stepper(
            self.network,
            state,
            loss=self.loss.function,
            optimizer=optimizer,
            clippings=[experiment.clipping for experiment in self._by_row(state)],
            rates=self._rates(state),
            steps=self.total,
            together=self.together,
        )
        self.stepper.stopped = {lane.row for lane in self.lanes if lane.diverged}
        self.seeds = [experiment.seed for experiment in self._by_row(state)]

    def keep(self, measured: Tensor) -> None:
        """Takes down what the next steps measured, [steps, measures, L]."""
        self.recorder.keep(measured)
        self.step += len(measured)

    def flush(self) -> Log:
        """What each step so far measured, as `Recorder.flush` has it."""
        return self.recorder.flush()

    def _by_row(self, state: State) -> list[Experiment]:
        """The experiment of one lane that trains in each row."""
        by_row = {lane.row: lane.experiment for lane in self.lanes}
        return [by_row[row] for row in range(len(state.theta))]

    def _rates(self, state: State) -> Rates:
        return Rates.of(self._by_row(state), state.theta)

    def _batches(self) -> Iterator[dict[int, Batch]]:
        """The batches of the epoch from this step on, for each seed the one in its own order."""
        epoch, skip = divmod(self.step, self.per_epoch)
        first = self.lanes[0].experiment
        orders = {
            seed: data.batches(self.split.train, first, epoch, skip=skip, dtype=self.dtype, indices=indices)
            for seed, indices in self.laps.orders(epoch).items()
        }
        for batches in zip(*orders.values(), strict=True):
            yield dict(zip(orders, batches, strict=True))

    def _parts(self, batches: Mapping[int, Batch]) -> list[Batch]:
        """The batch of each part of the stepper."""
        rows = [batches[seed] for seed in self.seeds]
        if not self.together:
            return rows
        if len(batches) == 1:
            return rows[:1]
        return [(torch.stack([x for x, _ in rows]), torch.stack([labels for _, labels in rows]))]

    def _step(self, batches: Mapping[int, Batch]) -> None:
        keep = torch.empty_like(self.state.theta) if self.recorded_at(self.step + 1) else None
        measured = self.stepper.step(
            self._parts(batches),
            [(seed, 3, self.step) for seed in (self.seeds[:1] if self.together else self.seeds)],
            decay=self.decay(self.step / self.total),
            keep=keep,
            on_broken=self.rescue,
        )
        self.gradient = self.gradient if keep is None else keep  # masked, but not clipped
        if not isinstance(measured, Tensor):
            measured = torch.tensor(measured, dtype=torch.double)
        self.recorder.keep(measured.unsqueeze(0))
        self.step += 1

    def recorded_at(self, step: int) -> bool:
        """Whether a step may have a record, so that the gradient before it is kept."""
        return step in self.record_steps or any(step in lane.plan for lane in self.lanes)

    def rescue(self, row: int) -> None:
        """Keeps the last good weights of lanes whose gradient is not finite, and says what to try."""
        grad = self.stepper.grad[row : row + 1]
        broken = [s.name for s in self.network.layout.slots.values() if not s.view(grad).isfinite().all()]
        where = broken[0] if broken else "all layers together"
        for lane in self.lanes:
            if lane.row == row and not lane.diverged:
                what = f"the gradient of {where} is not finite at step {self.step + 1}"
                self._give_up(lane, what, self.step)

    def look_for_frozen(self, frozen: Sequence[bool], at: int) -> None:
        """Gives up the lanes whose rows had frozen on the GPU at a step, with the step at which they did."""
        lost = [i for i, lane in enumerate(self.lanes) if frozen[lane.row] and not lane.diverged]
        for i in lost:
            broken = np.flatnonzero(~np.isfinite(self.flush().of(i, 1)))
            step = int(broken[0]) if len(broken) else at
            self._give_up(self.lanes[i], f"the gradient is not finite at step {step + 1}", at)

    def _give_up(self, lane: Lane, what: str, at: int) -> None:
        lane.rescued = self.state.theta[lane.row].clone()
        lane.kept = self.pruner.calibrated(self.state.view(lane.row), lane.experiment)
        lane.diverged = (
            f"{what} (epoch {at / self.per_epoch:.2f}): try a clip norm of 1, or a learning rate "
            f"below {lane.experiment.lr:g}"
        )

    def lr(self, lane: Lane) -> float:
        """A lane's learning rate at this step."""
        factor: float = self.decay(self.step / self.total)
        return lane.experiment.lr * factor

    def sparsity(self, lane: Lane) -> float:
        """The share of a lane's prunable weights that is pruned."""
        return self.observer.sparsity(self.view(lane))

    def view(self, lane: Lane) -> View:
        """A lane's present weights; the last good ones where it diverged."""
        return lane.view(self.state)

    def _finish(self) -> None:
        if self.state.frozen is not None:
            self.look_for_frozen(self.state.frozen.tolist(), self.step)
        judged = self.recorder.judged(self.state.seen(), self.split.test).tolist()
        epoch = self.step / self.per_epoch
        for lane in self.lanes:
            _, accuracy = judged[lane.row]
            if lane.diverged:
                view = self.view(lane)
                test, loss = self.prepare(self.split.test), self.loss.function
                _, accuracy = evaluate(self.network, view.row, *test, loss, buffers=view.buffers)
            lane.history.history.append((self.step, epoch, "test_accuracy", None, accuracy))


def movement(pruning: Pruning | None) -> bool:
    """Whether a pruning asks how the weights have moved."""
    return pruning is not None and "movement" in registry.get("criterion", pruning.criterion).needs


def early_epoch(pruning: Pruning | None) -> float | None:
    """The epoch whose weights a schedule goes back to; None for schedules that never do."""
    option = pruning and registry.get("schedule", pruning.schedule).options.get("rewind_epoch")
    return pruning.options.get("rewind_epoch", option.default) if pruning and option else None
