"""Figures: records in, Altair charts out. The same builders serve the live page and the printed one.

Without tables a builder returns a chart on named, empty datasets, for the live charts of ``explorer.ui``;
with tables, or by ``..._of(run)``, one that carries its data. This package knows records, not torch.

Read first
    theme             colours, type, and how a chart is finished
    curves            what was measured, as rows: of a finished run or of a live one
    timeline          what charts over epochs share: the axis, the two networks, the events
Charts over epochs
    accuracy          validation accuracy; with pinned, the curves of further runs
    accuracy_shift    what pruning did to it
    loss              training and validation loss
    sparsity          the share that is pruned
    gradients         norms before and after clipping
    clip_share        how often the clip bound
Charts of a moment
    weights           each layer's histogram of weights or scores
    layer_gradients   norms through depth, and how entries are spread
    confusion         the confusion matrix, and which digits pruning costs
    image_sheets      masks, filters and digits as little images
Charts of many runs
    tradeoff          accuracy against sparsity; with published, the points of papers
Onto paper
    combining         many charts as one figure
    saving            a figure as a file
    provenance        the recipe into that file (PNG, SVG, PDF, HTML, JSON), and out of it

To add a chart: a file with its datasets on top, a builder that ends in ``theme.finish``, a ``..._table`` that
makes its rows for page and print alike, and a ``..._of(run)`` under ``with_recipe``; then name it here. A tab
in ``explorer/ui/tabs`` draws it live with the same builder, filled by the same ``..._table``.
"""

from collections.abc import Mapping
from typing import Any

import altair as alt

from explorer.figures.accuracy import accuracy, accuracy_of, shift_band_of
from explorer.figures.accuracy_shift import shift_band, shift_label, shift_of
from explorer.figures.clip_share import clip_share, clip_share_of, share_tables
from explorer.figures.combining import Figure, combine
from explorer.figures.confusion import (
    change_table,
    confusion,
    confusion_table,
    flip_note,
    flip_table,
    flips,
    flips_of,
    has_flips,
    mcnemar,
)
from explorer.figures.gradients import clip_at, clipped_note, gradients, gradients_of
from explorer.figures.image_sheets import tiles
from explorer.figures.layer_gradients import depth, depth_of, depth_tables, has_depth, spread, spread_tables
from explorer.figures.loss import loss, loss_of
from explorer.figures.provenance import provenance, recipe, recipes
from explorer.figures.saving import save
from explorer.figures.sparsity import sparsity, sparsity_of
from explorer.figures.theme import dark, inline
from explorer.figures.timeline import event_table
from explorer.figures.tradeoff import retrained_at, tradeoff, tradeoff_of
from explorer.figures.weights import cutoffs_at, kept_note, layers_of, stacked, weights, weights_of

__all__ = [
    "accuracy",
    "accuracy_of",
    "change_table",
    "clip_at",
    "clip_share",
    "clip_share_of",
    "clipped_note",
    "combine",
    "confusion",
    "confusion_table",
    "cutoffs_at",
    "dark",
    "depth",
    "depth_of",
    "depth_tables",
    "event_table",
    "flip_note",
    "flip_table",
    "flips",
    "flips_of",
    "gradients",
    "gradients_of",
    "inline",
    "kept_note",
    "layers_of",
    "loss",
    "loss_of",
    "mcnemar",
    "overview",
    "provenance",
    "recipe",
    "recipes",
    "retrained_at",
    "save",
    "share_tables",
    "shift_band",
    "shift_band_of",
    "shift_label",
    "shift_of",
    "sparsity",
    "sparsity_of",
    "spread",
    "spread_tables",
    "stacked",
    "tiles",
    "tradeoff",
    "tradeoff_of",
    "weights",
    "weights_of",
]


def overview(run: Any, wide: Mapping[str, alt.TopLevelMixin] | None = None) -> Figure:
    """Draw all of a run; what it has nothing to show for is left out.

    Accuracy and loss, the shift and sparsity, gradient norms with what clipping did, the norm of each layer's
    gradient, the digits that pruning lost and gained, and each layer's histogram.

    Args:
        run: A run.
        wide: More charts by name, a row each below the others, such as ``{"tradeoff": tradeoff_of(study)}``.
    """
    charts: dict[str, alt.TopLevelMixin] = {"accuracy": accuracy_of(run), "loss": loss_of(run)}
    if run.experiment.pruning is not None:
        charts |= {"shift": shift_band_of(run)} if run.dense is not None else {}
        charts["sparsity"] = sparsity_of(run)
    charts["gradients"] = gradients_of(run)
    charts |= {"clip-share": clip_share_of(run)} if run.experiment.clipping is not None else {}
    charts |= {"gradient-depth": depth_of(run)} if has_depth(run) else {}
    charts |= {"digits": flips_of(run)} if has_flips(run) else {}
    charts |= layers_of(run)
    return combine({**charts, **(wide or {})}, wide=wide or ())
