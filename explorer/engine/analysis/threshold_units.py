"""What a threshold amounts to in every unit, and back into the unit that is in use.

Beside the units of a Pruning there are three shares: of units (percentile), of weights (sparsity), and
weights over weights that stay (compression). All is about the weights that a threshold set now would cut:
those just before the first prune event, or the present ones where that is still to come. A threshold in any
unit decides by how many units fall, k of n; each number that is shown is the shortest one that lets exactly
these fall, so that it can be typed in again.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from explorer import registry
from explorer.engine.network.state import LaneView
from explorer.engine.pruning.pruner import PruneDecision, Pruner
from explorer.engine.pruning.resolved import ResolvedPruning, resolve
from explorer.engine.pruning.unit_scores import UnitScores
from explorer.engine.training.lanes import Checkpoint, Lane
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment, Pruning

SHARES = ("percentile", "sparsity", "compression")  # of units, of weights, and weights over kept weights
SAFE = 3e-7  # what float32 may round away beside a bound, as a share of it

BELOW_ZERO = "{} = {:g}: no score is below 0; give a number from 0 on"
NO_SHARE = "{} = {:g} %: give a share from 0 % to less than 100 %"
NO_FACTOR = "compression = {:g}: give a factor of 1 or more; 10 leaves a tenth of the weights"
NOT_HERE = "{} has no meaning here; there are {}"


@dataclass(frozen=True)
class ThresholdRange:
    """A threshold in one unit; two different numbers where it is another one in each layer."""

    low: float
    high: float

    @classmethod
    def single(cls, value: float) -> "ThresholdRange":
        """Return the range of a number that is the same in all layers."""
        return cls(value, value)

    @property
    def one(self) -> bool:
        """Whether one number says it for all layers."""
        return self.low == self.high


class ThresholdConverter:
    """Converts thresholds between units, at one moment of a run.

    Args:
        pruner: of the network.
        scores: of the weights that are to be cut.
        pruning: that they were scored for; its threshold plays no part.
        scale: each layer's cut-off for a threshold of 1 in the unit in use, where that was fixed before.
    """

    def __init__(
        self, pruner: Pruner, scores: UnitScores, pruning: Pruning, scale: Sequence[float] = ()
    ) -> None:
        self.pruner, self.scores, self.pruning = pruner, scores, pruning
        self.unit_count = sum(len(s) for s in scores.scores)
        self.weight_count = pruner.network.layout.prunable
        self.scales = {
            unit: scores.cutoffs_at_one(registry.get("unit", unit)) for unit in cutoff_units(scores.resolved)
        }
        if scale:
            self.scales[pruning.unit] = list(scale)
        self._decisions: dict[float, PruneDecision] = {}  # the last one

    @classmethod
    def of(
        cls, trainer: Trainer, experiment: Experiment | None = None, point: Checkpoint | None = None
    ) -> "ThresholdConverter":
        """Return the converter of a run as it is now, or as it was at a point."""
        view, step = trainer.prune_base(point)
        lane, pruner = (point or trainer).lanes[0], trainer.pruner
        before = trainer.checkpoint if point is None else point.earlier
        experiment = experiment or lane.experiment
        assert experiment.pruning is not None
        scores = None if before is None else _scores_of_only_event(view, lane, experiment.pruning)
        if scores is None:
            scores = pruner.score(pruner.with_batch_statistics(view, experiment), experiment, step)
        return cls(pruner, scores, experiment.pruning, lane.scale if before is None else ())

    @property
    def units(self) -> tuple[str, ...]:
        """All units that have a meaning here."""
        return (*self.scales, *SHARES)

    def decide(self, threshold: float) -> PruneDecision:
        """Decide what a threshold in the unit in use keeps."""
        if threshold not in self._decisions:
            scale = self.scales.get(self.pruning.unit, ())
            self._decisions = {threshold: self.pruner.select(self.scores, threshold, scale)}
        return self._decisions[threshold]

    # -- from the unit in use -------------------------------------------------------------------------

    def in_all_units(
        self, threshold: float, decision: PruneDecision | None = None
    ) -> dict[str, ThresholdRange]:
        """Convert a threshold into each unit; `decision` is what it decided, where that is known."""
        decision = decision or self.decide(threshold)
        ranges = {unit: self._cutoff(decision, unit) for unit in self.scales}
        k, pruned = sum(int((~u).sum()) for u in decision.units), self._pruned(decision)
        stay = self.weight_count - pruned
        ranges["percentile"] = ThresholdRange.single(_share(k, self.unit_count))
        ranges["sparsity"] = ThresholdRange.single(_share(pruned, self.weight_count))
        bounds = self.weight_count / (stay + 0.5), self.weight_count / (stay - 0.5) if stay else math.inf
        ranges["compression"] = ThresholdRange.single(shortest(*bounds) if stay else math.inf)
        used = "percentile" if self.pruning.unit == "sparsity" else self.pruning.unit
        # options may say how much falls
        exact = used != "percentile" or round(threshold * self.unit_count) == k
        return {**ranges, used: ThresholdRange.single(threshold)} if exact else ranges

    def _cutoff(self, decision: PruneDecision, unit: str) -> ThresholdRange:
        """Return the cut-off, in a unit: one for all layers where one parts what falls from the rest."""
        highest, lowest = -math.inf, math.inf
        for falls, stays in self._score_ranges(decision, self.scales[unit]):
            highest, lowest = max(highest, falls), min(lowest, stays)
        if highest < lowest:
            return ThresholdRange.single(_between(highest, lowest))
        each = [c / f for c, f in zip(decision.cutoffs, self.scales[unit], strict=True) if f]
        return ThresholdRange(min(each), max(each))

    def _score_ranges(self, decision: PruneDecision, scale: Sequence[float]) -> Iterator[tuple[float, float]]:
        """Yield of each layer the highest score that falls and the lowest that stays, over its factor."""
        layers = zip(decision.scores, decision.units, self.scores.alive, scale, strict=True)
        for s, keep, alive, factor in layers:
            if factor:
                falls = float(s.masked_fill(keep | ~alive, -math.inf).max())
                yield falls / factor, float(s.masked_fill(~keep, math.inf).min()) / factor

    # -- into the unit in use -------------------------------------------------------------------------

    def threshold(self, unit: str, value: float) -> float:
        """Return the threshold, in the unit in use, that lets as much fall as this value of another unit.

        Raises ValueError where the value has no meaning.
        """
        self._check(unit, value)
        if unit == self.pruning.unit and unit in self.scales:
            return value
        if unit == "compression":
            unit, value = "sparsity", 1 - 1 / value
        if unit == "sparsity" and self.unit_count == self.weight_count:
            unit = "percentile"
        if unit == "percentile" and self.pruning.unit == "sparsity":
            return value
        return self._threshold_pruning(self._units_pruned(unit, value))

    def _check(self, unit: str, value: float) -> None:
        if unit not in self.units:
            raise ValueError(NOT_HERE.format(unit, ", ".join(self.units)))
        if unit == "compression" and not 1 <= value < math.inf:
            raise ValueError(NO_FACTOR.format(value))
        if unit in ("percentile", "sparsity") and not 0 <= value < 1:
            raise ValueError(NO_SHARE.format(unit, 100 * value))
        if unit in self.scales and not (value >= 0 or self.scores.resolved.criterion.traits.signed):
            raise ValueError(BELOW_ZERO.format(unit, value))

    def _units_pruned(self, unit: str, value: float) -> int:
        """Return how many units fall at a value of a unit."""
        if unit == "percentile":
            return round(value * self.unit_count)
        if unit == "sparsity":
            return self._search(value * self.weight_count)
        layers = zip(self.scores.scores, self.scores.alive, self.scales[unit], strict=True)
        return sum(int(((s < value * factor) | ~alive).sum()) for s, alive, factor in layers)

    def _search(self, weights: float) -> int:
        """Return the number of units that have to fall for the pruned weights to come nearest to this."""

        def pruned(k: int) -> int:
            return self._pruned(self.decide(self._threshold_pruning(k)))

        low, high = 0, self.unit_count - 1
        while low < high:
            middle = (low + high) // 2
            if pruned(middle) < weights:
                low = middle + 1
            else:
                high = middle
        return min({max(low - 1, 0), low}, key=lambda k: abs(pruned(k) - weights))

    def _threshold_pruning(self, k: int) -> float:
        """Return the shortest threshold, in the unit in use, at which k units fall."""
        if self.pruning.unit == "sparsity":
            return _share(min(k, self.unit_count - 1), self.unit_count)
        ranked = self._ranked
        highest = float(ranked[k - 1]) if k else -math.inf
        lowest = float(ranked[k]) if k < len(ranked) else math.inf
        return _between(highest, lowest)

    @functools.cached_property
    def _ranked(self) -> torch.Tensor:
        """The thresholds of the unit in use at which one unit after the other falls."""
        layers = zip(self.scores.scores, self.scores.alive, self.scales[self.pruning.unit], strict=True)
        each = [
            (s.double() / f).masked_fill(~alive, -math.inf)
            for s, alive, f in layers
            if f  # a layer whose cut-off is always 0 loses nothing
        ]
        return torch.cat(each).sort().values

    def _pruned(self, decision: PruneDecision) -> int:
        """Return how many weights a decision prunes."""
        layers = self.pruner.network.layout.layers
        return sum(int((~layer.weight.of(decision.keep)).sum()) for layer in layers)


def _scores_of_only_event(view: LaneView, lane: Lane, pruning: Pruning) -> UnitScores | None:
    """Return the scores that the only prune event so far decided by: to take them again may cost seconds."""
    resolved, decision, before = resolve(pruning), lane.decision, lane.experiment.pruning
    events = sum(what == "prune" for _, what, *_ in lane.history.events)
    fresh = view.mask is None and events == 1
    same = before == pruning.model_copy(update={"threshold": before.threshold}) if before else False
    if decision is None or not (fresh and same) or resolved.rounds > 1:
        return None
    alive = [torch.ones_like(u) for u in decision.units]
    return UnitScores(resolved, view, decision.layers, decision.scores, alive)


def cutoff_units(resolved: ResolvedPruning) -> tuple[str, ...]:
    """Return the units that are cut-offs and have a meaning here; none where no score decides alone."""
    if resolved.granularity.traits.threshold or resolved.rounds > 1:
        return ()
    signed = resolved.criterion.traits.signed
    units = [unit for unit in registry.methods("unit") if not unit.traits.counts]
    return tuple(unit.name for unit in units if unit.traits.signed or not signed)


def shortest(low: float, high: float) -> float:
    """Return the number with the fewest digits between two, neither of them included."""
    middle = (low + high) / 2
    return next((x for d in range(1, 17) if low < (x := float(f"{middle:.{d}g}")) < high), middle)


def _between(highest: float, lowest: float) -> float:
    """Return the shortest cut-off that parts the highest score that falls from the lowest that stays."""
    if highest == -math.inf:
        return min(0.0, lowest)
    if lowest == math.inf:
        return shortest(highest, highest + (abs(highest) or 1.0))
    margin = SAFE * max(abs(highest), abs(lowest))
    low, high = highest + margin, lowest - margin
    return shortest(low, high) if low < high else lowest


def _share(k: int, n: int) -> float:
    """Return the shortest share of n that is rounded to k."""
    return shortest((k - 0.5) / n, (k + 0.5) / n) if k else 0.0
