"""How much memory a stack will take at its peak, told before it is built."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from explorer import registry
from explorer.engine.data import datasets
from explorer.engine.data.dataset_info import dataset_info, steps_per_epoch
from explorer.engine.execution.clipping import per_weight_memory
from explorer.engine.execution.kernel_layout import VECTOR
from explorer.engine.execution.numba_steps import supports_experiment
from explorer.engine.network import models
from explorer.engine.network.forward_backward import CPU_IMAGES, GPU_IMAGES
from explorer.engine.network.layout import Layout
from explorer.engine.network.optimizers import state_of
from explorer.engine.pruning.pruner import SCORING_IMAGES
from explorer.engine.training.history import BINS
from explorer.engine.training.timetable import rewind_epoch, tracks_movement
from explorer.experiment import Experiment

FLOAT = 4  # bytes
TORCH = 40 * 1024**2  # what torch itself takes once it computes
AT_THE_END = 2.25  # the gradient of the last record; the runs' weights and masks
COPIES = 2  # of what layers put out: their gradients, or another order in memory
VERDICT = 1.5  # the scores of a lane's last prune event, and two masks of a byte a weight
LOGGED, RECORDED = 64, 330  # bytes of a step in the log, and of a row of a record, a lane
NUMBA = 90 * 1024**2
LIT = 3  # bytes of a lit pixel


def available_bytes(device: torch.device) -> int:
    """Return bytes that are free on a device now, those that torch keeps there for later included."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    try:
        with open("/proc/meminfo") as file:  # noqa: PTH123  a pseudo-file
            kilobytes = next(line.split()[1] for line in file if line.startswith("MemAvailable"))
        return int(kilobytes) * 1024
    except (OSError, StopIteration):  # not Linux: enough for any stack of small networks
        return 4 * 1024**3


def peak_bytes(experiments: Sequence[Experiment], *, together: bool) -> int:
    """Return bytes that a stack takes at its peak if it is not to go back, data set and records included.

    The peak comes when lanes get rows of their own, as the old rows are still there, or at the end, when
    gradients of a record and the weights of the runs are kept beside the state.
    """
    first = experiments[0]
    module = models.build(first)
    layout = Layout(module)
    weights = round(FLOAT * layout.width * matrices(experiments, together=together))
    rows = len(experiments) if together else 1
    machine = 0 if together else _machine(experiments, layout)
    outputs = _outputs(first, module, rows)
    return weights + _images(first) + outputs + _records(experiments, layout) + machine + TORCH


def matrices(experiments: Sequence[Experiment], *, together: bool) -> float:
    """Return how many numbers a weight there are at the peak, over all lanes."""
    before, after = _rows(experiments)
    matrices = _state(experiments)
    extra = 2 * together  # the products of a GPU's stack are made beside their place
    fork = before * (matrices + 2) + after * (matrices + 2)
    decisions = VERDICT * sum(experiment.pruning is not None for experiment in experiments)
    return max(fork, after * (matrices + 1 + AT_THE_END + extra) + decisions)


def _machine(experiments: Sequence[Experiment], layout: Layout) -> int:
    """Return what machine code takes: numba itself, the lit pixels, each row once more with its room."""
    first, (_, rows) = experiments[0], _rows(experiments)
    if not layout.layers or not supports_experiment(first):
        return 0
    packed = 4 + any(e.momentum for e in experiments)  # weights, gradient, mask, velocity; to be judged
    units = sum(layer.weight.shape[0] + VECTOR / 2 for layer in layout.layers)
    room = first.batch_size * (3 * layout.layers[0].weight.shape[1] + 2 * FLOAT * units)
    return round(NUMBA + lit(first) + rows * (FLOAT * layout.width * packed + room))


def lit(experiment: Experiment) -> float:
    """Return bytes of the data set's lit pixels."""
    info = dataset_info(experiment.dataset)
    return sum(info.sizes) * math.prod(info.shape) * info.nonzero * LIT


def _rows(experiments: Sequence[Experiment]) -> tuple[int, int]:
    """Return the rows before the first prune event and after the last."""
    dense = {experiment.dense().hash for experiment in experiments}
    pruned = [e for e in experiments if e.pruning is not None]
    twins = {e.hash for e in experiments if e.pruning is None}
    return len(dense), len(pruned) + len(twins)


def _state(experiments: Sequence[Experiment]) -> int:
    """Return how many matrices of one number a weight a stack holds, gradients aside."""
    first, prunings = experiments[0], [e.pruning for e in experiments if e.pruning is not None]
    optimizer = registry.get("optimizer", first.optimizer)
    momentum = any(e.momentum for e in experiments)
    count = 2 + len(state_of(optimizer, momentum=momentum))  # weights, initial weights
    count += 2 * bool(prunings)  # the mask, and what fell
    count += any(tracks_movement(p) for p in prunings) + any(rewind_epoch(p) is not None for p in prunings)
    clippings = {repr(e.clipping): e.clipping for e in experiments if e.clipping}
    return count + len({place for clipping in clippings.values() for place in per_weight_memory(clipping)})


def _records(experiments: Sequence[Experiment], layout: Layout) -> int:
    """Return what the lanes have logged and recorded at the end, on the host; the runs copy the records."""
    first = experiments[0]
    steps = steps_per_epoch(first) * first.epochs
    rows = (4 * first.epochs + 1) * (BINS + 4) * len(layout.layers)
    return len(experiments) * (LOGGED * steps + RECORDED * rows)


def _images(experiment: Experiment) -> int:
    """Return the data set as bytes, and what is judged as numbers."""
    info = dataset_info(experiment.dataset)
    pixels, (train, test) = math.prod(info.shape), info.sizes
    scored = min(SCORING_IMAGES, train - experiment.validation)
    floats = max(test, experiment.validation + scored) + datasets.CHUNK * experiment.batch_size
    return (train + test) * (pixels + 8) + floats * pixels * FLOAT


def _outputs(experiment: Experiment, module: torch.nn.Module, rows: int) -> int:
    """Return what all layers put out, for images looked at together and for a batch to learn from."""
    counts: list[int] = []
    leaves = [part for part in module.modules() if not any(True for _ in part.children())]
    hooks = [p.register_forward_hook(lambda _m, _x, out: counts.append(_size(out))) for p in leaves]
    with torch.no_grad():
        weight = next(module.parameters(), torch.empty(0))
        module.eval()(weight.new_zeros(1, *dataset_info(experiment.dataset).shape))
    for hook in hooks:
        hook.remove()
    looked_at = GPU_IMAGES if rows > 1 else CPU_IMAGES
    return COPIES * (looked_at + experiment.batch_size * rows) * sum(counts) * FLOAT


def _size(output: Any) -> int:
    """Return how many numbers a part puts out: a tensor, or several, as recurrent ones do."""
    if isinstance(output, torch.Tensor):
        return output.numel()
    parts = output.values() if isinstance(output, Mapping) else output
    return sum(map(_size, parts)) if isinstance(parts, Iterable) and not isinstance(parts, str) else 0
