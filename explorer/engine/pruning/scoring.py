"""Scores of a network's layers: a criterion, given the quantities that it asks for."""

from collections.abc import Iterable

import torch
from torch import Tensor

from explorer.engine.pruning.score_inputs import QUANTITIES, ByLayer, ScoringContext
from explorer.registry import Method, unknown


class NonFiniteScores(ValueError):  # noqa: N818  it names a state of the weights
    """Scores are not numbers: the weights, or the loss over the scoring set, have diverged."""


def score(criterion: Method, scene: ScoringContext, options: dict[str, object]) -> list[Tensor]:
    """The scores of each layer, [1, *shape] or [1, units]; raises ValueError where they are not finite."""
    found = collect(criterion.needs, scene)
    scores = [
        criterion(*(found[need][layer].unsqueeze(0) for need in criterion.needs), **options)
        for layer in scene.layers
    ]
    for layer, values in zip(scene.layers, scores, strict=True):
        if not torch.isfinite(values).all():
            raise NonFiniteScores(
                f"criterion {criterion.name!r} gives scores that are not finite in layer {layer!r}"
            )
    return scores


def collect(needs: Iterable[str], scene: ScoringContext) -> dict[str, ByLayer]:
    """Computes the quantities that are asked for, and no others."""
    for need in needs:
        if need not in QUANTITIES:
            raise ValueError(unknown("a criterion's parameter", need, QUANTITIES))
    return {need: QUANTITIES[need](scene) for need in needs}
