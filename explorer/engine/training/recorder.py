"""Records of a stack: asked of the device when they are due, and told once their numbers are on the host.

On a GPU a record need not hold training up: its numbers travel while the next steps run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explorer.engine.data.datasets import Images
from explorer.engine.network.forward_backward import evaluate_rows
from explorer.engine.training.append_log import StepLog

if TYPE_CHECKING:
    from explorer.engine.training.stack import Stack


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
    def here(self) -> bool:
        """Whether all have arrived."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def opened(self) -> dict[str, Tensor]:
        """The tensors on the host, which waits for them."""
        if self._event is not None:
            self._event.synchronize()
        return self._tensors


@dataclass
class PendingRecord:
    """A record whose numbers may still be on their way."""

    step: int
    rows: list[int]  # of the lanes
    lrs: list[float]
    parcel: HostCopy


class Recorder:
    """Takes the records of one stack.

    Args:
        stack: whose records they are.
    """

    def __init__(self, stack: "Stack") -> None:
        self.stack = stack
        self.recorded = 0  # the step of the last record
        self.asked: PendingRecord | None = None
        self._tail: list[Tensor] = []  # steps that are not in the log yet, [steps, measures, L]

    def keep(self, measured: Tensor) -> None:
        """Takes down what the next steps measured, [steps, measures, L]."""
        self._tail.append(measured)

    def forget(self) -> None:
        """Drops what is not in the log yet, and a record that was not told."""
        self._tail.clear()
        self.asked = None

    # -- asking ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def ask(self) -> None:
        """Looks at the stack as it is now; `tell` has the record."""
        stack = self.stack
        assert self.asked is None
        seen, mask = stack.state.effective_weights(), stack.state.mask
        sent = {
            "answers": stack.observer.no_answers(len(seen)),
            "measures": stack.observer.measures(seen, mask, stack.gradient),
            "counts": self._counts(seen),
        }
        if len(stack.split.validation):
            sent["judged"] = self.judged(seen, stack.split.validation, sent["answers"])
        if stack.state.diverged is not None:
            sent["frozen"] = stack.state.diverged.clone()
        if self._tail:
            sent["log"] = torch.cat(self._tail)
            self._tail.clear()
        lrs = [stack.lr(lane) for lane in stack.lanes]
        self.asked = PendingRecord(stack.step, [lane.row for lane in stack.lanes], lrs, HostCopy(sent))

    def _counts(self, rows: Tensor) -> Tensor:
        """The weight histograms of all rows, int [layers, L, 3, BINS]."""
        mask, fallen, found = self.stack.state.mask, self.stack.state.pruned_values, []
        for span in self.stack.stepper.spans:
            parts = (None if t is None else t[span] for t in (mask, fallen))
            found.append(torch.stack(list(self.stack.observer.counts_of(rows[span], *parts).values())))
        return torch.cat(found, 1)

    def judged(self, rows: Tensor, images: Images, answers: Tensor | None = None) -> Tensor:
        """Loss and accuracy of all rows, double [L, 2]; what they answer goes into `answers`."""
        stack, found = self.stack, []
        machine = stack.laps.machine
        if machine is not None:
            return torch.tensor(machine.judge(rows, images, answers), dtype=torch.double)
        validated = images is stack.split.validation
        seen = stack.observer.validation if validated else stack.prepare(images)
        for span in stack.stepper.spans:
            buffers = {name: buffer[span] for name, buffer in stack.state.buffers.items()}
            into = None if answers is None else answers[span]
            loss = stack.loss.function
            found.append(evaluate_rows(stack.network, rows[span], *seen, loss, buffers=buffers, answers=into))
        return torch.cat(found)

    # -- telling --------------------------------------------------------------------------------------

    def waiting(self, *, due: bool) -> bool:
        """Whether a record is to be told now: its numbers are here, or the next is due."""
        return self.asked is not None and (due or self.asked.parcel.here)

    def tell(self) -> Record:
        """The record that was asked for, taken down in the history of each lane."""
        asked, stack = self.asked, self.stack
        assert asked is not None
        found = asked.parcel.opened()
        self._settle()
        self.asked = None
        if "frozen" in found:
            stack.look_for_frozen(found["frozen"].tolist(), asked.step)
        since, self.recorded = self.recorded, asked.step
        epoch, told = asked.step / stack.per_epoch, []
        layers = stack.observer.layers(found["measures"])
        judged = found["judged"].tolist() if "judged" in found else []
        for i, (lane, row) in enumerate(zip(stack.lanes, asked.rows, strict=True)):
            values = _means(stack.log, i, since, asked.step)
            if judged:
                values["val_loss"], values["val_accuracy"] = judged[row]
            share, of_layers = layers[row]
            values |= {"sparsity": share, "lr": asked.lrs[i]}
            if not lane.diverged:
                rows = [(None, metric, value) for metric, value in values.items()] + of_layers
                lane.history.history += [(asked.step, epoch, m, layer, value) for layer, m, value in rows]
                lane.history.histograms += stack.observer.histograms(asked.step, found["counts"][:, row])
                lane.remember(asked.step, found["answers"][row].clone(), earlier=stack.rewindable)
            told.append(values)
        return Record(asked.step, epoch, told)

    def flush(self) -> StepLog:
        """What each step so far measured."""
        self._settle()
        if self._tail:
            self._take_down(torch.cat(self._tail), [lane.row for lane in self.stack.lanes])
            self._tail.clear()
        return self.stack.log

    def _settle(self) -> None:
        """Takes down the steps that were sent with a record."""
        if self.asked is None:
            return
        sent = self.asked.parcel.opened()
        if "log" in sent:
            self._take_down(sent.pop("log"), self.asked.rows)

    def _take_down(self, measured: Tensor, rows: list[int]) -> None:
        self.stack.log += measured[:, :, rows].double().cpu().numpy()


def _means(log: StepLog, lane: int, begin: int, end: int) -> dict[str, float]:
    """What some steps measured, on average; nothing where there are none."""
    names = ("train_loss", "grad_norm", "clipped_grad_norm", "clip_rate")
    steps = [log.of(lane, i, begin)[: end - begin].tolist() for i in range(len(names))]
    return {name: fmean(each) for name, each in zip(names, steps, strict=True) if each}
