"""What Python may call of the compiled kernels: each call is held to sizes that fit, then runs.

Machine code reads and writes where it is told to; a size that does not fit would end the process, or train
on memory of somebody else's. What is checked here costs microseconds a chunk of steps.

Shapes: N images, n pixels of an image.
"""

from typing import Any

import numpy as np

from explorer.engine.execution import numba_kernels
from explorer.engine.execution.kernel_layout import (
    VECTOR,
    NetLayout,
    PackedRow,
    PixelData,
    SgdNumbers,
    Workspace,
    workspace_sizes,
)

MOST_PIXELS = 2**16  # columns are counted in 16 bits


def nonzero(pixels: Any) -> Any:
    """Return where pixels, uint8 [N, n], are not 0: where each image begins, [N + 1], columns and values."""
    _need(pixels.ndim == 2 and pixels.dtype == np.uint8, f"pixels are {pixels.dtype} of {pixels.shape}")
    _need(pixels.shape[1] <= MOST_PIXELS, f"an image has {pixels.shape[1]} pixels, more than {MOST_PIXELS}")
    return numba_kernels.nonzero(pixels)


def reorder(row: Any, packed: Any, layers: Any, back: bool) -> None:
    """Copy a row from torch's order, [P], to the kernels', or back."""
    _check_layers(layers)
    _need(len(packed) == _width(layers), f"a packed row has {len(packed)} numbers, not {_width(layers)}")
    weights = layers["weight"] + layers["inputs"] * layers["units"]
    end = int(max(weights.max(), (layers["bias"] + layers["units"]).max()))
    begin = int(min(layers["weight"].min(), layers["bias"].min()))
    _need(begin >= 0 and end <= len(row), f"layers lie from {begin} to {end} in a row of {len(row)}")
    numba_kernels.reorder(row, packed, layers, back)


def evaluate(
    data: PixelData, order: Any, size: int, net: NetLayout, weights: Any, ws: Workspace, answers: Any
) -> Any:
    """Return the summed loss of an order's images, [n], and how many are right; `answers`, [n], is filled."""
    _check_images(data, order, size, net, ws)
    width = _width(net.layers)
    _need(len(weights) == width, f"a packed row has {len(weights)} numbers, not {width}")
    _need(len(answers) >= len(order), f"{len(answers)} answers for {len(order)} images")
    return numba_kernels.evaluate(data, order, size, net, weights, ws, answers)


def train(
    data: PixelData,
    order: Any,
    size: int,
    net: NetLayout,
    row: PackedRow,
    numbers: SgdNumbers,
    ws: Workspace,
    log: Any,
) -> int:
    """Train a row on some batches in a row; return how many, fewer only where a gradient is not finite."""
    _check_images(data, order, size, net, ws)
    steps, width = len(log), _width(net.layers)
    _need(log.ndim == 2 and log.shape[1] >= 4, f"a log has shape {log.shape}, not [steps, 4]")
    _need((steps - 1) * size < len(order) or not steps, f"{len(order)} images for {steps} batches of {size}")
    _need(len(numbers.lr) >= steps, f"{len(numbers.lr)} learning rates for {steps} steps")
    for name, part in zip(row._fields, row, strict=True):
        optional = name in ("velocity", "mask")
        _need(len(part) == width or (optional and not len(part)), f"{name}: {len(part)} numbers, not {width}")
    done: int = numba_kernels.train(data, order, size, net, row, numbers, ws, log)
    return done


def _check_images(data: PixelData, order: Any, size: int, net: NetLayout, ws: Workspace) -> None:
    """Hold images, their order and scratch memory to a network."""
    layers = net.layers
    _check_layers(layers)
    _need(len(net.activations) == len(layers), f"{len(net.activations)} activations, {len(layers)} layers")
    inputs, classes, count = int(layers["inputs"][0]), int(layers["units"][-1]), len(data.labels)
    _need(data.pixels == inputs, f"images have {data.pixels} pixels, the first layer takes {inputs}")
    _need(len(data.background) == inputs, f"the background has {len(data.background)} pixels, not {inputs}")
    _need(len(data.starts) == count + 1, f"{count} labels for {len(data.starts) - 1} images")
    lit = int(data.starts[-1])
    _need(len(data.columns) == len(data.values) == lit, f"{len(data.columns)} columns, {lit} bright pixels")
    _need(size >= 1, f"a batch of {size} images")
    if len(order):
        _need(order.min() >= 0 and order.max() < count, f"an order goes beyond the {count} images")
        labels = data.labels[order]
        _need(labels.min() >= 0 and labels.max() < classes, f"a label is none of 0 to {classes - 1}")
    padded = layers["padded_units"]
    outputs = np.cumsum(size * padded) - size * padded
    _need((layers["outputs"] == outputs).all(), f"outputs are not laid out for batches of {size} images")
    for name, least in workspace_sizes(layers, size).items():
        length = len(getattr(ws, name))
        _need(length >= least, f"the workspace's {name} has room for {length}, not for {least}")


def _check_layers(layers: Any) -> None:
    """Hold each layer to the one before it."""
    units, padded = layers["units"], layers["padded_units"]
    _need(len(layers) > 0 and min(layers["inputs"].min(), units.min()) > 0, "a layer is empty")
    _need((layers["inputs"][1:] == units[:-1]).all(), "a layer's inputs are not the units before it")
    _need((padded == -(-units // VECTOR) * VECTOR).all(), f"units are not filled up to vectors of {VECTOR}")
    lengths = (layers["inputs"] + 1) * padded
    _need((layers["packed"] == np.cumsum(lengths) - lengths).all(), "layers do not follow each other")


def _width(layers: Any) -> int:
    """Return how many numbers a packed row has."""
    return int(((layers["inputs"] + 1) * layers["padded_units"]).sum())


def _need(fits: object, problem: str) -> None:
    if not fits:
        raise ValueError(f"sizes do not fit a compiled kernel: {problem}")
