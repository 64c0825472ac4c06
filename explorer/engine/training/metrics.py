"""What can be said of a lane's weights without changing them: accuracy, sparsity, norms, histograms.

Shapes: L lanes, P parameters, n images.
"""

import torch
from torch import Tensor

from explorer.engine.network import models
from explorer.engine.network.forward_backward import Batch, Network, evaluate
from explorer.engine.network.layout import ParameterSlice
from explorer.engine.network.losses import Loss, predictions
from explorer.engine.network.state import LaneView
from explorer.engine.pruning.pruner import PruneDecision
from explorer.engine.training import history
from explorer.experiment import Experiment

EXACT = 2**24  # float32 counts so far
CHECKED, ROUNDING = 500, 0.02  # test images that a model itself is tried on; the share that may differ
LayerMetric = tuple[str, str, float]  # layer, metric, value


class Observer:
    """Looks at rows of one network; holds the validation images, normalised once."""

    def __init__(self, network: Network, validation: tuple[Tensor, Tensor], loss: Loss) -> None:
        self.network, self.validation, self.loss = network, validation, loss
        self.layout = network.layout
        self.edges = {layer.name: history.weight_edges(layer) for layer in self.layout.layers}

    def evaluate(self, view: LaneView, answers: Tensor | None = None) -> dict[str, float]:
        """Return loss and accuracy on the validation images, empty if there are none; fills `answers`."""
        if not len(self.validation[1]):
            return {}
        loss, accuracy = evaluate(
            self.network, view.row, *self.validation, self.loss, buffers=view.buffers, answers=answers
        )
        return {"val_loss": loss, "val_accuracy": accuracy}

    @torch.no_grad()
    def check_module(self, experiment: Experiment, view: LaneView, batch: Batch, accuracy: float) -> None:
        """Raise RuntimeError where the model itself, with a lane's weights, has another accuracy.

        A few images tell: another network is far off, while rounding changes hardly any answer.
        """
        x, labels = batch
        module = self.layout.load(models.build(experiment).to(view.row), view.row)
        for name, buffer in module.named_buffers():
            buffer.copy_(view.buffers[name])
        own = (predictions(module(x)) == labels).double().mean().item()
        if abs(own - accuracy) * len(labels) > max(1.5, ROUNDING * len(labels)):
            raise RuntimeError(
                f"model = {experiment.model!r} has {own:.2%} of {len(labels)} test images right, training "
                f"measured {accuracy:.2%}: what was trained is not what the module computes. A forward pass "
                "must depend on its input, its parameters and its buffers alone"
            )

    def empty_answers(self, *rows: int) -> Tensor:
        """Return room for the answers to all validation images, int16 [..., n]."""
        labels = self.validation[1]
        return torch.empty(*rows, len(labels), dtype=torch.int16, device=labels.device)

    def sparsity(self, view: LaneView, only: str | None = None) -> float:
        """Return the share of prunable weights that is pruned, of one layer or of all."""
        if view.mask is None:
            return 0.0
        slices = [layer.weight for layer in self.layout.layers if only in (None, layer.name)]
        remaining = sum(int(count_kept(slot.of(view.mask))) for slot in slices)
        total = sum(slot.stop - slot.start for slot in slices)
        return (total - remaining) / total

    def measures(self, rows: Tensor, mask: Tensor | None, grad: Tensor | None) -> Tensor:
        """Return what is measured of each layer's weights, on the device, double [measures, layers, L].

        How many are kept, their norm, and after the first step that of their gradient.
        """
        slices = [layer.weight for layer in self.layout.layers]
        measured = [
            [_whole(rows, slot) if mask is None else count_kept(slot.of(mask)) for slot in slices],
            *([_norms(each, slot) for slot in slices] for each in (rows, grad) if each is not None),
        ]
        if not slices:
            return rows.new_empty(len(measured), 0, len(rows), dtype=torch.double)
        return torch.stack([torch.stack(of_layers).double() for of_layers in measured])

    def per_layer(self, measures: Tensor) -> list[tuple[float, list[LayerMetric]]]:
        """Return the same for each row: the sparsity of the whole, and the metrics of each layer by name."""
        layers = self.layout.layers
        totals = [layer.weight.stop - layer.weight.start for layer in layers]
        rows = []
        for remaining, *norms in measures.permute(2, 0, 1).tolist():
            metrics: list[LayerMetric] = []
            for i, (layer, total) in enumerate(zip(layers, totals, strict=True)):
                metrics.append((layer.name, "sparsity", (total - remaining[i]) / total))
                named = zip(("weight_norm", "grad_norm"), norms, strict=False)
                metrics += [(layer.name, metric, values[i]) for metric, values in named]
            rows.append(((sum(totals) - sum(remaining)) / max(1, sum(totals)), metrics))
        return rows

    def counts(self, view: LaneView) -> dict[str, Tensor]:
        """Return kept, pruned and revived weights of each layer by bin, int [3, BINS]."""
        one = [None if t is None else t.unsqueeze(0) for t in (view.row, view.mask, view.pruned_values)]
        assert one[0] is not None
        return {name: counts[0] for name, counts in self.row_counts(one[0], one[1], one[2]).items()}

    def row_counts(self, rows: Tensor, mask: Tensor | None, fallen: Tensor | None) -> dict[str, Tensor]:
        """Return the same of several rows, int [L, 3, BINS] each."""
        layers = self.layout.layers
        return {la.name: history.weight_counts(rows, mask, fallen, la, self.edges[la.name]) for la in layers}

    def histograms(self, step: int, counts: Tensor) -> list[history.Row]:
        """Return the weight histograms of all layers, of int [layers, 3, BINS], as rows of the record."""
        rows = []
        for (name, edges), each in zip(self.edges.items(), counts, strict=True):
            rows += history.histogram_rows(step, name, "weight", edges, each)
        return rows


def score_rows(step: int, decision: PruneDecision) -> list[history.Row]:
    """Return the histograms of the scores that a prune event decided by, as rows of the record."""
    rows = []
    for layer, scores, keep in zip(decision.layers, decision.scores, decision.units, strict=True):
        edges = history.score_edges(scores)
        counts = history.score_counts(scores, keep, edges)
        rows += history.histogram_rows(step, layer.name, "score", edges, counts)
    return rows


def _whole(rows: Tensor, slot: ParameterSlice) -> Tensor:
    return rows.new_full((len(rows),), slot.stop - slot.start, dtype=torch.double)


def _norms(rows: Tensor, slot: ParameterSlice) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(slot.of(rows), dim=1)
    return norms


def count_kept(mask: Tensor) -> Tensor:
    """Return how many weights a mask of 0 and 1 keeps, [...] of [..., n]; a sum takes a 20th of a count."""
    return mask.sum(-1) if mask.shape[-1] < EXACT else mask.count_nonzero(dim=-1)
