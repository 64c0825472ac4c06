"""Steps of a chain of Linear layers as machine code, compiled by numba for the processor at hand.

What is fast here: four of five pixels are 0, and what is 0 is passed over; a step is one piece of code from
the batch to the new weights; Python's lock is free meanwhile, so rows train on as many cores as there are.
A first layer adds up rows of its weight, [in + 1, U], one for each pixel that is not 0.

`kernel_calls` calls `nonzero`, `reorder`, `evaluate` and `train`; sizes are checked there, not here.

Shapes: N images, B images of a batch, U units of a layer in whole vectors.
"""

import math
from typing import Any

import numpy as np
from numba import njit  # the files of its cache are guarded in `kernel_loader`

from explorer.engine.execution.kernel_layout import (
    RELU,
    SIGMOID,
    TANH,
    VECTOR,
    NetLayout,
    PackedRow,
    PixelData,
    SgdNumbers,
    Workspace,
)
from explorer.engine.execution.llvm_vectors import add_rows, matrix_view, multiply, prefetch, uncounted

AHEAD = 2  # images from the one that is read to the one that is prefetched
TINY = 1e-6  # as in the clip rule
# What "fast" may reorder, but NaN and infinity stay what they are: a run that diverges must show it.
compiled = njit(fastmath={"reassoc", "contract", "nsz", "arcp"}, nogil=True, cache=True, error_model="numpy")


@compiled
def nonzero(pixels: Any) -> Any:
    """Return where pixels, uint8 [N, n], are not 0: where each image begins, [N + 1], columns and values."""
    images, many = pixels.shape
    starts = np.zeros(images + 1, np.int64)
    for i in range(images):
        count = 0
        for j in range(many):
            count += pixels[i, j] != 0
        starts[i + 1] = starts[i] + count
    columns, values = np.empty(starts[images], np.uint16), np.empty(starts[images], np.uint8)
    for i in range(images):
        k = starts[i]
        for j in range(many):
            if pixels[i, j] != 0:
                columns[k], values[k] = j, pixels[i, j]
                k += 1
    return starts, columns, values


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
    """Copy a row from torch's order, [P], to the kernels', or back."""
    for n in range(len(layers)):
        layer = layers[n]
        inputs, units, weight, bias = layer.inputs, layer.units, layer.weight, layer.bias
        table = matrix_view(packed, layer.packed, inputs + 1, layer.padded_units)
        for block in range(0, inputs, VECTOR):  # whole cache lines of both
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
def _activate(z: Any, activation: int) -> None:
    """Apply an activation in place; what is not a number stays so."""
    if activation == RELU:
        for o in range(len(z)):
            z[o] = 0 if z[o] <= 0 else z[o]
    elif activation == SIGMOID:
        for o in range(len(z)):
            z[o] = 1 / (1 + math.exp(-z[o]))
    elif activation == TANH:
        for o in range(len(z)):
            z[o] = math.tanh(z[o])


@compiled
def _derive(h: Any, d: Any, activation: int) -> None:
    """Turn an activation's outputs `h` into the gradient before it, from the gradient behind it, `d`."""
    for o in range(len(h)):
        if activation == RELU:
            h[o] = 0 if h[o] <= 0 else d[o]
        elif activation == SIGMOID:
            h[o] = d[o] * h[o] * (1 - h[o])
        elif activation == TANH:
            h[o] = d[o] * (1 - h[o] * h[o])
        else:
            h[o] = d[o]


@compiled
def _loss(z: Any, label: int, images: int, quadratic: bool) -> Any:
    """Return the loss of an image by its logits, which become their gradient over `images`."""
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
    """Return the squared length of a gradient, masked in place where there is a mask."""
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
    """Descend a row's scaled gradient, with coupled weight decay, and momentum where there is a velocity."""
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
def _prefetch(data: PixelData, image: int) -> None:
    """Prefetch the pixels of an image that comes soon."""
    for i in range(data.starts[image], data.starts[image + 1], 32):
        prefetch(data.columns, i)
    for i in range(data.starts[image], data.starts[image + 1], 64):
        prefetch(data.values, i)


@compiled
def _index_pixels(data: PixelData, order: Any, images: int, size: int, ws: Workspace) -> None:
    """List for each pixel the images of the batch that have it, and how bright."""
    for b in range(images):
        if b + AHEAD < len(order):
            _prefetch(data, order[b + AHEAD])
        begin, end = data.starts[order[b]], data.starts[order[b] + 1]
        columns, values = data.columns[begin:end], data.values[begin:end]
        for i in range(len(columns)):
            pixel = np.uintp(columns[i])
            k = pixel * np.uintp(size) + np.uintp(ws.pixel_counts[pixel])
            ws.pixel_images[k], ws.pixel_values[k] = b, values[i]
            ws.pixel_counts[pixel] += 1


@compiled
def _first_layer(data: PixelData, order: Any, table: Any, blank: Any, z: Any) -> None:
    """Write the first layer before its activation into `z`, [B, U]: `blank`, and a row for each pixel."""
    for b in range(len(z)):
        if b + AHEAD < len(order):
            _prefetch(data, order[b + AHEAD])
        begin, end = data.starts[order[b]], data.starts[order[b] + 1]
        out = z[b]
        _fill(out, 0)
        add_rows(out, table, data.columns[begin:end], data.values[begin:end], 0, end - begin)
        for o in range(len(out)):
            out[o] = blank[o] + data.scale * out[o]


@compiled
def _forward(data: PixelData, order: Any, images: int, net: NetLayout, weights: Any, ws: Workspace) -> Any:
    """Return the logits of the first so many images of an order, [B, U]; the workspace has all outputs."""
    for n in range(len(net.layers)):
        layer = net.layers[n]
        inputs, padded = layer.inputs, layer.padded_units
        table = matrix_view(weights, layer.packed, inputs + 1, padded)
        z = matrix_view(ws.outputs, layer.outputs, images, padded)
        if n == 0:
            blank = ws.blank[:padded]
            _copy(blank, table[inputs])
            add_rows(blank, table, ws.arange, data.background, 0, inputs)
            _first_layer(data, order, table, blank, z)
        else:
            h = matrix_view(ws.outputs, net.layers[n - 1].outputs, images, net.layers[n - 1].padded_units)
            for b in range(images):
                _copy(z[b], table[inputs])
            multiply(z, h, table[:inputs], False)
        for b in range(images):
            _activate(z[b], net.activations[n])
    last = net.layers[len(net.layers) - 1]
    return matrix_view(ws.outputs, last.outputs, images, last.padded_units)


@compiled
def _first_gradient(grads: Any, d: Any, data: PixelData, size: int, ws: Workspace) -> None:
    """Write the gradient of the first layer's weight, [in + 1, U], from that of its outputs, [B, U]."""
    inputs = len(grads) - 1  # the last row is the bias's gradient: the background's share in each other row
    for b in range(len(d)):
        for o in range(d.shape[1]):
            d[b, o] *= data.scale
    for j in range(inputs):
        for o in range(grads.shape[1]):
            grads[j, o] = data.background[j] * grads[inputs, o]
        add_rows(grads[j], d, ws.pixel_images, ws.pixel_values, j * size, j * size + ws.pixel_counts[j])
        ws.pixel_counts[j] = 0


@compiled
def _hidden_gradient(n: int, grads: Any, d: Any, net: NetLayout, weights: Any, ws: Workspace) -> None:
    """Write the gradient of a later layer's weight; the outputs of the layer before become their gradient."""
    layer, before, images = net.layers[n], net.layers[n - 1], len(d)
    inputs, units, padded = layer.inputs, layer.units, before.padded_units
    table = matrix_view(weights, layer.packed, inputs, layer.padded_units)
    h = matrix_view(ws.outputs, before.outputs, images, padded)
    _clear(grads[:inputs])
    multiply(grads[:inputs], h, d, True)
    transposed = matrix_view(ws.transposed, 0, units, padded)
    behind = matrix_view(ws.output_grad, 0, images, padded)
    _clear(transposed)
    for k in range(inputs):
        for o in range(units):
            transposed[o, k] = table[k, o]
    _clear(behind)
    multiply(behind, d, transposed, False)
    for b in range(images):
        _derive(h[b], behind[b], net.activations[n - 1])


@compiled
def evaluate(
    data: PixelData, order: Any, size: int, net: NetLayout, weights: Any, ws: Workspace, answers: Any
) -> Any:
    """Return the summed loss of an order's images, [n], and how many are right; `answers`, [n], is filled."""
    data, order, net, weights, ws = uncounted((data, order, net, weights, ws))
    units, loss, correct = net.layers[len(net.layers) - 1].units, 0.0, 0
    for begin in range(0, len(order), size):
        images = min(size, len(order) - begin)
        z = _forward(data, order[begin:], images, net, weights, ws)
        for b in range(images):
            label, best = data.labels[order[begin + b]], 0
            for o in range(1, units):
                best = o if z[b, o] > z[b, best] else best
            answers[begin + b] = best
            correct += best == label
            loss += _loss(z[b, :units], label, images, net.quadratic)
    return loss, correct


@compiled
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
    """Train a row on some batches in a row; return how many, fewer only where a gradient is not finite.

    Args:
        data: all images.
        order: those of the batches, [n]; the last batch may be smaller.
        size: images in a batch.
        net: the layers.
        row: what is trained.
        numbers: what steers it.
        ws: scratch memory.
        log: loss, norm, clipped norm and whether the clip bound, a line for each step, [steps, 4].
    """
    data, order, net, row, ws = uncounted((data, order, net, row, ws))
    lr, momentum, decay, max_norm = numbers
    last, number, masked = len(net.layers) - 1, row.weights.dtype.type, len(row.mask) > 0
    for n in range(len(log)):
        batch = order[n * size :]
        images = min(size, len(batch))
        _index_pixels(data, batch, images, size, ws)
        z = _forward(data, batch, images, net, row.weights, ws)
        loss, square, units = 0.0, 0.0, net.layers[last].units
        for b in range(images):
            _fill(z[b, units:], 0)
            loss += _loss(z[b, :units], data.labels[batch[b]], images, net.quadratic)
        for k in range(last, -1, -1):
            layer = net.layers[k]
            begin, rows, padded = layer.packed, layer.inputs + 1, layer.padded_units
            d = matrix_view(ws.outputs, layer.outputs, images, padded)
            grads = matrix_view(row.grad, begin, rows, padded)
            _fill(grads[rows - 1], 0)
            add_rows(grads[rows - 1], d, ws.arange, ws.ones, 0, images)
            if k:
                _hidden_gradient(k, grads, d, net, row.weights, ws)
            else:
                _first_gradient(grads, d, data, size, ws)
            end = begin + rows * padded
            square += _masked_square(row.grad[begin:end], row.mask[begin:end], masked)
        norm = math.sqrt(square)
        if not math.isfinite(norm):
            return n
        shrink = 1.0 if max_norm < 0 else min(1.0, max_norm / (norm + TINY))
        log[n, 0], log[n, 1], log[n, 2], log[n, 3] = loss / images, norm, norm * shrink, shrink < 1
        scale, rate = number(shrink), number(lr[n])
        _update(row.weights, row.grad, row.velocity, scale, rate, number(momentum), number(decay))
    return len(log)
