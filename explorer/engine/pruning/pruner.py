"""Prunes one row of a run: scores its layers, selects what stays, and turns that into columns of the row.

P parameters of the network; a layer's scores are those of its units, [units].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer.engine.data.datasets import Images
from explorer.engine.data.random import generator
from explorer.engine.network import batch_norm
from explorer.engine.network.dependencies import UnitDependencies
from explorer.engine.network.forward_backward import Network
from explorer.engine.network.layout import Layer
from explorer.engine.network.state import LaneView
from explorer.engine.pruning import masking, unit_columns
from explorer.engine.pruning.fit import last_layers, pruning_of, trace, weight_shapes
from explorer.engine.pruning.resolved import ResolvedPruning, resolve
from explorer.engine.pruning.score_inputs import LossValue, ScoringContext
from explorer.engine.pruning.scoring import check_scorable, compute_inputs, score
from explorer.engine.pruning.unit_scores import MARGIN, UnitScores, revive
from explorer.experiment import Experiment, Pruning
from explorer.methods.schedules import Event

SCORING_IMAGES = 5000


@dataclass(frozen=True)
class PruneDecision:
    """What a prune event decided."""

    keep: Tensor  # bool [P]: weights, and with whole neurons their biases and outgoing weights too
    scores: list[Tensor]  # [units] a layer
    units: list[Tensor]  # bool [units] a layer
    cutoffs: list[float]  # a layer
    layers: list[Layer]  # the layers that were scored
    fill: Tensor | None = None  # [P]: what stands in place of a pruned weight where it is not 0

    def apply_to_row(self, row: Tensor) -> Tensor:
        """Return a row of weights, [P], as this leaves it."""
        return row * self.keep if self.fill is None else row * self.keep + self.fill

    def apply_to(self, view: LaneView) -> LaneView:
        """Return a lane as this leaves it."""
        return replace(view, row=self.apply_to_row(view.row), mask=self.keep.to(view.row.dtype))


class Pruner:
    """Decides about rows of one network; the scoring set is made once, when a criterion first asks for it.

    Args:
        network: whose rows they are.
        train: the training images, the first of which are the scoring set.
        dtype: of the images as the network takes them.
        loss: (logits, labels) -> mean loss, for criteria that score by gradients.
    """

    def __init__(self, network: Network, train: Images, dtype: torch.dtype, loss: LossValue) -> None:
        self.network, self.train, self.dtype, self.loss = network, train, dtype, loss
        self._images: dict[bool, Tensor] = {}
        self._unit_dependencies: dict[str, UnitDependencies] = {}
        self._scorable: set[str] = set()  # criteria that were tried, with their options

    def decide(
        self,
        view: LaneView,
        experiment: Experiment,
        step: int,
        *,
        threshold: float | None = None,
        scale: Sequence[float] = (),
    ) -> PruneDecision:
        """Decide what a lane keeps; another threshold than the experiment's may be given.

        A criterion with rounds is scored anew in each, on the way to the threshold.
        """
        pruning = pruning_of(experiment)
        resolved, limit = resolve(pruning), pruning.threshold if threshold is None else threshold
        view = self.with_batch_statistics(view, experiment)  # once for all rounds
        *way, last = resolved.way_to(limit)
        for share in way:
            view = self.select(self._score(view, experiment, step, resolved), share, scale).apply_to(view)
        return self.select(self._score(view, experiment, step, resolved), last, scale)

    def with_batch_statistics(self, view: LaneView, experiment: Experiment) -> LaneView:
        """Return a lane with the batch norms' statistics that it is to be scored by.

        They are its own, or before its first step those of the scoring set as one batch.
        """
        if not batch_norm.lacks_statistics(self.network.module, view.buffers):
            return view
        return replace(view, buffers=self.recalibrated(view, experiment))

    def score(self, view: LaneView, experiment: Experiment, step: int) -> UnitScores:
        """Score a lane's units, once for any number of thresholds."""
        return self._score(view, experiment, step, resolve(pruning_of(experiment)))

    def select(self, scores: UnitScores, threshold: float, scale: Sequence[float] = ()) -> PruneDecision:
        """Select what a threshold keeps; `scale` is each layer's cut-off for 1 where that is fixed."""
        resolved, layers, view = scores.resolved, scores.layers, scores.view
        masks = resolved.select_units(
            scores.scores,
            threshold,
            scores.alive,
            shapes=[layer.weight.shape for layer in layers],
            std_values=scores.std_values,
            scale=scale,
        )
        layout, dependencies = self.network.layout, self._dependencies(view)
        keep = unit_columns.expand_to_columns(layout, layers, masks.units, resolved, dependencies)
        identity = resolved.granularity.traits.identity
        fill = unit_columns.identity_fill(layers, masks.units, view.row) if identity else None
        return PruneDecision(keep, scores.scores, masks.units, masks.cutoffs, layers, fill)

    def scale(self, view: LaneView, experiment: Experiment, step: int) -> list[float]:
        """Return each layer's cut-off for a threshold of 1, for schedules that must not take it anew."""
        return self._measure(view, experiment, step, resolve(pruning_of(experiment))).cutoffs_at_one()

    def equivalent_threshold(self, view: LaneView, before: Experiment, after: Experiment) -> float:
        """Return the threshold that prunes as large a share of a lane under `after` as `before` has it."""
        units = self.decide(view, before, 0).units
        share = sum(int((~u).sum()) for u in units) / sum(u.numel() for u in units)
        resolved = resolve(pruning_of(after))
        if resolved.unit.traits.counts:
            return min(share, 0.999)  # a threshold of 1 would leave nothing, and is not allowed
        return self._measure(view, after, 0, resolved).thresholds([share])[0]

    def regrowth(
        self, view: LaneView, experiment: Experiment, step: int, event: Event
    ) -> tuple[Tensor, Tensor]:
        """Return what stays as layers drop their smallest weights, and what grows instead, bool [P] each."""
        assert view.mask is not None
        context = self.scoring_context(view, experiment, step)
        pulls = compute_inputs([event.grow], context)[event.grow]
        keep = view.mask > 0
        grow = torch.zeros_like(keep)
        for layer in self.network.layout.layers:
            stays = layer.weight.of(keep)  # shares the memory of `keep`
            k = round(event.drop * int(stays.sum()))
            sizes = layer.weight.of(view.row).abs().masked_fill(~stays, torch.inf)
            stays &= masking.keep_highest(sizes, k)
            pull = -pulls[layer.name].flatten().abs()  # the lowest are those that are pulled most
            layer.weight.of(grow).copy_(~masking.keep_highest(pull.masked_fill(stays, torch.inf), k))
        return keep, grow

    # -- scores ---------------------------------------------------------------------------------------

    def _score(
        self, view: LaneView, experiment: Experiment, step: int, resolved: ResolvedPruning
    ) -> UnitScores:
        """Score a lane's units; where pruned ones go on learning unseen, those compete again."""
        measured = self._measure(view, experiment, step, resolved)
        if not resolved.schedule.traits.shadow:
            return measured
        margin = 1 + resolved.schedule.options.get("margin", MARGIN)
        scores, alive = revive(measured.scores, measured.alive, margin)
        return replace(measured, scores=scores, alive=alive)

    def _measure(
        self, view: LaneView, experiment: Experiment, step: int, resolved: ResolvedPruning
    ) -> UnitScores:
        """Score the units of the layers that the granularity prunes, and see which are still there."""
        layers, criterion = self._eligible(view, resolved), resolved.criterion
        context = self.scoring_context(view, experiment, step)
        context.pruned = [layer.name for layer in layers]
        scores = dict(zip(context.layers, score(criterion.method, context, criterion.options), strict=True))
        units = resolved.unit_scores([scores[la.name] for la in layers], [la.groups for la in layers])
        return UnitScores(resolved, view, layers, units, [self._alive(la, view, resolved) for la in layers])

    def scoring_context(self, view: LaneView, experiment: Experiment, step: int) -> ScoringContext:
        """Return all that a criterion may ask for, of a lane at a step."""
        view = self.with_batch_statistics(view, experiment)
        x, labels = self.scoring_images(experiment.normalise), self.train.labels[:SCORING_IMAGES]
        return self._context(view, experiment, step, x, labels)

    def _context(
        self, view: LaneView, experiment: Experiment, step: int, x: Tensor, labels: Tensor
    ) -> ScoringContext:
        layers = self.network.layout.layers
        return ScoringContext(
            module=self.network.module,
            parameters=self.network.layout.views(view.row.unsqueeze(0)),
            buffers=view.buffers,
            layers=[layer.name for layer in layers],
            x=x,
            labels=labels,
            loss=self.loss,
            generator=generator(experiment.seed, 2, step),
            memory={
                name: {layer.name: layer.weight.view(memory) for layer in layers}
                for name, memory in view.criterion_memory.items()
            },
        )

    def scoring_images(self, normalise: bool) -> Tensor:
        """Return the scoring set as the network takes it, [n, C, H, W]."""
        if normalise not in self._images:
            self._images[normalise] = self.train.inputs(normalise, self.dtype, slice(SCORING_IMAGES))
        return self._images[normalise]

    def recalibrated(
        self, view: LaneView, experiment: Experiment, images: int = SCORING_IMAGES
    ) -> dict[str, Tensor]:
        """Return a lane's buffers with its weights' own statistics, over the scoring set's first images."""
        if not view.buffers:
            return view.buffers
        x = self.scoring_images(experiment.normalise)[:images]
        parameters = self.network.layout.views(view.row.unsqueeze(0))
        return batch_norm.recalibrated(self.network.module, parameters, view.buffers, x)

    def _alive(self, layer: Layer, view: LaneView, resolved: ResolvedPruning) -> Tensor:
        """Return the units of a layer that are not pruned yet, bool [units]: those with a weight that stays.

        Where a unit falls with all that depends on it, its bias tells: a unit whose every input is gone has
        no weights either, and still was not pruned.
        """
        mask = torch.ones_like(view.row) if view.mask is None else view.mask
        if resolved.granularity.traits.outlets:
            slices = unit_columns.own_slices(self.network.layout, layer, self._dependencies(view))
            if slices:
                return slices[0].of(mask).view(layer.weight.shape[0], -1)[:, 0] > 0
        return resolved.unit_scores([layer.weight.view(mask.unsqueeze(0))], [layer.groups])[0] > 0

    # -- the network ----------------------------------------------------------------------------------

    def check(self, view: LaneView, experiment: Experiment) -> None:
        """Raise ValueError, with the reason, where a pruning does not fit the network, or cannot score it."""
        pruning = pruning_of(experiment)
        resolved = resolve(pruning)
        resolved.check(weight_shapes(self.network), last_layers(self._dependencies(view)), pruning.threshold)
        criterion = resolved.criterion
        if (key := f"{criterion.name} {criterion.options} {pruning.granularity}") not in self._scorable:
            few = self.train[slice(2)]
            x = few.inputs(experiment.normalise, self.dtype)
            context = self._context(view, experiment, 0, x, few.labels)
            context.pruned = [layer.name for layer in self._eligible(view, resolved)]
            check_scorable(criterion.method, context, criterion.options)
            self._scorable.add(key)

    def eligible(self, view: LaneView, pruning: Pruning) -> list[Layer]:
        """Return the layers that the granularity prunes; raise ValueError where there is none."""
        return self._eligible(view, resolve(pruning))

    def _eligible(self, view: LaneView, resolved: ResolvedPruning) -> list[Layer]:
        names = resolved.eligible(weight_shapes(self.network), last_layers(self._dependencies(view)))
        return [layer for layer in self.network.layout.layers if layer.name in names]

    def _dependencies(self, view: LaneView) -> dict[str, UnitDependencies]:
        """Return which parameters depend on a layer's units; the same for every row of the network."""
        if not self._unit_dependencies:
            x = self.train[slice(2)].inputs(True, view.row.dtype)
            self._unit_dependencies = trace(self.network, view, x)
        return self._unit_dependencies
