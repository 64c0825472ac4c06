"""Decays of the learning rate: a factor for the share of the training that is done, 0 to 1."""

import math

from explorer.registry import register


@register("lr_decay", "constant")
def constant(done: float) -> float:  # noqa: ARG001
    """The learning rate stays as it is.

    Formula: η
    Reference: Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586
    """
    return 1.0


@register("lr_decay", "cosine")
def cosine(done: float) -> float:
    """The learning rate falls slowly at first and at the end, to 0 with the last step.

    Formula: η · ½ (1 + cos πp), p the share of all steps that is done
    Reference: Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983
    """
    return (1 + math.cos(math.pi * done)) / 2


@register("lr_decay", "linear")
def linear(done: float) -> float:
    """The learning rate falls evenly, to 0 with the last step.

    Formula: η · (1 − p), p the share of all steps that is done
    Reference: Li, Yumer & Ramanan 2020, https://arxiv.org/abs/1905.04753
    """
    return 1 - done
