"""A Pruning with its methods looked up: from here down to the mask no name is looked up any more."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from explorer import registry
from explorer.engine.pruning import masking
from explorer.experiment import Pruning
from explorer.traits import CriterionTraits, GranularityTraits, PruningTraits, ScheduleTraits, UnitTraits

Shapes = Sequence[torch.Size]
T = TypeVar("T")
NAMED = 3  # layers that a warning names


@dataclass(frozen=True)
class BoundMethod(Generic[T]):
    """A method of a Pruning, with the options that are its own."""

    method: registry.Method[T]
    options: Mapping[str, Any]

    def __call__(self, *inputs: Any) -> Any:
        """Call the method with its options."""
        return self.method.function(*inputs, **self.options)

    @property
    def name(self) -> str:
        """The name that users type."""
        return self.method.name

    @property
    def traits(self) -> T:
        """What else is known of the method."""
        return self.method.traits


def warn_of_problems(granularity: str, problems: Mapping[str, str], depth: int = 3) -> None:
    """Warn the caller's caller of layers that stay dense, where a granularity has problems with some."""
    dense = [f"{name} ({problem})" for name, problem in problems.items() if problem]
    if dense:
        more = f" and {len(dense) - NAMED} more" if len(dense) > NAMED else ""
        text = f"granularity = {granularity!r} leaves these layers dense: {', '.join(dense[:NAMED])}{more}"
        warnings.warn(text, stacklevel=depth)


@dataclass(frozen=True)
class UnitMasks:
    """Which units stay, bool [units] a layer, and the cut-off score of each layer."""

    units: list[Tensor]
    cutoffs: list[float]


@dataclass(frozen=True)
class ResolvedPruning:
    """The methods of a Pruning, and how they decide together; its threshold is given to each call."""

    criterion: BoundMethod[CriterionTraits]
    granularity: BoundMethod[GranularityTraits]
    allocation: BoundMethod[PruningTraits]
    unit: BoundMethod[UnitTraits]
    schedule: BoundMethod[ScheduleTraits]
    cuts_weights: bool  # whether the threshold cuts weights by their own size

    @property
    def rounds(self) -> int:
        """How often is scored anew on the way to a threshold; only a share can be neared in steps."""
        return self.criterion.traits.rounds if self.unit.traits.counts else 1

    def way_to(self, threshold: float) -> list[float]:
        """Return the thresholds of the rounds, in even steps of the logarithm of what is kept."""
        rounds = self.rounds
        steps = [1 - (1 - threshold) ** (i / rounds) for i in range(1, rounds)]
        return [*steps, threshold]  # not a rounding error beside it

    def eligible(self, shapes: Mapping[str, Sequence[int]], last: Collection[str]) -> list[str]:
        """Return the names of the layers that are pruned; raise ValueError, with the reason, where none is.

        Args:
            shapes: of each layer's weight, by the layer's name.
            last: the layers whose units are the network's answers.
        """
        traits, problems = self.granularity.traits, self.problems(shapes, last)
        names = [name for name, problem in problems.items() if not problem]
        what = f"granularity = {self.granularity.name!r}"
        layers = ", ".join(f"{name} ({' × '.join(map(str, shape))})" for name, shape in shapes.items())
        layers = layers or "no Linear or Conv with weights, so train with pruning=None"
        if not problems:
            raise ValueError(f"{what} prunes {traits.prunes}, and here there are none; layers: {layers}")
        if not names:
            name, problem = next(iter(problems.items()))
            raise ValueError(f"{what} does not fit layer {name!r}: {problem}; layers: {layers}")
        return names

    def problems(self, shapes: Mapping[str, Sequence[int]], last: Collection[str]) -> dict[str, str]:
        """Return what keeps each layer that the granularity is for dense, "" where nothing does."""
        traits, options = self.granularity.traits, self.granularity.options
        spared = last if traits.hidden or options.get("spare_last") else ()
        fits = traits.takes or (lambda _: True)
        names = [name for name, shape in shapes.items() if name not in spared and fits(shape)]
        return {name: traits.problem(shapes[name], **options) if traits.problem else "" for name in names}

    def check(self, shapes: Mapping[str, torch.Size], last: Collection[str], threshold: float) -> None:
        """Raise ValueError, with the reason, where a network of these layers cannot be pruned like this."""
        sizes = [shapes[name] for name in self.eligible(shapes, last)]
        if self.unit.traits.counts and not self.granularity.traits.select:
            self.allocation([shape.numel() for shape in sizes], sizes, threshold)

    def unit_scores(self, scores: Sequence[Tensor], groups: Sequence[int]) -> list[Tensor]:
        """Reduce a layer's scores, [1, *shape], to those of its units, [units]; `groups` of each layer."""
        # an allocation spreads a count; what a cut-off means must not hang on it
        pooled = self.allocation.name == "global" or not self.unit.traits.counts
        if self.granularity.traits.inputs:
            scores = [masking.join_inputs(s, g) for s, g in zip(scores, groups, strict=True)]
        return masking.reduce_to_units(scores, self.granularity, by_size=pooled)

    def std_values(self, weights: Sequence[Tensor], scores: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the values whose standard deviation counts, [n] a layer: for magnitude the weights."""
        return weights if self.cuts_weights else scores

    def select_units(
        self,
        scores: Sequence[Tensor],
        threshold: float,
        alive: Sequence[Tensor],
        *,
        shapes: Shapes,
        std_values: Sequence[Tensor],
        scale: Sequence[float] = (),
    ) -> UnitMasks:
        """Select the units that stay.

        By a count exactly round(threshold × n) units are pruned afterwards, those pruned before included; in
        another unit, what scores less than the cut-off joins them.

        Args:
            scores: [units] a layer.
            threshold: in the Pruning's unit.
            alive: the units that stayed so far, bool [units] a layer.
            shapes: of the layers' weights.
            std_values: the values whose standard deviation counts, [units] a layer.
            scale: a layer's cut-off for a threshold of 1 where it was fixed before, not to be taken anew.
        """
        masked = masking.with_pruned_lowest(scores, alive)
        if self.unit.traits.counts:
            keeps = self._keep(masked, shapes, threshold)
            units = [keep & old for keep, old in zip(keeps, alive, strict=True)]
            return UnitMasks(units, [masking.lowest_kept(s, u) for s, u in zip(masked, units, strict=True)])
        factors = scale or masking.cutoffs_at_one(scores, alive, std_values, self.unit)
        cutoffs = [threshold * factor for factor in factors]
        return UnitMasks([s >= cutoff for s, cutoff in zip(masked, cutoffs, strict=True)], cutoffs)

    def _keep(self, scores: Sequence[Tensor], shapes: Shapes, share: float) -> list[Tensor]:
        """Return which units stay of a share: by the granularity within each layer, or by the allocation."""
        if within := self.granularity.traits.select:
            pairs = zip(scores, shapes, strict=True)
            return [within(s, shape, share, **self.granularity.options) for s, shape in pairs]
        sizes = [len(s) for s in scores]
        budget = self.allocation([*sizes], [*shapes], share)
        if budget is not None:
            return [masking.keep_highest(s, k) for s, k in zip(scores, budget, strict=True)]
        keep = masking.keep_highest(torch.cat(list(scores)), round(share * sum(sizes)))
        return list(torch.split(keep, sizes))

    def expand(self, units: Sequence[Tensor], shapes: Shapes, groups: Sequence[int]) -> list[Tensor]:
        """Expand the units that stay, bool [units] a layer, into masks of the weights, [*shape]."""
        traits = self.granularity.traits
        if not traits.inputs:
            return masking.expand_units(units, shapes, traits.expand)
        pairs = list(zip(shapes, groups, strict=True))
        joint = [torch.Size((shape[0] // g, shape[1] * g, *shape[2:])) for shape, g in pairs]
        masks = masking.expand_units(units, joint, traits.expand)
        return [masking.split_inputs(mask, g) for mask, (_, g) in zip(masks, pairs, strict=True)]


def resolve(pruning: Pruning) -> ResolvedPruning:
    """Look a Pruning's methods up: once for all that it decides, as one may be registered anew in between."""
    options = pruning.options
    return ResolvedPruning(
        criterion=_bind(registry.get("criterion", pruning.criterion), options),
        granularity=_bind(registry.get("granularity", pruning.granularity), options),
        allocation=_bind(registry.get("allocation", pruning.allocation), options),
        unit=_bind(registry.get("unit", pruning.unit), options),
        schedule=_bind(registry.get("schedule", pruning.schedule), options),
        cuts_weights=pruning.cuts_weights,
    )


def _bind(method: registry.Method[T], options: Mapping[str, Any]) -> BoundMethod[T]:
    return BoundMethod(method, method.own(options))
