"""Figures: records in, Altair charts out. The same builders serve the live page and the printed one.

Without tables a builder returns a chart on named, empty datasets, for ``explorer.ui.live_chart``; with
tables, or by ``..._of(run)``, one that carries its data. This package knows records, not torch.
"""

from typing import Any

import altair as alt

from explorer.figures.accuracy import accuracy, accuracy_of, shift_label, shift_of
from explorer.figures.gradients import clip_at, clipped_note, gradients, gradients_of
from explorer.figures.theme import combine, dark, inline, save
from explorer.figures.weights import cutoffs_at, kept_note, layers_of, stacked, weights, weights_of

__all__ = [
    "accuracy",
    "accuracy_of",
    "clip_at",
    "clipped_note",
    "combine",
    "cutoffs_at",
    "dark",
    "gradients",
    "gradients_of",
    "inline",
    "kept_note",
    "layers_of",
    "overview",
    "save",
    "shift_label",
    "shift_of",
    "stacked",
    "weights",
    "weights_of",
]


def overview(run: Any) -> alt.ConcatChart:
    """Draw all of a run: accuracy and gradient norms side by side, and below them each layer's histogram."""
    return combine({"accuracy": accuracy_of(run), "gradients": gradients_of(run), **layers_of(run)})
