"""Prunes one row of a run: scores its layers, chooses what stays, and turns that into columns of the row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer import registry
from explorer.engine import data, masking
from explorer.engine.data import Images
from explorer.engine.network import Network
from explorer.engine.quantities import LossValue, Scene
from explorer.engine.rows import Layer
from explorer.engine.scoring import collect, score
from explorer.engine.step import View
from explorer.experiment import Experiment, Pruning
from explorer.methods.schedules import Event

SCORING_IMAGES = 5000
MARGIN = 0.1  # the default of splicing's option


@dataclass(frozen=True)
class Verdict:
    """What a prune event decided."""

    keep: Tensor  # bool [P]: weights, and with whole neurons their biases and outgoing weights too
    scores: list[Tensor]  # [units] a layer
    units: list[Tensor]  # bool [units] a layer
    cutoffs: list[float]  # a layer
    layers: list[Layer]  # the layers that were scored


class Pruner:
    """Decides about rows of one network; the scoring set is made once, when a criterion first asks for it."""

    def __init__(self, network: Network, train: Images, dtype: torch.dtype) -> None:
        self.network, self.train, self.dtype = network, train, dtype
        self._sets: dict[bool, Tensor] = {}

    def verdict(
        self,
        view: View,
        experiment: Experiment,
        step: int,
        *,
        threshold: float | None = None,
        scale: Sequence[float] = (),
    ) -> Verdict:
        """What to keep of a lane; another threshold than the experiment's may be given.

        A criterion with rounds is scored anew in each, on the way to the threshold in even steps of the
        logarithm of what is kept.
        """
        pruning = experiment.pruning
        assert pruning is not None
        limit = pruning.threshold if threshold is None else threshold
        rounds = registry.get("criterion", pruning.criterion).traits.get("rounds", 1)
        if pruning.unit != "sparsity" or rounds == 1:
            return self._round(view, experiment, step, limit, scale)
        for i in range(1, rounds + 1):
            verdict = self._round(view, experiment, step, 1 - (1 - limit) ** (i / rounds), scale)
            kept = verdict.keep.to(view.row.dtype)
            view = replace(view, row=view.row * kept, mask=kept)
        return verdict

    def _round(
        self, view: View, experiment: Experiment, step: int, threshold: float, scale: Sequence[float]
    ) -> Verdict:
        pruning = experiment.pruning
        assert pruning is not None
        layers, scores = self.scores(view, experiment, step)
        alive = [self._alive(la, view.mask, pruning, len(s)) for la, s in zip(layers, scores, strict=True)]
        if registry.get("schedule", pruning.schedule).traits.get("shadow"):
            scores, alive = _revivable(scores, alive, 1 + pruning.own("schedule").get("margin", MARGIN))
        kept = masking.choose(
            scores,
            pruning,
            threshold,
            alive,
            shapes=[layer.weight.shape for layer in layers],
            spread=self._spread(view, pruning, layers),
            scale=scale,
        )
        keep = self._columns(layers, kept.units, pruning, view.row)
        return Verdict(keep, scores, kept.units, kept.cutoffs, layers)

    def regrowth(self, view: View, experiment: Experiment, step: int, event: Event) -> tuple[Tensor, Tensor]:
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
            keep[columns] &= masking.select(weights.masked_fill(~kept, torch.inf), k)
            pull = -wanted[layer.name].flatten().abs()  # the lowest are those that are wanted most
            grown[columns] = ~masking.select(pull.masked_fill(keep[columns], torch.inf), k)
        return keep, grown

    def scale(self, view: View, experiment: Experiment, step: int) -> list[float]:
        """Each layer's cut-off for a threshold of 1, to be kept by schedules that must not take it anew."""
        pruning = experiment.pruning
        assert pruning is not None
        layers, scores = self.scores(view, experiment, step)
        alive = [self._alive(la, view.mask, pruning, len(s)) for la, s in zip(layers, scores, strict=True)]
        return masking.scale_of(scores, pruning, alive, self._spread(view, pruning, layers))

    def _spread(self, view: View, pruning: Pruning, layers: list[Layer]) -> Sequence[Tensor]:
        return masking.spread(pruning, [view.row[la.weight.start : la.weight.stop] for la in layers])

    def scores(self, view: View, experiment: Experiment, step: int) -> tuple[list[Layer], list[Tensor]]:
        """The layers that the granularity can prune, and the scores of their units, [units] each."""
        pruning = experiment.pruning
        assert pruning is not None
        layers = self.network.layout.layers
        values = score(
            registry.get("criterion", pruning.criterion),
            self._scene(view, experiment, step),
            pruning.own("criterion"),
        )
        if registry.get("granularity", pruning.granularity).traits["hidden"]:
            layers, values = layers[:-1], values[:-1]
        fan_ins = [layer.weight.shape[1:].numel() for layer in layers]
        return layers, masking.unit_scores(values, fan_ins, pruning)

    def equivalent(self, view: View, before: Experiment, after: Experiment) -> float:
        """The threshold that prunes as large a share of a lane under `after` as `before` has it."""
        assert after.pruning is not None
        units = self.verdict(view, before, 0).units
        sparsity = sum(int((~u).sum()) for u in units) / sum(u.numel() for u in units)
        if after.pruning.unit == "sparsity":
            return min(sparsity, 0.999)  # a threshold of 1 would leave nothing, and is not allowed
        _, scores = self.scores(view, after, 0)
        cutoff = masking.score_at(scores, sparsity)
        if after.pruning.unit == "score":
            return cutoff
        scale = self.scale(view, after, 0)
        return _sparsity_matched(scores, scale, sparsity)

    def _scene(self, view: View, experiment: Experiment, step: int) -> Scene:
        loss: LossValue = registry.get("loss", experiment.loss).traits["value"]
        layers = self.network.layout.layers
        return Scene(
            module=self.network.module,
            parameters=self.network.layout.views(view.row.unsqueeze(0)),
            layers=[layer.name for layer in layers],
            x=self._images(experiment.normalise),
            labels=self.train.labels[:SCORING_IMAGES],
            loss=loss,
            generator=data.generator(experiment.seed, 2, step),
            memory={
                name: {la.name: la.weight.view(trace.unsqueeze(0))[0] for la in layers}
                for name, trace in view.traces.items()
            },
        )

    def _images(self, normalise: bool) -> Tensor:
        if normalise not in self._sets:
            pixels = self.train.pixels[:SCORING_IMAGES]
            self._sets[normalise] = data.normalised(pixels, normalise, self.dtype)
        return self._sets[normalise]

    def _alive(self, layer: Layer, mask: Tensor | None, pruning: Pruning, units: int) -> Tensor:
        """The units of a layer that are not pruned yet, bool [units]."""
        if mask is None:
            return torch.ones(units, dtype=torch.bool, device=self.train.labels.device)
        weights = mask[layer.weight.start : layer.weight.stop] > 0
        return weights if pruning.granularity == "weight" else weights.view(units, -1).any(1)

    def _columns(self, layers: list[Layer], units: list[Tensor], pruning: Pruning, row: Tensor) -> Tensor:
        keep = torch.ones_like(row, dtype=torch.bool)
        shapes = [layer.weight.shape for layer in layers]
        for layer, weights in zip(layers, masking.expand(units, shapes, pruning), strict=True):
            keep[layer.weight.start : layer.weight.stop] &= weights.flatten()
        if pruning.granularity == "neuron":
            for layer, alive in zip(layers, units, strict=True):
                _drop_outlets(keep, layer, alive)
        return keep


def _drop_outlets(keep: Tensor, layer: Layer, alive: Tensor) -> None:
    """A neuron that is gone has no bias and nobody reads it."""
    if layer.bias is not None:
        keep[layer.bias.start : layer.bias.stop] &= alive
    if layer.reads is not None:
        read = keep[layer.reads.start : layer.reads.stop].view(layer.reads.shape)
        read &= alive.repeat_interleave(layer.reads.shape[1] // len(alive)).view(
            1, -1, *[1] * (read.dim() - 2)
        )


def _sparsity_matched(scores: list[Tensor], scale: list[float], sparsity: float) -> float:
    """The threshold whose cut-offs, in proportion to `scale`, come nearest to this share of all units."""
    pairs = zip(scores, scale, strict=True)
    return masking.score_at([s / factor if factor else s for s, factor in pairs], sparsity)


def _revivable(scores: list[Tensor], alive: list[Tensor], margin: float) -> tuple[list[Tensor], list[Tensor]]:
    """Lets pruned units compete again, their scores set back so that none flickers at the threshold."""
    back = [torch.where(kept, s, s / margin) for s, kept in zip(scores, alive, strict=True)]
    return back, [torch.ones_like(kept) for kept in alive]
