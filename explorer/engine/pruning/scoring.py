"""Scores of a network's layers: a criterion, given the quantities that it asks for."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from explorer.engine.pruning.score_inputs import QUANTITIES, ByLayer, ScoringContext
from explorer.registry import Method


class NonFiniteScores(ValueError):  # noqa: N818  it names a state of the weights
    """Scores are not numbers: the weights, or the loss over the scoring set, have diverged."""


def score(criterion: Method, context: ScoringContext, options: Mapping[str, Any]) -> list[Tensor]:
    """Return each layer's scores, [1, *shape] or [1, units]; raise ValueError where one is not finite."""
    inputs = compute_inputs(criterion.needs, context)
    scores = [
        criterion(*(inputs[need][layer].unsqueeze(0) for need in criterion.needs), **options)
        for layer in context.layers
    ]
    for layer, values in zip(context.layers, scores, strict=True):
        if not torch.isfinite(values).all():
            raise NonFiniteScores(
                f"criterion {criterion.name!r} gives scores that are not finite in layer {layer!r}"
            )
    return scores


def compute_inputs(needs: Iterable[str], context: ScoringContext) -> dict[str, ByLayer]:
    """Compute the quantities that are asked for, and no others."""
    return {need: QUANTITIES[need](context) for need in needs}
