"""What the kernels work on: images, layers and rows as flat arrays.

A weight is held the other way round than torch has it, [in + 1, out], the bias as the last row; columns are
filled up with zeros to whole vectors.
"""

from typing import Any, NamedTuple

VECTOR = 16  # numbers in a vector; a processor with shorter registers takes several for one
RELU, SIGMOID, TANH = 1, 2, 3


class Data(NamedTuple):
    """Images, as `nonzero` has them, and their labels."""

    first: Any  # where each image begins, int64 [N + 1]
    columns: Any  # of the pixels that are lit
    values: Any  # their brightness, 0 to 255
    labels: Any  # int64 [N]
    worth: Any  # of one unit of brightness, as the network sees it
    background: Any  # what a pixel of 0 is to the network, [pixels]


class NetLayout(NamedTuple):
    """A chain of Linear layers."""

    layers: Any  # a line for each, int64 [layers, 7], in the order of Layer
    kinds: Any  # the activation behind each, 0 for none
    quadratic: bool  # the loss is half the squared distance instead of the cross-entropy


class LayerLayout(NamedTuple):
    """A line of Net's layers."""

    inputs: int
    units: int
    wide: int  # the units in whole vectors
    at: int  # where it begins in a packed row
    weight: int  # where its weight begins in torch's row
    bias: int
    start: int  # where its outputs begin


class PackedRow(NamedTuple):
    """A row of the stack, packed: all as long, or empty where there is none."""

    weights: Any
    grad: Any
    velocity: Any
    mask: Any


class Workspace(NamedTuple):
    """Room to work in."""

    by: Any  # for each pixel the images that have it, [pixels · size]
    bright: Any  # and how bright
    seen: Any  # and how many they are, 0 between two steps
    turned: Any  # a weight the other way round
    outputs: Any  # of all layers; on the way back their gradients
    below: Any  # the gradient behind a layer's activation
    basis: Any  # what the first layer answers to an image without light
    every: Any  # 0, 1, 2, …
    ones: Any
