"""Laps: the steps that a stack does at once, with no word from the host in between.

On a GPU they are captured and replayed, on a CPU they are machine code; where neither fits, steps go one by
one. Which it is follows from the experiments alone, never from where a lap is cut.
"""

import functools
import itertools
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explorer.engine.data.device import pick_device
from explorer.engine.data.random import shuffled_indices
from explorer.engine.execution.cuda_graphs import CudaGraphSteps
from explorer.engine.execution.numba_steps import NumbaSteps, available, fits
from explorer.experiment import Experiment

if TYPE_CHECKING:
    from explorer.engine.training.stack import Stack

LATER = 1.5  # seconds from the first look at an explorer to the compiling of its machine code


class StepExecutor:
    """The laps of one stack.

    Args:
        stack: whose steps they are.
    """

    def __init__(self, stack: "Stack") -> None:
        self.stack = stack
        self.program: CudaGraphSteps | NumbaSteps | None = None
        cuda = stack.device.type == "cuda"
        self.allowed = not stack.network.stochastic if cuda else not stack.together
        self.compiled = False  # whether any were machine code
        self._known: tuple[tuple[int, ...], dict[int, Tensor]] = ((), {})  # an epoch's orders, by its key

    def free(self) -> int:
        """How many steps a lap may have from here: up to what the host must see; 0 where there are no laps.

        A replay has no smaller batches.
        """
        stack = self.stack
        if not self.allowed or (not stack.together and self.machine is None):
            return 0
        seen = self._next_seen()
        size, images = stack.lanes[0].experiment.batch_size, len(stack.split.train)
        begun = stack.step // stack.per_epoch * stack.per_epoch
        if not stack.together:
            most = self.program.lap if isinstance(self.program, NumbaSteps) else 1
            return min(seen - stack.step, begun + stack.per_epoch - stack.step, most)
        return max(0, min(seen, begun + images // size) - stack.step)

    def _next_seen(self) -> int:
        """The next step that the host must see: of a record, or of a lane's plan."""
        stack = self.stack
        here, quarter = stack.step, stack.per_epoch / 4
        if any(here + 1 in lane.plan for lane in stack.lanes):
            return here + 1
        records = (round(i * quarter) for i in itertools.count(int(here / quarter)))
        planned = [step for lane in stack.lanes for step in (*lane.plan, lane.early) if step is not None]
        coming = [step for step in planned if step > here]
        return min(next(step for step in records if step > here), stack.total, *coming)

    @property
    def machine(self) -> NumbaSteps | None:
        """The machine code, where it can do the next steps."""
        stack = self.stack
        if not self.allowed or stack.together:
            return None
        stack.stepper.refresh()
        if self.program is None or self.program.parts is not stack.stepper.parts:
            size = stack.lanes[0].experiment.batch_size
            self.program = self._made(NumbaSteps) if fits(stack.stepper, stack.split.train, size) else None
        return self.program if isinstance(self.program, NumbaSteps) else None

    def _made(self, kind: type[NumbaSteps] | type[CudaGraphSteps]) -> NumbaSteps | CudaGraphSteps:
        stack = self.stack
        first = stack.lanes[0].experiment
        return kind(
            stack.stepper,
            stack.split.train,
            stack.seeds,
            size=first.batch_size,
            normalise=first.normalise,
            factors=[stack.decay(i / stack.total) for i in range(stack.total)],
        )

    def run(self, count: int) -> None:
        """Does so many steps of the stack."""
        stack = self.stack
        stack.stepper.refresh()
        if self.program is None or self.program.parts is not stack.stepper.parts:
            self.program = self._made(CudaGraphSteps)
        epoch, place = divmod(stack.step, stack.per_epoch)
        place *= stack.lanes[0].experiment.batch_size
        orders = list(self.orders(epoch).values())
        if isinstance(self.program, CudaGraphSteps):
            kept = stack.recorded_at(stack.step + count)
            stack.keep(self.program.run(orders, stack.step, place, count, keep=kept))
            stack.gradient = self.program.kept.clone() if kept else stack.gradient
            return
        with _whole():
            self._run_compiled(self.program, orders, place, count)

    def _run_compiled(self, program: NumbaSteps, orders: list[Tensor], place: int, count: int) -> None:
        stack = self.stack
        broken: dict[int, int] = {}
        measured = program.run(orders, stack.step, place, count, broken.__setitem__)
        begun, self.compiled = stack.step, True
        if broken:
            program.gradient()
        for row, done in broken.items():
            stack.step = begun + done
            stack.rescue(row)
        stack.step = begun
        if broken and len(stack.stepper.stopped) == len(stack.stepper.parts):
            measured = measured[: max(broken.values()) + 1]  # nobody goes on behind the last one's
        stack.keep(measured)
        if stack.recorded_at(stack.step):
            stack.gradient = program.gradient()

    def orders(self, epoch: int) -> dict[int, Tensor]:
        """The order of an epoch's images for each seed."""
        stack = self.stack
        key = (epoch, *dict.fromkeys(stack.seeds))
        if self._known[0] != key:
            images = len(stack.split.train)
            orders = [shuffled_indices(images, seed, epoch) for seed in key[1:]]
            if stack.device.type == "cuda":  # the host does not wait for what lies in pinned memory
                orders = [order.pin_memory().to(stack.device, non_blocking=True) for order in orders]
            self._known = (key, dict(zip(key[1:], orders, strict=True)))
        return self._known[1]


@functools.cache  # once a process
def warm_up() -> None:
    """Gets the machine code ready in the background: compiling it takes seconds, once on each machine.

    What is to be seen first comes first.
    """
    if available() and pick_device("auto").type == "cpu":
        threading.Timer(LATER, _first_lap).start()


def _first_lap() -> None:
    from explorer.engine.training.stack import Stack  # noqa: PLC0415  a stack has laps

    stack = Stack([Experiment(pruning=None)], "cpu")
    machine = stack.laps.machine
    assert machine is not None
    machine.run([torch.arange(1)], 0, 0, 0, lambda *_: None)
    machine.judge(stack.state.theta, stack.split.validation[slice(1)])


@contextmanager
def _whole() -> Iterator[None]:
    """Puts Ctrl-C off to the end of a lap: rows that stop in the middle would not be at the same step."""
    ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not None
    )
    if not ours:
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda *what: came.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(*came[0])
