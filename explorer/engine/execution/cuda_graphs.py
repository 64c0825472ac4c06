"""Many steps of a stack with no word from the host: on a GPU they are captured once and replayed.

Shapes: L lanes, P parameters, B batch.

All that differs from step to step is read from tensors on the device: the position in the epoch's order, the
number of the step, the factor of the learning rate. What a step measures goes into a log there.
"""

import functools
import gc
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from explorer.engine.execution.step import StepInputs, Stepper, stack_measures

WARM_UP = 3  # steps before a capture, as torch asks for: they choose algorithms and make room
REPLAYED = 16  # steps in one replay
_ONE_AT_A_TIME = threading.Lock()
Replay = Callable[[], object]


class CudaGraphSteps:
    """The steps of a stepper whose rows are together, from batches that it gathers itself.

    Args:
        stepper: its rows must be one group.
        inputs: images, order and learning rates of the run; the last, smaller batch of an epoch is left out.
    """

    def __init__(self, stepper: Stepper, inputs: StepInputs) -> None:
        self.groups, like = stepper.groups, stepper.grad
        (self.group,) = self.groups
        self.stepper, self.images, self.normalise = stepper, inputs.images, inputs.normalise
        self.device, self.size = like.device, inputs.batch_size
        unique = list(dict.fromkeys(inputs.seeds))
        self._order_of = torch.tensor([unique.index(seed) for seed in inputs.seeds], device=self.device)
        self.orders = torch.zeros(len(unique), len(self.images), dtype=torch.long, device=self.device)
        self.position = torch.zeros((), dtype=torch.long, device=self.device)  # the next batch's first image
        self.step_index = torch.zeros((), dtype=torch.long, device=self.device)  # the next step's number
        self._span = torch.arange(self.size, device=self.device)
        self._factors = like.new_tensor([inputs.lr_factor(step) for step in range(inputs.total)])
        measures = 5 if stepper.sparse else 4
        self.log = like.new_zeros(inputs.total, measures, len(like))
        self.last_gradient = torch.zeros_like(like)  # the gradient of the last step that was to
        self._replays: dict[int, Replay] = {}
        self._keeping: Replay | None = None  # a captured step that keeps its gradient
        if self.device.type == "cuda":
            self._capture()

    def run(
        self, orders: Sequence[Tensor], step: int, first: int, count: int, *, keep: bool = False
    ) -> Tensor:
        """Do `count` steps from number `step` on, whose first batch begins at `first` in the orders.

        Return what they measured, [count, measures, L], on the device; the last may keep its gradient.
        """
        done = slice(step, step + count)
        self.orders.copy_(torch.stack(list(orders)))
        self.position.fill_(first)
        self.step_index.fill_(step)
        count -= keep
        while count:
            steps = max((n for n in self._replays if n <= count), default=1)
            self._replays.get(steps, self.step)()
            count -= steps
        if keep:
            self.step(keep=True) if self._keeping is None else self._keeping()
        return self.log[done].clone()

    def step(self, *, keep: bool = False) -> None:
        """Do one step; nothing in it waits for the host."""
        group, number = self.group, self.step_index.view(1)
        with self.stepper.context.network.train_mode(self.device, 0):
            losses, norms = group.backward(self._batch())
        if keep:
            self.last_gradient.copy_(group.grad)  # masked, but not clipped
        clipped = group.update(norms, group.rates.lr * self._factors.index_select(0, number))
        self.log.index_copy_(0, number, stack_measures(losses, norms, clipped).unsqueeze(0))
        self.position.add_(self.size)
        self.step_index.add_(1)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Gather the batch at this position: one for all rows, or where seeds differ each row its own."""
        indices = self.orders.index_select(1, self._span + self.position)
        if len(indices) > 1:
            indices = indices.index_select(0, self._order_of)
        flat = indices.flatten()
        x = self.images.inputs(self.normalise, self._factors.dtype, flat)
        labels = self.images.labels.index_select(0, flat)
        if len(indices) == 1:
            return x, labels
        return x.view(*indices.shape, *x.shape[1:]), labels.view(indices.shape)

    def _capture(self) -> None:
        """Capture one step and many; where something cannot be captured, steps go one by one."""
        saved = [(tensor, tensor.clone()) for tensor in self._changing()]
        try:
            with _capture_stream(self.device) as side:
                for _ in range(WARM_UP):
                    self.step()
                    self.position.zero_()  # an epoch may have fewer batches
                    self.step_index.zero_()
                graph = partial(_graph, stream=side, pool=torch.cuda.graph_pool_handle())
                self._replays = {steps: graph(self.step, steps) for steps in (1, REPLAYED)}
                self._keeping = graph(partial(self.step, keep=True), 1)
        except RuntimeError as error:
            self._replays.clear()
            warnings.warn(f"steps go one by one, as they cannot be captured: {error}", stacklevel=2)
        finally:
            for tensor, before in saved:
                tensor.copy_(before)

    def _changing(self) -> list[Tensor]:
        """Return what a step changes, and no more: as long as a capture lasts there is a copy of it."""
        state = self.stepper.state
        assert state.diverged is not None
        memories = [*state.memory.values(), *state.clip_history.values(), *state.buffers.values()]
        moved = [trace for name, trace in state.criterion_memory.items() if name == "movement"]
        return [state.theta, *memories, *moved, state.diverged, self.position, self.step_index, self.log]


@contextmanager
def _capture_stream(device: torch.device) -> Iterator[torch.cuda.Stream]:
    """Send work inside to a side stream, one and the same for all captures of a GPU.

    One thread captures at a time, as torch asks for: another that waits for the whole GPU would spoil it. So
    would the end of an earlier graph, which is why no garbage is collected meanwhile.
    """
    with _ONE_AT_A_TIME:
        side, collects = _side_stream(device), gc.isenabled()
        before = torch.cuda.current_stream(device)
        side.wait_stream(before)
        gc.disable()
        try:
            with torch.cuda.stream(side):
                yield side
        finally:
            before.wait_stream(side)
            if collects:
                gc.enable()


@functools.cache  # each stream has a workspace of its own, of up to 32 MiB
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _graph(step: Callable[[], object], times: int, *, stream: torch.cuda.Stream, pool: Any) -> Replay:
    """Capture so many steps; graphs may share a pool, as none leaves in it what another reads."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        for _ in range(times):
            step()
    return graph.replay
