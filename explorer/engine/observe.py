"""What can be said of a lane's weights without changing them: accuracy, sparsity, norms, histograms."""

import torch
from torch import Tensor

from explorer.engine import records
from explorer.engine.losses import Loss
from explorer.engine.network import Network, evaluate
from explorer.engine.pruner import Verdict
from explorer.engine.rows import Slot
from explorer.engine.state import View


class Observer:
    """Looks at rows of one network; holds the validation images, normalised once."""

    def __init__(self, network: Network, validation: tuple[Tensor, Tensor], loss: Loss) -> None:
        self.network, self.validation, self.loss = network, validation, loss
        self.layout = network.layout
        self.edges = {layer.name: records.weight_edges(layer) for layer in self.layout.layers}

    def judge(self, view: View) -> dict[str, float]:
        """Loss and accuracy on the validation images; empty if there are none."""
        if not len(self.validation[1]):
            return {}
        loss, accuracy = evaluate(self.network, view.row, *self.validation, self.loss, buffers=view.buffers)
        return {"val_loss": loss, "val_accuracy": accuracy}

    def sparsity(self, view: View, only: str | None = None) -> float:
        """The share of prunable weights that is pruned, of one layer or of all."""
        if view.mask is None:
            return 0.0
        slots = [layer.weight for layer in self.layout.layers if only in (None, layer.name)]
        kept = sum(int(_cut(view.mask, slot).count_nonzero()) for slot in slots)
        total = sum(slot.stop - slot.start for slot in slots)
        return (total - kept) / total

    def layers(self, view: View, grad: Tensor | None) -> list[tuple[str, str, float]]:
        """The metrics of each layer: layer, metric, value; no gradient norm before the first step."""
        found = []
        for layer in self.layout.layers:
            found.append((layer.name, "sparsity", self.sparsity(view, layer.name)))
            found.append((layer.name, "weight_norm", _norm(view.row, layer.weight)))
            if grad is not None:
                found.append((layer.name, "grad_norm", _norm(grad, layer.weight)))
        return found

    def counts(self, view: View) -> dict[str, Tensor]:
        """Kept, pruned and revived weights of each layer by bin, int [3, BINS]."""
        layers = self.layout.layers
        return {
            la.name: records.weight_counts(view.row, view.mask, view.fallen, la, self.edges[la.name])
            for la in layers
        }

    def histograms(self, step: int, view: View) -> list[records.Row]:
        """The weight histograms of all layers, as rows of the record."""
        rows = []
        for name, counts in self.counts(view).items():
            rows += records.histogram_rows(step, name, "weight", self.edges[name], counts)
        return rows


def score_rows(step: int, verdict: Verdict) -> list[records.Row]:
    """The histograms of the scores that a prune event decided by, as rows of the record."""
    rows = []
    for layer, scores, keep in zip(verdict.layers, verdict.scores, verdict.units, strict=True):
        edges = records.score_edges(scores)
        counts = records.score_counts(scores, keep, edges)
        rows += records.histogram_rows(step, layer.name, "score", edges, counts)
    return rows


def _cut(row: Tensor, slot: Slot) -> Tensor:
    return row[slot.start : slot.stop]


def _norm(row: Tensor, slot: Slot) -> float:
    return float(torch.linalg.vector_norm(_cut(row, slot)))
