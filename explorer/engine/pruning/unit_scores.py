"""The scores of a lane's units: all that a threshold decides by."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.engine.network.layout import Layer
from explorer.engine.network.state import LaneView
from explorer.engine.pruning import masking
from explorer.engine.pruning.resolved import ResolvedPruning

MARGIN = 0.1  # the default of splicing's option


@dataclass(frozen=True)
class UnitScores:
    """All that a threshold needs to decide about a lane; good for any number of thresholds."""

    resolved: ResolvedPruning
    view: LaneView
    layers: list[Layer]
    scores: list[Tensor]  # [units] a layer
    alive: list[Tensor]  # bool [units] a layer: those that are not pruned yet

    @functools.cached_property
    def std_values(self) -> Sequence[Tensor]:
        """The values whose standard deviation counts, [units] a layer."""
        weights = [layer.weight.of(self.view.row) for layer in self.layers]
        return self.resolved.std_values(weights, self.scores)

    def cutoffs_at_one(self, unit: Callable[..., Any] | None = None) -> list[float]:
        """Return each layer's cut-off for a threshold of 1, in the pruning's unit or in another one."""
        return masking.cutoffs_at_one(self.scores, self.alive, self.std_values, unit or self.resolved.unit)

    def thresholds(self, shares: Sequence[float]) -> list[float]:
        """Return the thresholds, in the pruning's unit, at which these shares of all units fall."""
        if self.resolved.unit.traits.counts:
            return list(shares)
        return masking.thresholds_at(self.scores, self.cutoffs_at_one(), shares)


def revive(scores: list[Tensor], alive: list[Tensor], margin: float) -> tuple[list[Tensor], list[Tensor]]:
    """Let pruned units compete again, their scores set back so that none flickers at the threshold."""
    lower = [torch.where(s > 0, s / margin, s * margin) for s in scores]  # a signed one below 0 falls, too
    back = [torch.where(stays, s, low) for s, low, stays in zip(scores, lower, alive, strict=True)]
    return back, [torch.ones_like(stays) for stays in alive]
