"""How images, layers and rows lie in memory for the compiled kernels: flat arrays and offsets.

A weight is held transposed to torch's, [in + 1, U], the bias as its last row; the columns are filled up with
zeros to whole vectors.

Shapes: N images, B batch, U units of a layer in whole vectors.
"""

from typing import Any, NamedTuple

import numpy as np

VECTOR = 16  # numbers in a vector; a processor with shorter registers takes several for one
RELU, SIGMOID, TANH = 1, 2, 3


class PixelData(NamedTuple):
    """Images as sparse rows (CSR) of their pixels that are not 0, and their labels."""

    starts: Any  # where each image begins, int64 [N + 1]
    columns: Any  # which pixel, uint16
    values: Any  # its brightness, uint8
    labels: Any  # int64 [N]
    scale: Any  # what one unit of brightness is to the network
    background: Any  # what a pixel of 0 is to it, [pixels]
    pixels: int  # of an image; all columns are below it


LAYER = np.dtype(  # where a Linear layer lies
    [
        ("inputs", np.int64),
        ("units", np.int64),
        ("padded_units", np.int64),  # in whole vectors
        ("packed", np.int64),  # where it begins in a packed row
        ("weight", np.int64),  # where its weight begins in torch's row
        ("bias", np.int64),
        ("outputs", np.int64),  # where its outputs begin in the workspace
    ]
)


class NetLayout(NamedTuple):
    """A chain of Linear layers."""

    layers: Any  # of the dtype LAYER
    activations: Any  # the one behind each, int64; 0 for none
    quadratic: bool  # the loss is half the squared distance instead of the cross-entropy


class PackedRow(NamedTuple):
    """A row of the stack, packed: all as long, or empty where there is none."""

    weights: Any
    grad: Any
    velocity: Any
    mask: Any


class SgdNumbers(NamedTuple):
    """What steers the steps of one row."""

    lr: Any  # of each step, [steps]
    momentum: float
    weight_decay: float
    max_norm: float  # below 0 for no clipping


class Workspace(NamedTuple):
    """Scratch memory of one thread."""

    pixel_images: Any  # for each pixel the images of the batch that have it, [pixels · B]
    pixel_values: Any  # and how bright
    pixel_counts: Any  # and how many they are, [pixels], 0 between two steps
    transposed: Any  # a weight as torch has it, [units, U]
    outputs: Any  # of all layers, [B, U] each; on the way back the gradients before their activations
    output_grad: Any  # the gradient behind a layer's activation, [B, U]
    blank: Any  # what the first layer makes of an image without light, [U]
    arange: Any  # 0, 1, 2, ...
    ones: Any


def workspace_sizes(layers: Any, size: int) -> dict[str, int]:
    """Return how many numbers each part of a workspace has for batches of `size` images, by its name."""
    pixels, padded = int(layers["inputs"][0]), layers["padded_units"]
    widest, most = int(padded.max()), max(pixels, size)
    return {
        "pixel_images": pixels * size,
        "pixel_values": pixels * size,
        "pixel_counts": pixels,
        "transposed": int((layers["units"][1:] * padded[:-1]).max(initial=0)),
        "outputs": int(size * padded.sum()),
        "output_grad": size * widest,
        "blank": widest,
        "arange": most,
        "ones": most,
    }
