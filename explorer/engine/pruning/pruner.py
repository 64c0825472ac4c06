"""Prunes one row of a run: scores its layers, chooses what stays, and turns that into columns of the row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer import registry
from explorer.engine.data.datasets import Images
from explorer.engine.data.random import generator
from explorer.engine.network import batch_norm, models
from explorer.engine.network.dependencies import UnitDependencies, trace_dependencies
from explorer.engine.network.forward_backward import Network
from explorer.engine.network.layout import Layer, ParameterSlice
from explorer.engine.network.state import LaneView
from explorer.engine.pruning import masking
from explorer.engine.pruning.score_inputs import LossValue, ScoringContext
from explorer.engine.pruning.scoring import collect, score
from explorer.experiment import Experiment, Pruning
from explorer.methods.schedules import Event

SCORING_IMAGES = 5000
MARGIN = 0.1  # the default of splicing's option


@dataclass(frozen=True)
class PruneDecision:
    """What a prune event decided."""

    keep: Tensor  # bool [P]: weights, and with whole neurons their biases and outgoing weights too
    scores: list[Tensor]  # [units] a layer
    units: list[Tensor]  # bool [units] a layer
    cutoffs: list[float]  # a layer
    layers: list[Layer]  # the layers that were scored
    fill: Tensor | None = None  # [P]: what stands in place of a pruned weight where it is not 0

    def applied(self, row: Tensor) -> Tensor:
        """A row of weights, [P], as this leaves it."""
        return row * self.keep if self.fill is None else row * self.keep + self.fill

    def passed(self, view: LaneView) -> LaneView:
        """A lane as this leaves it."""
        return replace(view, row=self.applied(view.row), mask=self.keep.to(view.row.dtype))


@dataclass(frozen=True)
class Scored:
    """What stands for decision in a lane: its units' scores, and which of them are alive, [units] a layer."""

    view: LaneView
    layers: list[Layer]
    scores: list[Tensor]
    alive: list[Tensor]
    spread: Sequence[Tensor]  # the values whose standard deviation counts, where not that of the scores

    def thresholds(self, pruning: Pruning, shares: Sequence[float]) -> list[float]:
        """The thresholds, in the pruning's unit, at which these shares of all units fall."""
        if pruning.unit == "sparsity":
            return list(shares)
        scale = masking.scale_of(self.scores, pruning, self.alive, self.spread)
        return masking.thresholds_at(self.scores, scale, shares)


def rounds_of(pruning: Pruning) -> int:
    """How often a criterion is scored anew on the way to a threshold; only a share can be neared in steps."""
    rounds: int = registry.get("criterion", pruning.criterion).traits.get("rounds", 1)
    return rounds if pruning.unit == "sparsity" else 1


class Pruner:
    """Decides about rows of one network; the scoring set is made once, when a criterion first asks for it."""

    def __init__(self, network: Network, train: Images, dtype: torch.dtype) -> None:
        self.network, self.train, self.dtype = network, train, dtype
        self._sets: dict[bool, Tensor] = {}
        self._wires: dict[str, UnitDependencies] = {}

    def decision(
        self,
        view: LaneView,
        experiment: Experiment,
        step: int,
        *,
        threshold: float | None = None,
        scale: Sequence[float] = (),
    ) -> PruneDecision:
        """What to keep of a lane; another threshold than the experiment's may be given.

        A criterion with rounds is scored anew in each, on the way to the threshold in even steps of the
        logarithm of what is kept.
        """
        pruning = experiment.pruning
        assert pruning is not None
        limit = pruning.threshold if threshold is None else threshold
        view = self.ready(view, experiment)  # once for all rounds
        rounds = rounds_of(pruning)
        if rounds == 1:
            return self.decide(self.scored(view, experiment, step), pruning, limit, scale)
        for i in range(1, rounds + 1):
            share = 1 - (1 - limit) ** (i / rounds) if i < rounds else limit  # not a rounding error beside it
            decision = self.decide(self.scored(view, experiment, step), pruning, share, scale)
            view = decision.passed(view)
        return decision

    def ready(self, view: LaneView, experiment: Experiment) -> LaneView:
        """A lane with the statistics that it is to be scored by."""
        return replace(view, buffers=self._statistics(view, experiment))

    def scored(self, view: LaneView, experiment: Experiment, step: int) -> Scored:
        """All that a threshold needs to decide about a lane; good for any number of thresholds."""
        pruning = experiment.pruning
        assert pruning is not None
        layers, scores = self.scores(view, experiment, step)
        alive = [self._alive(la, view, pruning) for la in layers]
        if registry.get("schedule", pruning.schedule).traits.get("shadow"):
            scores, alive = _revivable(scores, alive, 1 + pruning.own("schedule").get("margin", MARGIN))
        return Scored(view, layers, scores, alive, self._spread(view, pruning, layers))

    def decide(
        self, scored: Scored, pruning: Pruning, threshold: float, scale: Sequence[float] = ()
    ) -> PruneDecision:
        """What a threshold keeps; the pruning's own is not looked at."""
        layers, view = scored.layers, scored.view
        kept = masking.select_units(
            scored.scores,
            pruning,
            threshold,
            scored.alive,
            shapes=[layer.weight.shape for layer in layers],
            spread=scored.spread,
            scale=scale,
        )
        keep = self._columns(layers, kept.units, pruning, view)
        fill = self._identities(layers, kept.units, pruning, view)
        return PruneDecision(keep, scored.scores, kept.units, kept.cutoffs, layers, fill)

    def regrowth(
        self, view: LaneView, experiment: Experiment, step: int, event: Event
    ) -> tuple[Tensor, Tensor]:
        """What stays as each layer drops its smallest weights, and what grows instead, bool [P] each."""
        assert view.mask is not None
        scene = self._scene(view, experiment, step)
        wanted = collect([event.grow], scene)[event.grow]
        keep = view.mask > 0
        grown = torch.zeros_like(keep)
        for layer in self.network.layout.layers:
            columns = slice(layer.weight.start, layer.weight.stop)
            weights, kept = view.row[columns].abs(), keep[columns].clone()
            k = round(event.drop * int(kept.sum()))
            keep[columns] &= masking.keep_highest(weights.masked_fill(~kept, torch.inf), k)
            pull = -wanted[layer.name].flatten().abs()  # the lowest are those that are wanted most
            grown[columns] = ~masking.keep_highest(pull.masked_fill(keep[columns], torch.inf), k)
        return keep, grown

    def scale(self, view: LaneView, experiment: Experiment, step: int) -> list[float]:
        """Each layer's cut-off for a threshold of 1, to be kept by schedules that must not take it anew."""
        pruning = experiment.pruning
        assert pruning is not None
        layers, scores = self.scores(view, experiment, step)
        alive = [self._alive(la, view, pruning) for la in layers]
        return masking.scale_of(scores, pruning, alive, self._spread(view, pruning, layers))

    def _spread(self, view: LaneView, pruning: Pruning, layers: list[Layer]) -> Sequence[Tensor]:
        return masking.spread(pruning, [la.weight.of(view.row) for la in layers])

    def scores(self, view: LaneView, experiment: Experiment, step: int) -> tuple[list[Layer], list[Tensor]]:
        """The layers that the granularity can prune, and the scores of their units, [units] each."""
        pruning = experiment.pruning
        assert pruning is not None
        values = score(
            registry.get("criterion", pruning.criterion),
            self._scene(view, experiment, step),
            pruning.own("criterion"),
        )
        layers = self.eligible(view, pruning)
        scored = {la.name: v for la, v in zip(self.network.layout.layers, values, strict=True)}
        return layers, masking.unit_scores([scored[layer.name] for layer in layers], pruning)

    def eligible(self, view: LaneView, pruning: Pruning) -> list[Layer]:
        """The layers that the granularity can prune; raises ValueError where there is none."""
        shapes = {layer.name: layer.weight.shape for layer in self.network.layout.layers}
        last = [name for name, wire in self._wiring(view).items() if wire.last]
        names = masking.eligible(shapes, last, pruning)
        return [layer for layer in self.network.layout.layers if layer.name in names]

    def check(self, view: LaneView, pruning: Pruning) -> None:
        """Raises ValueError, with the reason, where a pruning does not fit the network."""
        shapes = [layer.weight.shape for layer in self.eligible(view, pruning)]
        within = registry.get("granularity", pruning.granularity).traits.get("select")
        if registry.get("unit", pruning.unit).traits.get("counts") and not within:
            allocation = registry.get("allocation", pruning.allocation)
            sizes = [shape.numel() for shape in shapes]
            allocation(sizes, shapes, pruning.threshold, **pruning.own("allocation"))

    def _wiring(self, view: LaneView) -> dict[str, UnitDependencies]:
        """Which parameters depend on a layer's units; every row of the network is wired alike."""
        if not self._wires:
            layers = {layer.weight.name: layer.name for layer in self.network.layout.layers}
            parameters = self.network.layout.views(view.row.unsqueeze(0))
            x = self.train[slice(2)].inputs(True, view.row.dtype)
            self._wires = trace_dependencies(self.network.module, parameters, view.buffers, layers, x)
        return self._wires

    def calibrated(
        self, view: LaneView, experiment: Experiment, images: int = SCORING_IMAGES
    ) -> dict[str, Tensor]:
        """A lane's buffers with its weights' own statistics, over the scoring set or its first images."""
        if not view.buffers:
            return view.buffers
        x = self._images(experiment.normalise)[:images]
        return batch_norm.recalibrated(self.network, view.row, view.buffers, x)

    def _statistics(self, view: LaneView, experiment: Experiment) -> dict[str, Tensor]:
        """The buffers to score by: a lane's own, or before its first step those of the set as one batch."""
        if not view.buffers or not batch_norm.lacks_statistics(self.network, view.buffers):
            return view.buffers
        taken = self.calibrated(view, experiment)
        return {n: b + 1 if n.endswith("num_batches_tracked") else b for n, b in taken.items()}

    def equivalent(self, view: LaneView, before: Experiment, after: Experiment) -> float:
        """The threshold that prunes as large a share of a lane under `after` as `before` has it."""
        assert after.pruning is not None
        units = self.decision(view, before, 0).units
        sparsity = sum(int((~u).sum()) for u in units) / sum(u.numel() for u in units)
        if after.pruning.unit == "sparsity":
            return min(sparsity, 0.999)  # a threshold of 1 would leave nothing, and is not allowed
        _, scores = self.scores(view, after, 0)
        cutoff = masking.score_at(scores, sparsity)
        if after.pruning.unit == "score":
            return cutoff
        return masking.thresholds_at(scores, self.scale(view, after, 0), [sparsity])[0]

    def _scene(self, view: LaneView, experiment: Experiment, step: int) -> ScoringContext:
        loss: LossValue = registry.get("loss", experiment.loss).traits["value"]
        layers = self.network.layout.layers
        return ScoringContext(
            module=self.network.module,
            parameters=self.network.layout.views(view.row.unsqueeze(0)),
            buffers=self._statistics(view, experiment),
            layers=[layer.name for layer in layers],
            x=self._images(experiment.normalise),
            labels=self.train.labels[:SCORING_IMAGES],
            loss=loss,
            generator=generator(experiment.seed, 2, step),
            memory={
                name: {la.name: la.weight.view(trace.unsqueeze(0))[0] for la in layers}
                for name, trace in view.criterion_memory.items()
            },
        )

    def _images(self, normalise: bool) -> Tensor:
        if normalise not in self._sets:
            self._sets[normalise] = self.train.inputs(normalise, self.dtype, slice(SCORING_IMAGES))
        return self._sets[normalise]

    def _alive(self, layer: Layer, view: LaneView, pruning: Pruning) -> Tensor:
        """The units of a layer that are not pruned yet, bool [units]: those with a weight that is kept.

        Where a unit falls with all that depends on it, its bias tells: a unit whose every input is gone has
        no weights either, and still was not pruned.
        """
        row = torch.ones_like(view.row) if view.mask is None else view.mask
        outlets = registry.get("granularity", pruning.granularity).traits.get("outlets")
        own = self._own_slots(layer, view) if outlets else []
        if own:
            return own[0].of(row) > 0
        kept = layer.weight.view(row.unsqueeze(0))
        return masking.unit_scores([kept], pruning)[0] > 0

    def _own_slots(self, layer: Layer, view: LaneView) -> list[ParameterSlice]:
        """What a layer's units have one of each: the bias, and the places in the batch norms behind it."""
        norms_behind = [self.network.layout.slices[name] for name in self._wiring(view)[layer.name].norms]
        return [*([layer.bias] if layer.bias else []), *norms_behind]

    def _columns(self, layers: list[Layer], units: list[Tensor], pruning: Pruning, view: LaneView) -> Tensor:
        keep = torch.ones_like(view.row, dtype=torch.bool)
        shapes = [layer.weight.shape for layer in layers]
        for layer, weights in zip(layers, masking.expand(units, shapes, pruning), strict=True):
            layer.weight.of(keep).logical_and_(weights.flatten())
        traits = registry.get("granularity", pruning.granularity).traits
        for layer, alive in zip(layers, units, strict=True):
            if traits.get("outlets"):
                for slot in self._own_slots(layer, view):
                    slot.of(keep).logical_and_(alive)
                self._drop_readers(keep, alive, self._wiring(view)[layer.name])
            elif traits.get("identity") and layer.bias is not None:
                layer.bias.of(keep).logical_and_(alive)
        return keep

    def _identities(
        self, layers: list[Layer], units: list[Tensor], pruning: Pruning, view: LaneView
    ) -> Tensor | None:
        """What stands in the place of whole layers that are gone: they hand on what they get."""
        if not registry.get("granularity", pruning.granularity).traits.get("identity"):
            return None
        fill = torch.zeros_like(view.row)
        for layer, alive in zip(layers, units, strict=True):
            if not alive.all():
                layer.weight.view(fill).fill_diagonal_(1)
        return fill

    def _drop_readers(self, keep: Tensor, alive: Tensor, wire: UnitDependencies) -> None:
        """A unit that is gone is read by nobody."""
        readers = [la.weight for la in self.network.layout.layers if la.name in wire.readers]
        for slot in readers:
            read = slot.view(keep)
            each, rest = divmod(slot.shape[1], len(alive))
            if not rest:  # a map that was flattened is read by so many weights
                read &= alive.repeat_interleave(each).view(1, -1, *[1] * (read.dim() - 2))


def check(experiment: Experiment) -> None:
    """Raises ValueError, with the reason, where a pruning does not fit the network; nothing is trained."""
    if experiment.pruning is None:
        return
    module = models.build(experiment)
    network, blank = Network(module), torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    view = LaneView(network.layout.row(module), buffers=dict(module.named_buffers()))
    pruner = Pruner(network, Images(blank, torch.zeros(2, dtype=torch.long)), torch.float32)
    pruner.check(view, experiment.pruning)


def _revivable(scores: list[Tensor], alive: list[Tensor], margin: float) -> tuple[list[Tensor], list[Tensor]]:
    """Lets pruned units compete again, their scores set back so that none flickers at the threshold."""
    lower = [torch.where(s > 0, s / margin, s * margin) for s in scores]  # a signed one below 0 falls, too
    back = [torch.where(kept, s, low) for s, low, kept in zip(scores, lower, alive, strict=True)]
    return back, [torch.ones_like(kept) for kept in alive]
