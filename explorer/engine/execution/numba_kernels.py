"""Steps of a chain of Linear layers as machine code, compiled by numba for the processor at hand.

What is fast here: four of five pixels are 0, and what is 0 is passed over; a step is one piece of code from
the batch to the new weights; Python's lock is free meanwhile, so rows train on as many cores as there are.

Weights are held the other way round than torch has them, [in + 1, out], the bias as the last row; columns are
filled up with zeros to whole vectors. A first layer then adds up rows, one for each pixel that is lit.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from explorer.engine.execution.kernel_layout import (
    RELU,
    SIGMOID,
    TANH,
    VECTOR,
    Data,
    NetLayout,
    PackedRow,
    Workspace,
)
from explorer.engine.execution.llvm_vectors import add_rows, borrowed, multiply, part_of, prefetch

AHEAD = 2  # images from the one that is looked at to the one that is asked for
TINY = 1e-6  # as in the clip rule
# What "fast" may reorder, but NaN and infinity stay what they are: a run that diverges must show it.
compiled = njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, nogil=True, cache=True, error_model="numpy")


@compiled
def nonzero(pixels: Any) -> Any:
    """Where pixels, uint8 [N, n], are not 0: the first place of each image, [N + 1], columns and values."""
    images, many = pixels.shape
    first = np.zeros(images + 1, np.int64)
    for i in range(images):
        count = 0
        for j in range(many):
            count += pixels[i, j] != 0
        first[i + 1] = first[i] + count
    columns, values = np.empty(first[images], np.uint16), np.empty(first[images], np.uint8)
    for i in range(images):
        k = first[i]
        for j in range(many):
            if pixels[i, j] != 0:
                columns[k], values[k] = j, pixels[i, j]
                k += 1
    return first, columns, values


@compiled
def _fill(out: Any, value: Any) -> None:
    for o in range(len(out)):
        out[o] = value


@compiled
def _clear(table: Any) -> None:
    for j in range(len(table)):
        _fill(table[j], 0)


@compiled
def _copy(out: Any, source: Any) -> None:
    for o in range(len(out)):
        out[o] = source[o]


@compiled
def reorder(row: Any, packed: Any, layers: Any, back: bool) -> None:
    """From torch's order, [P], to ours, or back."""
    for n in range(len(layers)):
        inputs, units, wide, at, weight, bias, _ = layers[n]
        table = part_of(packed, at, inputs + 1, wide)
        for block in range(0, inputs, VECTOR):
            end = min(block + VECTOR, inputs)
            for o in range(units):
                line = row[weight + o * inputs : weight + (o + 1) * inputs]
                for i in range(block, end):
                    if back:
                        line[i] = table[i, o]
                    else:
                        table[i, o] = line[i]
        for o in range(units):
            if back:
                row[bias + o] = table[inputs, o]
            else:
                table[inputs, o] = row[bias + o]


@compiled
def _activate(z: Any, kind: int) -> None:
    """An activation in place; what is not a number stays so."""
    if kind == RELU:
        for o in range(len(z)):
            z[o] = 0 if z[o] <= 0 else z[o]
    elif kind == SIGMOID:
        for o in range(len(z)):
            z[o] = 1 / (1 + math.exp(-z[o]))
    elif kind == TANH:
        for o in range(len(z)):
            z[o] = math.tanh(z[o])


@compiled
def _derive(h: Any, d: Any, kind: int) -> None:
    """The gradient before an activation over its outputs `h`, from the gradient behind it, `d`."""
    for o in range(len(h)):
        if kind == RELU:
            h[o] = 0 if h[o] <= 0 else d[o]
        elif kind == SIGMOID:
            h[o] = d[o] * h[o] * (1 - h[o])
        elif kind == TANH:
            h[o] = d[o] * (1 - h[o] * h[o])
        else:
            h[o] = d[o]


@compiled
def _loss(z: Any, label: int, images: int, quadratic: bool) -> Any:
    """The loss of an image by its logits, which become its gradient over `images`."""
    total = z[0] * 0
    if quadratic:  # half the squared distance from the one-hot label
        z[label] -= 1
        for o in range(len(z)):
            total += z[o] * z[o]
            z[o] /= images
        return total / 2
    top, true = z[0], z[label]
    for o in range(1, len(z)):
        top = max(top, z[o])
    for o in range(len(z)):
        z[o] = math.exp(z[o] - top)
        total += z[o]
    for o in range(len(z)):
        z[o] /= total * images
    z[label] -= z.dtype.type(1) / images
    return math.log(total) + top - true


@compiled
def _masked_square(g: Any, mask: Any, masked: bool) -> Any:
    """The squared length of a gradient where the mask, if there is one, is 1; elsewhere it becomes 0."""
    total = g[0] * 0
    if masked:
        for i in range(len(g)):
            g[i] *= mask[i]
            total += g[i] * g[i]
    else:
        for i in range(len(g)):
            total += g[i] * g[i]
    return total


@compiled
def _update(w: Any, g: Any, v: Any, scale: Any, rate: Any, momentum: Any, decay: Any) -> None:
    """Stochastic gradient descent with coupled weight decay, and momentum where there is a velocity."""
    if len(v):
        for i in range(len(w)):
            v[i] = momentum * v[i] + (scale * g[i] + decay * w[i])
            w[i] -= rate * v[i]
    elif decay != 0:
        for i in range(len(w)):
            w[i] -= rate * (scale * g[i] + decay * w[i])
    else:
        for i in range(len(w)):
            w[i] -= rate * scale * g[i]


@compiled
def _ask_for(data: Data, image: int) -> None:
    """Asks for the pixels of an image that comes soon."""
    for i in range(data.first[image], data.first[image + 1], 32):
        prefetch(data.columns, i)
    for i in range(data.first[image], data.first[image + 1], 64):
        prefetch(data.values, i)


@compiled
def _note(data: Data, order: Any, images: int, size: int, room: Workspace) -> None:
    """For each pixel which images of the batch have it, and how bright."""
    for b in range(images):
        if b + AHEAD < len(order):
            _ask_for(data, order[b + AHEAD])
        begin, end = data.first[order[b]], data.first[order[b] + 1]
        lit, light = data.columns[begin:end], data.values[begin:end]
        for i in range(len(lit)):
            pixel = np.uintp(lit[i])
            place = pixel * np.uintp(size) + np.uintp(room.seen[pixel])
            room.by[place], room.bright[place] = b, light[i]
            room.seen[pixel] += 1


@compiled
def _look(data: Data, order: Any, table: Any, basis: Any, z: Any) -> None:
    """The first layer before its activation, [images, wide]."""
    for b in range(len(z)):
        if b + AHEAD < len(order):
            _ask_for(data, order[b + AHEAD])
        begin, end = data.first[order[b]], data.first[order[b] + 1]
        out = z[b]
        _fill(out, 0)
        add_rows(out, table, data.columns[begin:end], data.values[begin:end], 0, end - begin)
        for o in range(len(out)):
            out[o] = basis[o] + data.worth * out[o]


@compiled
def _forward(data: Data, order: Any, images: int, net: NetLayout, weights: Any, room: Workspace) -> Any:
    """The logits of the first so many images of an order, [images, wide]."""
    for n in range(len(net.layers)):
        inputs, _, wide, at, _, _, start = net.layers[n]
        table, z = part_of(weights, at, inputs + 1, wide), part_of(room.outputs, start, images, wide)
        if n == 0:
            basis = room.basis[:wide]
            _copy(basis, table[inputs])
            add_rows(basis, table, room.every, data.background, 0, inputs)
            _look(data, order, table, basis, z)
        else:
            h = part_of(room.outputs, net.layers[n - 1, 6], images, net.layers[n - 1, 2])
            for b in range(images):
                _copy(z[b], table[inputs])
            multiply(z, h, table[:inputs], False)
        for b in range(images):
            _activate(z[b], net.kinds[n])
    _, _, wide, _, _, _, start = net.layers[len(net.layers) - 1]
    return part_of(room.outputs, start, images, wide)


@compiled
def _learn_input(grads: Any, d: Any, data: Data, size: int, room: Workspace) -> None:
    """The gradient of the first layer's weight, [in + 1, wide], from the one behind it, [images, wide]."""
    inputs = len(grads) - 1
    for b in range(len(d)):
        for o in range(d.shape[1]):
            d[b, o] *= data.worth
    for j in range(inputs):
        for o in range(grads.shape[1]):
            grads[j, o] = data.background[j] * grads[inputs, o]
        add_rows(grads[j], d, room.by, room.bright, j * size, j * size + room.seen[j])
        room.seen[j] = 0


@compiled
def _learn_hidden(n: int, grads: Any, d: Any, net: NetLayout, weights: Any, room: Workspace) -> None:
    """The gradient of a later layer's weight; the outputs of the layer before become their gradient."""
    inputs, units, wide, at, _, _, _ = net.layers[n]
    before, images = net.layers[n - 1, 2], len(d)
    table, h = part_of(weights, at, inputs, wide), part_of(room.outputs, net.layers[n - 1, 6], images, before)
    _clear(grads[:inputs])
    multiply(grads[:inputs], h, d, True)
    turned, below = part_of(room.turned, 0, units, before), part_of(room.below, 0, images, before)
    _clear(turned)
    for k in range(inputs):
        for o in range(units):
            turned[o, k] = table[k, o]
    _clear(below)
    multiply(below, d, turned, False)
    for b in range(images):
        _derive(h[b], below[b], net.kinds[n - 1])


@compiled
def judge(
    data: Data, order: Any, size: int, net: NetLayout, weights: Any, room: Workspace, answers: Any
) -> Any:
    """The sum of the losses of some images, and how many answers are right; `answers` are their classes."""
    data, order, net, weights, room = borrowed((data, order, net, weights, room))
    units, loss, right = net.layers[len(net.layers) - 1, 1], 0.0, 0
    for begin in range(0, len(order), size):
        images = min(size, len(order) - begin)
        z = _forward(data, order[begin:], images, net, weights, room)
        for b in range(images):
            label, best = data.labels[order[begin + b]], 0
            for o in range(1, units):
                best = o if z[b, o] > z[b, best] else best
            answers[begin + b] = best
            right += best == label
            loss += _loss(z[b, :units], label, images, net.quadratic)
    return loss, right


@compiled
def steps(
    data: Data, order: Any, size: int, net: NetLayout, row: PackedRow, rates: Any, room: Workspace, log: Any
) -> int:
    """Trains a row on some batches in a row; returns how many, fewer only where a gradient is not finite.

    Args:
        data: all images.
        order: those of the batches, [n]; the last batch may be smaller.
        size: images in a batch.
        net: the layers.
        row: what is trained.
        rates: learning rate of each step [steps]; momentum, weight decay, and clip norm, below 0 for none.
        room: to work in.
        log: loss, norm, clipped norm and whether the clip bound, a line for each step, [steps, 4].
    """
    data, order, net, row, room = borrowed((data, order, net, row, room))
    lr, momentum, decay, max_norm = rates
    last, number, masked = len(net.layers) - 1, row.weights.dtype.type, len(row.mask) > 0
    for n in range(len(log)):
        chosen = order[n * size :]
        images = min(size, len(chosen))
        _note(data, chosen, images, size, room)
        z = _forward(data, chosen, images, net, row.weights, room)
        loss, square, units = 0.0, 0.0, net.layers[last, 1]
        for b in range(images):
            _fill(z[b, units:], 0)
            loss += _loss(z[b, :units], data.labels[chosen[b]], images, net.quadratic)
        for k in range(last, -1, -1):
            inputs, _, wide, at, _, _, start = net.layers[k]
            d, grads = part_of(room.outputs, start, images, wide), part_of(row.grad, at, inputs + 1, wide)
            _fill(grads[inputs], 0)
            add_rows(grads[inputs], d, room.every, room.ones, 0, images)
            if k:
                _learn_hidden(k, grads, d, net, row.weights, room)
            else:
                _learn_input(grads, d, data, size, room)
            end = at + (inputs + 1) * wide
            square += _masked_square(row.grad[at:end], row.mask[at:end], masked)
        norm = math.sqrt(square)
        if not math.isfinite(norm):
            return n
        shrink = 1.0 if max_norm < 0 else min(1.0, max_norm / (norm + TINY))
        log[n, 0], log[n, 1], log[n, 2], log[n, 3] = loss / images, norm, norm * shrink, shrink < 1
        numbers = number(shrink), number(lr[n]), number(momentum), number(decay)
        _update(row.weights, row.grad, row.velocity, *numbers)
    return len(log)
