"""What a run leaves behind: tidy history, histograms, events. Plain rows here, polars frames when asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from explorer.engine.network.layout import Layer
from explorer.engine.training.append_log import AppendLog

BINS = 64
SPREAD = 8.0  # the edges reach this many times the initial bound 1/√fan-in
DECADES = 6  # scores are binned over at most this many decades below the largest

Row = tuple[Any, ...]
HISTORY = ("step", "epoch", "metric", "layer", "value")
HISTOGRAMS = ("step", "layer", "axis", "left", "right", "kept", "pruned", "revived")
EVENTS = ("step", "what", "from", "to")
CUTOFFS = ("step", "layer", "cutoff")


@dataclass
class History:
    """The growing record of one lane, as rows of the four frames."""

    history: AppendLog[Row] = field(default_factory=AppendLog)
    histograms: AppendLog[Row] = field(default_factory=AppendLog)
    events: AppendLog[Row] = field(default_factory=AppendLog)
    cutoffs: AppendLog[Row] = field(default_factory=AppendLog)

    def copy(self) -> "History":
        """Return an independent copy, for a Run that is to stay as it is."""
        return History(self.history.copy(), self.histograms.copy(), self.events.copy(), self.cutoffs.copy())


def weight_edges(layer: Layer) -> Tensor:
    """Return the fixed edges of a layer's weight histogram, [BINS + 1]; no bin crosses zero."""
    reach = SPREAD / math.sqrt(layer.weight.shape[1:].numel())
    return torch.linspace(-reach, reach, BINS + 1)


def score_edges(scores: Tensor) -> Tensor:
    """Return edges of a score histogram, [BINS + 1]: even in the logarithm, over at most six decades."""
    positive = scores[scores > 0]
    if not len(positive):
        return torch.logspace(-DECADES, 0, BINS + 1)
    top = float(positive.max()) * (1 + 1e-6)  # rounding must not put the largest beyond the last edge
    low = max(float(positive.min()), top * 10**-DECADES)
    return torch.logspace(math.log10(min(low, top / 2)), math.log10(top), BINS + 1)


def count(values: Tensor, groups: Tensor, edges: Tensor) -> Tensor:
    """Return values by bin and by group 0 to 2, int [3, BINS]; the outer bins take what lies beyond them."""
    inner = edges[1:-1].to(values)
    return bin_counts(torch.bucketize(values, inner, right=True), groups)


def bin_counts(bins: Tensor, groups: Tensor) -> Tensor:
    """Return how often each bin, 0 to BINS − 1, and group, 0 to 2, occur together: int [3, BINS].

    Of [L, n] it is told for each row, [L, 3, BINS].
    """
    lanes = bins.shape[:-1]
    count = 3 * BINS * lanes.numel()
    cells = bins.add_(groups, alpha=BINS)
    if lanes.numel() > 1:
        cells = cells + torch.arange(0, count, 3 * BINS, device=bins.device).view(*lanes, 1)
    cells = cells.flatten()
    if cells.is_cuda:  # where bincount has the host wait
        counts = torch.zeros(count, dtype=torch.long, device=cells.device)
        counts.scatter_add_(0, cells.long(), torch.ones_like(cells, dtype=torch.long))
    else:
        counts = torch.bincount(cells, minlength=count)
    return counts.view(*lanes, 3, BINS)


def weight_counts(
    rows: Tensor, mask: Tensor | None, pruned_values: Tensor | None, layer: Layer, edges: Tensor
) -> Tensor:
    """Return kept, pruned and revived weights of a layer by bin, int [L, 3, BINS] of [L, P].

    A pruned weight is binned at its value just before it fell.
    """
    columns = (..., slice(layer.weight.start, layer.weight.stop))
    values = rows[columns]
    if mask is None or pruned_values is None:
        return bin_counts(_even_bins(values, edges), torch.zeros_like(values, dtype=torch.uint8))
    keep, was = mask[columns] > 0, pruned_values[columns]
    fell = was.isnan().logical_not_().logical_and_(keep).view(torch.uint8)  # and is back
    groups = fell.mul_(2).add_(keep.logical_not().view(torch.uint8))  # whole numbers of a byte: all this is
    return bin_counts(_even_bins(torch.where(keep, values, was), edges), groups)  # done for every frame


def _even_bins(values: Tensor, edges: Tensor) -> Tensor:
    """Return the bins of values between even edges, by arithmetic: a search takes ten times as long."""
    low, width = float(edges[0]), float(edges[-1] - edges[0]) / BINS
    return values.sub(low).mul_(1 / width).clamp_(0, BINS - 1).to(torch.int16)


def score_counts(scores: Tensor, keep: Tensor, edges: Tensor) -> Tensor:
    """Return kept and pruned units of a layer by bin of their score, int [3, BINS]."""
    return count(scores, (~keep).long(), edges)


def histogram_rows(step: int, layer: str, axis: str, edges: Tensor, counts: Tensor) -> list[Row]:
    """Return one row a bin, in the order of `HISTOGRAMS`."""
    sides: list[float] = edges.tolist()
    groups: list[Sequence[int]] = counts.tolist()
    return [(step, layer, axis, *bin_) for bin_ in zip(sides, sides[1:], *groups, strict=False)]
