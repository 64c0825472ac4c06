"""Scores of a network's layers: a criterion, given the quantities that it asks for."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from explorer.engine.pruning.score_inputs import QUANTITIES, ByLayer, ScoringContext
from explorer.registry import Method

LONGEST = 150  # characters of another library's words


class NonFiniteScores(ValueError):  # noqa: N818  it names a state of the weights
    """Scores are not numbers: the weights, or the loss over the scoring set, have diverged."""


def score(criterion: Method, context: ScoringContext, options: Mapping[str, Any]) -> list[Tensor]:
    """Return each layer's scores, [1, *shape] or [1, units].

    A criterion may write into what it gets: these are copies. Raises ValueError where a score is not finite,
    or scores are of another shape; TypeError where they are no tensor.
    """
    inputs = compute_inputs(criterion.needs, context)
    scores = []
    for layer in context.layers:
        copies = [inputs[need][layer].detach().clone().unsqueeze(0) for need in criterion.needs]
        shape = context.parameters[context.weight_name(layer)].shape
        values = _checked(criterion, criterion(*copies, **options), layer, shape)
        if not torch.isfinite(values).all():
            raise NonFiniteScores(
                f"criterion {criterion.name!r} gives scores that are not finite in layer {layer!r}"
            )
        scores.append(values)
    return scores


def _checked(criterion: Method, values: object, layer: str, shape: torch.Size) -> Tensor:
    """Return a layer's scores as floating-point numbers, if they fit its weight's shape."""
    what = f"criterion {criterion.name!r} gives layer {layer!r}"
    if not isinstance(values, Tensor):
        raise TypeError(f"{what} {type(values).__name__}, not a tensor of scores")
    whole = criterion.traits.granularity and "weight" not in criterion.traits.granularity
    allowed = [1, *shape[:1]] if whole else [1, *shape]
    if list(values.shape) not in ([1, *shape], allowed):
        raise ValueError(
            f"{what} scores of shape {list(values.shape)}, but it must be {allowed}: a score each, behind "
            "the dimension of runs that all inputs have"
        )
    return values if values.is_floating_point() else values.float()


def compute_inputs(needs: Iterable[str], context: ScoringContext) -> dict[str, ByLayer]:
    """Compute what is asked for and nothing else; raise ValueError where that cannot be done."""
    return {need: _compute(need, context) for need in needs}


def _compute(need: str, context: ScoringContext) -> ByLayer:
    try:
        return QUANTITIES[need](context)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError, TypeError, AttributeError) as error:
        # torch's own: shapes, what it cannot differentiate, an answer that the loss cannot take
        reason, inputs = (
            str(error).partition("\n")[0],
            "" if context.x is None else f" {list(context.x.shape)}",
        )
        raise ValueError(
            f"{need!r}, which this criterion scores by, cannot be computed for "
            f"{type(context.module).__name__} and inputs{inputs}: {reason[:LONGEST].rstrip('.')}. "
            "Look at model, inputs, labels and loss, or take another criterion"
        ) from error


def check_scorable(criterion: Method, context: ScoringContext, options: Mapping[str, Any]) -> None:
    """Raise ValueError where a criterion cannot score a network, tried on the first two images."""
    few = [None if t is None else t[:2] for t in (context.x, context.labels)]
    with contextlib.suppress(NonFiniteScores):  # those of all images, at another time, may be
        score(criterion, replace(context, x=few[0], labels=few[1]), options)
