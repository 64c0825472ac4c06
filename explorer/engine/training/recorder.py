"""Records of a stack: requested of the device when they are due, complete once their numbers are on the host.

On a GPU a record need not hold training up: its numbers travel while the next steps run.

Shapes: L lanes, P parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from explorer.engine.execution.executor import StepExecutor
from explorer.engine.network.state import State
from explorer.engine.training.append_log import StepLog
from explorer.engine.training.history import BINS
from explorer.engine.training.lanes import Lane
from explorer.engine.training.metrics import Observer


@dataclass(frozen=True)
class Record:
    """What was recorded at a step: for each lane its new metrics by name, whole-model ones only."""

    step: int
    epoch: float
    lanes: list[dict[str, float]]


class HostCopy:
    """Tensors on their way to the host; the device works on meanwhile.

    They must be nobody else's, as on a CPU they are not copied.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self._event: torch.cuda.Event | None = None  # after the last copy
        (device,) = {tensor.device for tensor in tensors.values()}
        if device.type == "cuda":
            for name, tensor in tensors.items():
                self._tensors[name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                self._tensors[name].copy_(tensor, non_blocking=True)
            self._event = torch.cuda.current_stream(device).record_event()

    @property
    def ready(self) -> bool:
        """Whether all have arrived."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def wait(self) -> dict[str, Tensor]:
        """Return the tensors on the host, which waits for them."""
        if self._event is not None:
            self._event.synchronize()
        return self._tensors


@dataclass
class PendingRecord:
    """A record whose numbers may still be on their way."""

    step: int
    rows: list[int]  # of the lanes
    lrs: list[float]
    copy: HostCopy


class Recorder:
    """Takes the records of one stack, and the log of its steps.

    Args:
        observer: measures the rows.
        per_epoch: steps in an epoch.
        batch_images: how many images a step learns from.
    """

    def __init__(self, observer: Observer, per_epoch: int, batch_images: Callable[[int], int]) -> None:
        self.observer, self.per_epoch, self.batch_images = observer, per_epoch, batch_images
        self.log = StepLog()  # what each step so far measured
        self.recorded = 0  # the step of the last record
        self.pending: PendingRecord | None = None
        self._tail: list[Tensor] = []  # steps that are not in the log yet, [steps, measures, L]

    def append(self, measured: Tensor) -> None:
        """Take down what the next steps measured, [steps, measures, L]."""
        self._tail.append(measured)

    def restore(self, log: StepLog, recorded: int) -> None:
        """Go back to an earlier log; what is not in it, and a record that was not completed, is dropped."""
        self._tail.clear()
        self.pending, self.log, self.recorded = None, log.copy(), recorded

    @torch.no_grad()
    def request(
        self, step: int, lanes: Sequence[Lane], executor: StepExecutor, gradient: Tensor | None
    ) -> None:
        """Look at a stack as it is now; `complete` has the record.

        Args:
            step: of the run.
            lanes: of the stack.
            executor: holds the state, and evaluates it.
            gradient: of the step before, masked but not clipped, [L, P].
        """
        assert self.pending is None
        state, validation = executor.stepper.state, executor.setup.split.validation
        rows = state.effective_weights()
        sent = {
            "answers": self.observer.empty_answers(len(rows)),
            "measures": self.observer.measures(rows, state.mask, gradient),
            "counts": self._counts(rows, state, executor.stepper.spans),
        }
        if len(validation):
            sent["losses"] = executor.evaluate(rows, validation, sent["answers"])
        if state.diverged is not None:
            sent["diverged"] = state.diverged.clone()
        if self._tail:
            sent["log"] = torch.cat(self._tail)
            self._tail.clear()
        factor = executor.setup.lr_factor(step)
        lrs = [lane.experiment.lr * factor for lane in lanes]
        self.pending = PendingRecord(step, [lane.row for lane in lanes], lrs, HostCopy(sent))

    def _counts(self, rows: Tensor, state: State, spans: Sequence[slice]) -> Tensor:
        """Return the weight histograms of all rows, int [layers, L, 3, BINS]."""
        counts = []
        for span in spans:
            parts = (None if t is None else t[span] for t in (state.mask, state.pruned_values))
            of_layers = list(self.observer.row_counts(rows[span], *parts).values())
            none = rows.new_empty(0, len(rows[span]), 3, BINS)  # where there is no layer to prune
            counts.append(torch.stack(of_layers) if of_layers else none)
        return torch.cat(counts, 1)

    def is_ready(self, *, due: bool) -> bool:
        """Whether a record is to be completed now: its numbers are here, or the next is due."""
        return self.pending is not None and (due or self.pending.copy.ready)

    def complete(self, lanes: Sequence[Lane], *, keep_answers: bool) -> tuple[Record, list[Lane]]:
        """Take the pending record down in the history of each lane.

        Args:
            lanes: of the stack.
            keep_answers: whether those of earlier records stay.

        Returns:
            The record, and the lanes that have diverged since the last one, on a GPU.
        """
        pending = self.pending
        assert pending is not None
        tensors = pending.copy.wait()
        self._settle()
        self.pending = None
        frozen = tensors["diverged"].tolist() if "diverged" in tensors else []
        lost = [bool(frozen) and frozen[lane.row] and not lane.diverged for lane in lanes]
        since, self.recorded = self.recorded, pending.step
        epoch, metrics = pending.step / self.per_epoch, []
        layers = self.observer.per_layer(tensors["measures"])
        losses = tensors["losses"].tolist() if "losses" in tensors else []
        for i, (lane, row) in enumerate(zip(lanes, pending.rows, strict=True)):
            values = self._means(i, since, pending.step)
            if losses:
                values["val_loss"], values["val_accuracy"] = losses[row]
            sparsity, of_layers = layers[row]
            values |= {"sparsity": sparsity, "lr": pending.lrs[i]}
            if not (lane.diverged or lost[i]):
                rows = [(None, metric, value) for metric, value in values.items()] + of_layers
                lane.history.history += [(pending.step, epoch, m, layer, value) for layer, m, value in rows]
                lane.history.histograms += self.observer.histograms(pending.step, tensors["counts"][:, row])
                lane.remember(pending.step, tensors["answers"][row].clone(), earlier=keep_answers)
            metrics.append(values)
        return Record(pending.step, epoch, metrics), [
            lane for lane, is_ in zip(lanes, lost, strict=True) if is_
        ]

    def flush(self, lanes: Sequence[Lane]) -> StepLog:
        """Return what each step so far measured."""
        self._settle()
        if self._tail:
            self._take_down(torch.cat(self._tail), [lane.row for lane in lanes])
            self._tail.clear()
        return self.log

    def mean_loss(self, losses: Sequence[float], begin: int) -> float:
        """Return the loss of an image, on average, from those of the steps from `begin` on."""
        images = [self.batch_images(step) for step in range(begin, begin + len(losses))]
        return fmean(losses, None if len(set(images)) == 1 else images)

    def _means(self, lane: int, begin: int, end: int) -> dict[str, float]:
        """Return what some steps measured, on average; nothing where there are none."""
        names = ("grad_norm", "clipped_grad_norm", "clip_rate")
        losses, *others = (self.log.series(lane, i, begin)[: end - begin].tolist() for i in range(4))
        if not losses:
            return {}
        means = {name: fmean(each) for name, each in zip(names, others, strict=True)}
        return {"train_loss": self.mean_loss(losses, begin), **means}

    def _settle(self) -> None:
        """Take down the steps that were sent with a record."""
        if self.pending is None:
            return
        tensors = self.pending.copy.wait()
        if "log" in tensors:
            self._take_down(tensors.pop("log"), self.pending.rows)

    def _take_down(self, measured: Tensor, rows: list[int]) -> None:
        self.log += measured[:, :, rows].double().cpu().numpy()
