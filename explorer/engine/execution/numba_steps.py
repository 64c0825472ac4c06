"""Many steps of a stack's rows at once on a CPU, as machine code, for the stacks that it knows.

What `Stepper.step` does in forty calls of torch, `kernels.train` does in none. A row's numbers are the same
whatever trains beside it, on however many threads, and wherever its chunks are cut; beside those of torch
a step differs by the rounding of float32. Over an epoch that grows, as any change in the last digits does:
masks may then differ in thousands of entries, at equal accuracy.

Shapes: L lanes, P parameters.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from explorer import registry
from explorer.engine.data.datasets import Images
from explorer.engine.execution.kernel_layout import (
    LAYER,
    RELU,
    SIGMOID,
    TANH,
    VECTOR,
    NetLayout,
    PackedRow,
    PixelData,
    SgdNumbers,
    Workspace,
    workspace_sizes,
)
from explorer.engine.execution.kernel_loader import available, kernels
from explorer.engine.execution.step import RowGroup, StepInputs, Stepper
from explorer.engine.network import models
from explorer.engine.network.forward_backward import Network
from explorer.engine.network.losses import Loss, cross_entropy, mse
from explorer.experiment import Experiment

KNOWN_RULES: list[list[str]] = [[], ["norm"]]  # of clipping
LOSSES = {cross_entropy: False, mse: True}  # whether quadratic
ACTIVATIONS = {"": 0, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}
CHUNK_SECONDS = 0.008  # of a row, between two words with the host: a slider waits no longer
FIRST, MOST = 8, 256  # steps in the first chunk, and in any
EVALUATED = 1000  # images that one thread evaluates in one go: however many there are, sums are the same
WIDEST = 2**16 - 1  # units, pixels and images in a batch are counted in 16 bits
T = TypeVar("T")


def supports_experiment(experiment: Experiment) -> bool:
    """Whether the kernels can train an experiment and its twin on a CPU."""
    clipping, pruning = experiment.clipping, experiment.pruning
    movement = pruning and "movement" in registry.get("criterion", pruning.criterion).needs
    shadow = pruning and registry.get("schedule", pruning.schedule).traits.shadow
    return _supports(
        Network(models.build(experiment)),
        experiment.batch_size,
        registry.get("loss", experiment.loss).function,
        experiment.optimizer,
        [list(clipping.rules) if clipping else []],
    ) and not (experiment.l1 or movement or shadow)


def supports(stepper: Stepper, images: Images, size: int) -> bool:
    """Whether the kernels can do the next steps of a stepper, with batches of that size."""
    context, state, grad = stepper.context, stepper.state, stepper.grad
    rules = [[rule.name for rule in chain.rules] for chain in stepper.chains if chain]
    shadowed = state.shadow is not None and bool(state.shadow.any())
    return (
        (grad.device.type, grad.dtype) == ("cpu", torch.float32)
        and _supports(context.network, size, context.loss, context.optimizer.name, rules)
        and context.network.layout.layers[0].weight.shape[1] == images.pixels.shape[1:].numel()
        and not (stepper.rates.l1 is not None or "movement" in state.criterion_memory or shadowed)
        and state.fill is None
    )


def _supports(network: Network, size: int, loss: Loss, optimizer: str, rules: list[list[str]]) -> bool:
    """Whether it is a chain with several outputs, can be counted in 16 bits, and is trained plainly."""
    plain = loss in LOSSES and optimizer == "sgd" and all(each in KNOWN_RULES for each in rules)
    if not (plain and available()) or network.chain is None or network.chain[-1].activation:
        return False
    shapes = [layer.weight.shape for layer in network.layout.layers]
    return shapes[-1][0] > 1 and max(size, *(units for shape in shapes for units in shape)) <= WIDEST


class NumbaSteps:
    """The steps of a stepper whose rows are taken one by one.

    Args:
        stepper: one that `supports` says yes to.
        inputs: images, order and learning rates of the run.
    """

    def __init__(self, stepper: Stepper, inputs: StepInputs) -> None:
        self.kernels, self.stepper, self.groups = kernels(), stepper, stepper.groups
        self.size, self.lr_factor = inputs.batch_size, inputs.lr_factor
        unique = list(dict.fromkeys(inputs.seeds))
        self.order_of = [unique.index(seed) for seed in inputs.seeds]
        self.net = _net(stepper, self.size)
        self.normalise = inputs.normalise
        self.data = self._data(inputs.images, self.normalise)
        self.rows = [self._row(group) for group in stepper.groups]
        self.rooms = [self._room() for _ in self.rows]
        # of the tensors that a row's weights, velocity and mask were last taken from
        self._versions = [[-1, -1, -1] for _ in self.rows]
        self.chunk = FIRST  # how many steps the next chunk should have

    def _data(self, images: Images, normalise: bool) -> PixelData:
        mean, std = (images.mean, images.std) if normalise else (0.0, 1.0)
        background = np.full(self.net.layers["inputs"][0], -mean / std, np.float32)
        return PixelData(
            *images.nonzero_pixels(self.kernels.nonzero),
            images.labels.numpy(),
            np.float32(1 / (255 * std)),
            background,
            images.pixels.shape[1:].numel(),
        )

    def _row(self, group: RowGroup) -> PackedRow:
        last, momentum = self.net.layers[-1], group.rates.momentum
        width = int(last["packed"] + (last["inputs"] + 1) * last["padded_units"])
        moves = momentum is not None and bool(momentum)  # though a row beside it may
        there = (True, True, moves, group.gradient_mask is not None)
        return PackedRow(*(_numbers(width if each else 0) for each in there))

    def _room(self) -> Workspace:
        sizes = workspace_sizes(self.net.layers, self.size)
        return Workspace(
            pixel_images=np.zeros(sizes["pixel_images"], np.uint16),
            pixel_values=np.zeros(sizes["pixel_values"], np.uint8),
            pixel_counts=np.zeros(sizes["pixel_counts"], np.int64),
            transposed=_numbers(sizes["transposed"]),
            outputs=_numbers(sizes["outputs"]),
            output_grad=_numbers(sizes["output_grad"]),
            blank=_numbers(sizes["blank"]),
            arange=np.arange(sizes["arange"]).astype(np.uint16),
            ones=np.ones(sizes["ones"], np.float32),
        )

    def run(
        self, orders: Sequence[Tensor], step: int, first: int, count: int
    ) -> tuple[Tensor, dict[int, int]]:
        """Do `count` steps from number `step` on, whose first batch begins at `first` in the orders.

        Returns:
            What they measured, [count, measures, L], and the rows whose gradient was not finite, each with
            how many of these steps it had done before; they join the stepper's `stopped`.
        """
        started = time.perf_counter()
        measured = torch.full((len(self.rows), count, 4), torch.nan)
        measured[:, :, 3] = 0
        images = [order[first : first + count * self.size].numpy() for order in orders]
        factors = np.array([self.lr_factor(at) for at in range(step, step + count)])
        going = [i for i in range(len(self.rows)) if i not in self.stepper.stopped]

        def train(i: int) -> int:
            return self._train(i, images[self.order_of[i]], factors, measured[i].numpy())

        steps = dict(zip(going, _in_threads(train, going), strict=True))
        diverged = {row: done for row, done in steps.items() if done < count}
        self.stepper.stopped |= diverged.keys()
        seconds = time.perf_counter() - started
        self.chunk = min(MOST, max(FIRST, round(count * CHUNK_SECONDS * len(self.rows) / seconds)))
        return measured.permute(1, 2, 0), diverged

    def _train(self, i: int, order: Any, factors: Any, log: Any) -> int:
        group, row, versions = self.groups[i], self.rows[i], self._versions[i]
        state, rates, layers = group.state, group.rates, self.net.layers
        trained = [(state.theta, row.weights)]
        if len(row.velocity):
            trained.append((state.memory["velocity"], row.velocity))
        masks = [(group.gradient_mask, row.mask)] if group.gradient_mask is not None else []
        for copy, (tensor, packed) in enumerate([*trained, *masks]):
            if versions[copy] != tensor._version:  # somebody wrote into it since the last chunk
                self.kernels.reorder(tensor[0].numpy(), packed, layers, False)
                versions[copy] = tensor._version
        momentum = 0.0 if rates.momentum is None else rates.momentum.item()
        decay = 0.0 if rates.weight_decay is None else rates.weight_decay.item()
        clip = -1.0 if group.clip is None else rates.max_norm.item()
        numbers = SgdNumbers(rates.lr.item() * factors, momentum, decay, clip)
        done: int = self.kernels.train(
            self.data, order, self.size, self.net, row, numbers, self.rooms[i], log
        )
        for tensor, packed in trained:
            self.kernels.reorder(tensor[0].numpy(), packed, layers, True)
        return done

    def gradient(self) -> Tensor:
        """Return the gradients of the last step, masked but not clipped, [L, P]."""
        for group, row in zip(self.groups, self.rows, strict=True):
            self.kernels.reorder(group.grad[0].numpy(), row.grad, self.net.layers, True)
        return self.stepper.grad.clone()

    def evaluate(
        self, rows: Tensor, images: Images, answers: Tensor | None = None
    ) -> list[tuple[float, float]]:
        """Return mean loss and accuracy of rows, [L, P], over images; `answers`, [L, n], gets the classes."""
        data, order = self._data(images, self.normalise), np.arange(len(images))
        parts = [order[begin : begin + EVALUATED] for begin in range(0, len(order), EVALUATED)]
        classes = np.empty((len(rows), len(images)), np.int64)
        packed = [_numbers(len(self.rows[0].weights)) for _ in rows]
        for row, weights in zip(rows, packed, strict=True):
            self.kernels.reorder(row.numpy(), weights, self.net.layers, False)

        def evaluate_part(task: int) -> tuple[float, int]:
            i, part = divmod(task, len(parts))
            mine, answered = parts[part], np.empty(len(parts[part]), np.int64)
            totals: tuple[float, int] = self.kernels.evaluate(
                data, mine, self.size, self.net, packed[i], self._room(), answered
            )
            classes[i, mine] = answered
            return totals

        totals = np.array(_in_threads(evaluate_part, range(len(rows) * len(parts))))
        if answers is not None:
            answers.copy_(torch.from_numpy(classes))
        means = totals.reshape(len(rows), len(parts), 2).sum(1) / len(order)
        return [(loss, right) for loss, right in means.tolist()]


def _in_threads(work: Callable[[int], T], items: Sequence[int]) -> list[T]:
    """Return what comes of work on each item, on as many threads as torch may take."""
    threads = min(torch.get_num_threads(), len(items))
    if threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def _net(stepper: Stepper, size: int) -> NetLayout:
    """Return the network as the kernels have it."""
    network = stepper.context.network
    assert network.chain is not None
    layers, packed, outputs = [], 0, 0
    for layer in network.chain:
        weight, bias = network.layout.slices[layer.weight], network.layout.slices[layer.bias]
        units, inputs = weight.shape
        padded = -(-units // VECTOR) * VECTOR
        layers.append((inputs, units, padded, packed, weight.start, bias.start, outputs))
        packed, outputs = packed + (inputs + 1) * padded, outputs + size * padded
    activations = np.array([ACTIVATIONS[layer.activation] for layer in network.chain], np.int64)
    return NetLayout(np.array(layers, LAYER), activations, LOSSES[stepper.context.loss])


def _numbers(count: int) -> Any:
    """Return zeros on the boundary of a cache line, as torch has them: vectors are loaded whole."""
    return torch.zeros(count).numpy()
