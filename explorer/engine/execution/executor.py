"""Runs the steps of a stack: captured and replayed on a GPU, as machine code on a CPU, else one by one.

Which it is follows from the experiments alone, never from where a chunk of steps is cut. A step differs by
rounding between the three, a whole run by more: masks may differ in thousands of entries, at equal accuracy.

Shapes: L lanes, P parameters, B batch.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from explorer.engine.data import datasets
from explorer.engine.data.datasets import Images
from explorer.engine.data.random import shuffled_indices
from explorer.engine.execution.cuda_graphs import CudaGraphSteps
from explorer.engine.execution.interrupts import defer_sigint
from explorer.engine.execution.numba_steps import NumbaSteps, supports
from explorer.engine.execution.setup import Setup
from explorer.engine.execution.step import StepInputs, Stepper
from explorer.engine.network.forward_backward import Batch, evaluate_rows
from explorer.engine.network.state import State, StepHyperparameters
from explorer.experiment import Experiment


class Chunk(NamedTuple):
    """Some steps that were done."""

    measured: Tensor  # what each step measured, [steps, measures, L]
    diverged: dict[int, int]  # rows whose gradient was not finite, and how many of these steps they had done
    gradient: Tensor | None  # of the last step, masked but not clipped, [L, P]; where it was to be kept


class StepExecutor:
    """Runs the steps of one stack.

    Args:
        setup: what the stack's runs share.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        cuda = setup.device.type == "cuda"
        self.in_chunks = not setup.network.stochastic if cuda else not setup.together
        self.compiled = False  # whether any steps were machine code
        self.steps: NumbaSteps | CudaGraphSteps | None = None  # what does many at once
        self._orders: tuple[tuple[int, ...], dict[int, Tensor]] = ((), {})  # an epoch's, by its key
        self._batches: Iterator[dict[int, Batch]] = iter(())
        self._next_step = -1  # the step that the next of these batches is for

    def load(self, state: State, experiments: Sequence[Experiment], diverged: set[int]) -> None:
        """Take a state to train on.

        Args:
            state: weights, masks and memories, which steps change in place.
            experiments: one of those that train in each row.
            diverged: rows that stay as they are.
        """
        setup = self.setup
        self.seeds = [experiment.seed for experiment in experiments]
        self.stepper = Stepper(
            setup.network,
            state,
            loss=setup.loss.function,
            optimizer=setup.optimizer,
            clippings=[experiment.clipping for experiment in experiments],
            rates=StepHyperparameters.of(experiments, state.theta),
            steps=setup.total,
            together=setup.together,
        )
        self.stepper.stopped = diverged
        self.steps = None

    def prepare(self) -> None:
        """Bind the stepper to what has been pruned since, and compile where machine code can do its steps."""
        self.stepper.refresh()
        if self.steps is not None and self.steps.groups is not self.stepper.groups:
            self.steps = None
        setup = self.setup
        if self.steps is None and self.in_chunks and not setup.together:
            fits = supports(self.stepper, setup.split.train, setup.batch_size)
            self.steps = NumbaSteps(self.stepper, self._inputs()) if fits else None

    # -- training -------------------------------------------------------------------------------------

    def advance(self, step: int, stop: int, *, keep_gradient: bool) -> Chunk:
        """Train from a step on, as far as can be done at once and at most up to another step.

        Args:
            step: the number of the first step.
            stop: the next step that the host must see.
            keep_gradient: whether the gradient of the step before `stop` is wanted, if it gets there.
        """
        self.prepare()
        count = self._steps_ahead(step, stop)
        keep = keep_gradient and step + max(count, 1) == stop
        if not count:
            return self._single_step(step, keep=keep)
        epoch, batch = divmod(step, self.setup.per_epoch)
        orders, first = list(self.orders(epoch).values()), batch * self.setup.batch_size
        if self.steps is None:
            self.steps = self.graph_steps()
        if isinstance(self.steps, CudaGraphSteps):
            measured = self.steps.run(orders, step, first, count, keep=keep)
            return Chunk(measured, {}, self.steps.last_gradient.clone() if keep else None)
        self.compiled = True
        return self._compiled_steps(self.steps, orders, step, first, count, keep=keep)

    def _steps_ahead(self, step: int, stop: int) -> int:
        """Return how many steps can be done at once from here; 0 where they go one by one.

        A replay of captured steps has no smaller batches.
        """
        setup = self.setup
        begun = step // setup.per_epoch * setup.per_epoch
        if not self.in_chunks or (self.steps is None and not setup.together):
            return 0
        if isinstance(self.steps, NumbaSteps):
            return min(stop - step, begun + setup.per_epoch - step, self.steps.chunk)
        return max(0, min(stop, begun + len(setup.split.train) // setup.batch_size) - step)

    def _compiled_steps(
        self, steps: NumbaSteps, orders: list[Tensor], step: int, first: int, count: int, *, keep: bool
    ) -> Chunk:
        measured, diverged = steps.run(orders, step, first, count)
        gradient = steps.gradient() if keep or diverged else None
        if diverged and len(self.stepper.stopped) == len(self.stepper.groups):
            measured = measured[: max(diverged.values()) + 1]  # nobody goes on behind the last one's
            gradient = None
        return Chunk(measured, diverged, gradient if keep else None)

    def _single_step(self, step: int, *, keep: bool) -> Chunk:
        if step != self._next_step or step % self.setup.per_epoch == 0:
            self._batches = self.batches(step)
        self._next_step = step + 1
        gradient = torch.empty_like(self.stepper.grad) if keep else None
        seeds = self.seeds[:1] if self.setup.together else self.seeds
        before = set(self.stepper.stopped)
        measured = self.stepper.step(
            self._by_group(next(self._batches)),
            [(seed, 3, step) for seed in seeds],
            decay=self.setup.lr_factor(step),
            keep=gradient,
        )
        if not isinstance(measured, Tensor):
            measured = torch.tensor(measured, dtype=torch.double)
        return Chunk(measured.unsqueeze(0), dict.fromkeys(self.stepper.stopped - before, 0), gradient)

    def graph_steps(self) -> CudaGraphSteps:
        """Return the steps of the stack for replays; on a GPU they are captured now."""
        return CudaGraphSteps(self.stepper, self._inputs())

    def _inputs(self) -> StepInputs:
        setup = self.setup
        return StepInputs(
            setup.split.train, self.seeds, setup.batch_size, setup.normalise, setup.lr_factor, setup.total
        )

    # -- batches --------------------------------------------------------------------------------------

    def orders(self, epoch: int) -> dict[int, Tensor]:
        """Return the order of an epoch's images, [N], for each seed."""
        key = (epoch, *dict.fromkeys(self.seeds))
        if self._orders[0] != key:
            orders = [shuffled_indices(len(self.setup.split.train), seed, epoch) for seed in key[1:]]
            if self.setup.device.type == "cuda":  # the host does not wait for what lies in pinned memory
                orders = [order.pin_memory().to(self.setup.device, non_blocking=True) for order in orders]
            self._orders = (key, dict(zip(key[1:], orders, strict=True)))
        return self._orders[1]

    def batches(self, step: int) -> Iterator[dict[int, Batch]]:
        """Return the batches of the epoch from this step on, for each seed the one in its own order."""
        setup, (epoch, skip) = self.setup, divmod(step, self.setup.per_epoch)
        by_seed = {
            seed: datasets.batches(
                setup.split.train,
                order,
                setup.batch_size,
                normalise=setup.normalise,
                dtype=setup.dtype,
                skip=skip,
            )
            for seed, order in self.orders(epoch).items()
        }
        return _side_by_side(by_seed)

    def _by_group(self, batches: dict[int, Batch]) -> list[Batch]:
        """Return the batch of each group of rows."""
        rows = [batches[seed] for seed in self.seeds]
        if not self.setup.together:
            return rows
        if len(batches) == 1:
            return rows[:1]
        return [(torch.stack([x for x, _ in rows]), torch.stack([labels for _, labels in rows]))]

    # -- looking --------------------------------------------------------------------------------------

    def evaluate(self, rows: Tensor, images: Images, answers: Tensor | None = None) -> Tensor:
        """Return loss and accuracy of all rows, [L, P], as double [L, 2]; `answers`, [L, n], is filled."""
        with defer_sigint():  # the kernels may be imported and compiled now
            self.prepare()
            if isinstance(self.steps, NumbaSteps):
                return torch.tensor(self.steps.evaluate(rows, images, answers), dtype=torch.double)
        setup, parts = self.setup, []
        x, labels = setup.inputs(images)
        for span in self.stepper.spans:
            buffers = {name: buffer[span] for name, buffer in self.stepper.state.buffers.items()}
            into = None if answers is None else answers[span]
            loss = setup.loss.function
            parts.append(
                evaluate_rows(setup.network, rows[span], x, labels, loss, buffers=buffers, answers=into)
            )
        return torch.cat(parts)

    def nonfinite_parameters(self, row: int) -> list[str]:
        """Return the parameters whose gradient of the last step is not finite in a row."""
        grad = self.stepper.grad[row : row + 1]
        slices = self.setup.network.layout.slices.values()
        return [each.name for each in slices if not each.view(grad).isfinite().all()]


def _side_by_side(by_seed: dict[int, Iterator[Batch]]) -> Iterator[dict[int, Batch]]:
    """Yield the next batch of each; no method, as an iterator that knows its owner is freed late."""
    for batches in zip(*by_seed.values(), strict=True):
        yield dict(zip(by_seed, batches, strict=True))
