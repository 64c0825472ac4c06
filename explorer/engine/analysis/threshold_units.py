"""Exchange: what a threshold is worth in every currency, and back into the unit that is in use.

All is about the weights that a threshold set now would cut: those just before the first prune event, or the
present ones where that is still to come. A threshold of any currency decides by how many units fall, k of n;
each number that is shown is the shortest one that lets exactly these fall, so that it can be typed in again.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from explorer import registry
from explorer.engine.network.state import LaneView
from explorer.engine.pruning import masking
from explorer.engine.pruning.pruner import PruneDecision, Pruner, Scored, rounds_of
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
    """A threshold in one currency; two different numbers where it is another one in each layer."""

    low: float
    high: float

    @property
    def one(self) -> bool:
        """Whether one number says it for all layers."""
        return self.low == self.high


class ThresholdConverter:
    """The rates at one moment of a run.

    Args:
        pruner: of the network.
        view: the weights that are to be cut.
        experiment: says how; its threshold is not looked at.
        step: of the run.
        scale: each layer's cut-off for a threshold of 1 in the unit in use, where that was fixed before.
        scored: the scores, where they are known.
    """

    def __init__(
        self,
        pruner: Pruner,
        view: LaneView,
        experiment: Experiment,
        step: int,
        *,
        scale: Sequence[float] = (),
        scored: Scored | None = None,
    ) -> None:
        assert experiment.pruning is not None
        self.pruner, self.pruning = pruner, experiment.pruning
        self.scored = scored or pruner.scored(pruner.ready(view, experiment), experiment, step)
        self.units = sum(len(s) for s in self.scored.scores)
        self.weights = sum(layer.weight.stop - layer.weight.start for layer in pruner.network.layout.layers)
        self.scales = {unit: self._scale(unit) for unit in cuts(self.pruning)}
        if scale:
            self.scales[self.pruning.unit] = list(scale)
        self._verdicts: dict[float, PruneDecision] = {}  # the last one
        self._sorted: torch.Tensor | None = None

    @classmethod
    def of(
        cls, trainer: Trainer, experiment: Experiment | None = None, point: Checkpoint | None = None
    ) -> "ThresholdConverter":
        """The rates of a run as it is now, or as it was at a point."""
        view, step = trainer.prune_base(point)
        lane = (point or trainer).lanes[0]
        before = trainer.checkpoint if point is None else point.earlier
        experiment = experiment or lane.experiment
        scored = None if before is None else _known(view, lane, experiment)
        scale = lane.scale if before is None else ()
        return cls(trainer.pruner, view, experiment, step, scale=scale, scored=scored)

    @property
    def currencies(self) -> tuple[str, ...]:
        """All that have a meaning here."""
        return (*self.scales, *SHARES)

    def decide(self, threshold: float) -> PruneDecision:
        """What a threshold of the unit in use keeps."""
        if threshold not in self._verdicts:
            scale = self.scales.get(self.pruning.unit, ())
            decided = self.pruner.decide(self.scored, self.pruning, threshold, scale)
            self._verdicts = {threshold: decided}
        return self._verdicts[threshold]

    # -- from the unit in use -------------------------------------------------------------------------

    def worth(self, threshold: float, decision: PruneDecision | None = None) -> dict[str, ThresholdRange]:
        """What a threshold is worth in each currency; `verdict` is what it decided, where that is known."""
        decision = decision or self.decide(threshold)
        found = {unit: self._cut(decision, unit) for unit in self.scales}
        k, fallen = sum(int((~u).sum()) for u in decision.units), self._pruned(decision)
        left = self.weights - fallen
        found["percentile"] = _at_one(_share(k, self.units))
        found["sparsity"] = _at_one(_share(fallen, self.weights))
        bounds = self.weights / (left + 0.5), self.weights / (left - 0.5) if left else math.inf
        found["compression"] = _at_one(shortest(*bounds) if left else math.inf)
        used = "percentile" if self.pruning.unit == "sparsity" else self.pruning.unit
        exact = used != "percentile" or round(threshold * self.units) == k  # options may say how much falls
        return {**found, used: _at_one(threshold)} if exact else found

    def _cut(self, decision: PruneDecision, unit: str) -> ThresholdRange:
        """The cut-off, in a unit: one for all layers where one parts what falls from the rest."""
        highest, lowest = -math.inf, math.inf
        for fallen, kept in self._ranges(decision, self.scales[unit]):
            highest, lowest = max(highest, fallen), min(lowest, kept)
        if highest < lowest:
            return _at_one(_between(highest, lowest))
        each = [c / f for c, f in zip(decision.cutoffs, self.scales[unit], strict=True) if f]
        return ThresholdRange(min(each), max(each))

    def _ranges(self, decision: PruneDecision, scale: Sequence[float]) -> Iterator[tuple[float, float]]:
        """Of each layer the highest score that falls and the lowest that is kept, over its factor."""
        for s, keep, alive, factor in zip(
            decision.scores, decision.units, self.scored.alive, scale, strict=True
        ):
            if factor:
                fallen = float(s.masked_fill(keep | ~alive, -math.inf).max())
                yield fallen / factor, float(s.masked_fill(~keep, math.inf).min()) / factor

    # -- into the unit in use -------------------------------------------------------------------------

    def threshold(self, currency: str, value: float) -> float:
        """The threshold, in the unit in use, that lets as much fall as this value of a currency.

        Raises ValueError where the value has no meaning.
        """
        self._check(currency, value)
        if currency == self.pruning.unit and currency in self.scales:
            return value
        if currency == "compression":
            currency, value = "sparsity", 1 - 1 / value
        if currency == "sparsity" and self.units == self.weights:
            currency = "percentile"
        if currency == "percentile" and self.pruning.unit == "sparsity":
            return value
        return self._letting_fall(self._fallen(currency, value))

    def _check(self, currency: str, value: float) -> None:
        if currency not in self.currencies:
            raise ValueError(NOT_HERE.format(currency, ", ".join(self.currencies)))
        signed = registry.get("criterion", self.pruning.criterion).traits.get("signed")
        if currency == "compression" and not 1 <= value < math.inf:
            raise ValueError(NO_FACTOR.format(value))
        if currency in ("percentile", "sparsity") and not 0 <= value < 1:
            raise ValueError(NO_SHARE.format(currency, 100 * value))
        if currency in self.scales and not (value >= 0 or signed):
            raise ValueError(BELOW_ZERO.format(currency, value))

    def _fallen(self, currency: str, value: float) -> int:
        """How many units fall at a value."""
        if currency == "percentile":
            return round(value * self.units)
        if currency == "sparsity":
            return self._search(value * self.weights)
        layers = zip(self.scored.scores, self.scored.alive, self.scales[currency], strict=True)
        return sum(int(((s < value * factor) | ~alive).sum()) for s, alive, factor in layers)

    def _search(self, weights: float) -> int:
        """The number of units that have to fall for the number of pruned weights to come nearest to this."""
        low, high = 0, self.units - 1
        while low < high:
            middle = (low + high) // 2
            if self._pruned(self.decide(self._letting_fall(middle))) < weights:
                low = middle + 1
            else:
                high = middle
        tried = {
            k: abs(self._pruned(self.decide(self._letting_fall(k))) - weights) for k in {max(low - 1, 0), low}
        }
        return min(tried, key=lambda k: tried[k])

    def _letting_fall(self, k: int) -> float:
        """The shortest threshold, in the unit in use, at which k units fall."""
        if self.pruning.unit == "sparsity":
            return _share(min(k, self.units - 1), self.units)
        ranked = self._ranked
        highest = float(ranked[k - 1]) if k else -math.inf
        lowest = float(ranked[k]) if k < len(ranked) else math.inf
        return _between(highest, lowest)

    @property
    def _ranked(self) -> torch.Tensor:
        """The thresholds of the unit in use at which one unit after the other falls."""
        if self._sorted is None:
            layers = zip(self.scored.scores, self.scored.alive, self.scales[self.pruning.unit], strict=True)
            each = [
                (s.double() / f).masked_fill(~alive, -math.inf)
                for s, alive, f in layers
                if f  # a layer whose cut-off is always 0 loses nothing
            ]
            self._sorted = torch.cat(each).sort().values
        return self._sorted

    def _scale(self, unit: str) -> list[float]:
        pruning = self.pruning.model_copy(update={"unit": unit})
        return masking.scale_of(self.scored.scores, pruning, self.scored.alive, self.scored.spread)

    def _pruned(self, decision: PruneDecision) -> int:
        """How many weights fall."""
        layers = self.pruner.network.layout.layers
        return sum(int((~la.weight.of(decision.keep)).sum()) for la in layers)


def _known(view: LaneView, lane: Lane, experiment: Experiment) -> Scored | None:
    """The scores that the only prune event so far decided by: to take them again may cost seconds."""
    pruning = experiment.pruning
    assert pruning is not None
    events = sum(what == "prune" for _, what, *_ in lane.history.events)
    decision, before = lane.decision, lane.experiment.pruning
    fresh = view.mask is None and events == 1
    same = before == pruning.model_copy(update={"threshold": before.threshold}) if before else False
    if decision is None or not (fresh and same) or rounds_of(pruning) > 1:
        return None
    spread = masking.spread(pruning, [la.weight.of(view.row) for la in decision.layers])
    return Scored(
        view, decision.layers, decision.scores, [torch.ones_like(u) for u in decision.units], list(spread)
    )


def cuts(pruning: Pruning) -> tuple[str, ...]:
    """The units that are cut-offs and have a meaning for a pruning; none where no score decides alone."""
    if "threshold" in registry.get("granularity", pruning.granularity).traits or rounds_of(pruning) > 1:
        return ()
    signed = registry.get("criterion", pruning.criterion).traits.get("signed")
    units = [unit for unit in registry.methods("unit") if not unit.traits.get("counts")]
    return tuple(unit.name for unit in units if unit.traits["signed"] or not signed)


def shortest(low: float, high: float) -> float:
    """The number with the fewest digits between two, neither of them included."""
    middle = (low + high) / 2
    return next((x for d in range(1, 17) if low < (x := float(f"{middle:.{d}g}")) < high), middle)


def _between(highest: float, lowest: float) -> float:
    """The shortest cut-off that parts the highest score that falls from the lowest that is kept."""
    if highest == -math.inf:
        return min(0.0, lowest)
    if lowest == math.inf:
        return shortest(highest, highest + (abs(highest) or 1.0))
    margin = SAFE * max(abs(highest), abs(lowest))
    low, high = highest + margin, lowest - margin
    return shortest(low, high) if low < high else lowest


def _share(k: int, n: int) -> float:
    """The shortest share of n that is rounded to k."""
    return shortest((k - 0.5) / n, (k + 0.5) / n) if k else 0.0


def _at_one(value: float) -> ThresholdRange:
    return ThresholdRange(value, value)
