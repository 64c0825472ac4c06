"""Weights: each layer's histogram, the threshold in all its units, and what each layer keeps."""

from collections.abc import Hashable
from pathlib import Path

import ipywidgets as w
import numpy as np

from explorer import figures
from explorer.engine.pruning.pruner import PruneDecision
from explorer.engine.training import history
from explorer.engine.training.trainer import Trainer
from explorer.figures.weights import layer_tables
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import Session
from explorer.ui.tabs.parts import layer_density, recorded_histograms
from explorer.ui.tabs.parts.threshold_fields import ThresholdFields, cuts_weights
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables

# Every string that a person reads here.
UNSCORED = "scored when the network is pruned"
COUNTS = (("linear counts", "linear"), ("log counts", "log"))
COUNTS_TIPS = ("Heights in proportion to counts", "Every bin with a weight in it can be seen")

CSS = (Path(__file__).parent / "weights.css").read_text(encoding="utf-8")


class Weights(Tab):
    """What is kept and what falls, layer by layer."""

    name = "weights"
    title = "Weights"
    tip = "What each layer's weights and scores are, what it keeps, and the threshold in all its units"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.threshold = ThresholdFields(lambda: context.session, context.guarded, context.commit)
        self.counts = w.ToggleButtons(options=COUNTS, tooltips=COUNTS_TIPS).add_class("explorer-counts")
        self.counts.observe(context.guarded(lambda _: context.session.refresh()), "value")
        self.densities = w.HTML().add_class("explorer-keep-rates")
        style = w.HTML(f"<style>{CSS}</style>").add_class("explorer-style")
        foot = w.HBox([self.threshold.source_text, self.counts]).add_class("explorer-currencies-foot")
        self.panel = w.VBox([style, self.threshold.box, foot, self.densities]).add_class("explorer-weights")
        self._decision: PruneDecision | None = None
        self._scored: tuple[list[str], Tables] = [], {}  # by that decision

    def on_hide(self) -> None:
        """Let go of the weights."""
        self.threshold.release()
        self._decision, self._scored = None, ([], {})

    def key(self, trainer: Trainer) -> Hashable:
        """Return the layers, which of them have scores to show, and how counts are drawn."""
        return tuple(trainer.observer.edges), tuple(scored_layers(trainer)), self.counts.value

    def charts(self, trainer: Trainer) -> Charts:
        """Return one chart a layer, and one of its scores."""
        counts = self.counts.value
        scored = scored_layers(trainer)
        return {
            **{f"weights-{n}": figures.weights(title=n, counts=counts) for n in trainer.observer.edges},
            **{f"scores-{n}": figures.weights(title=n, axis="score", counts=counts) for n in scored},
        }

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Return counts by bin, and where the threshold cuts."""
        pruning = frame.lanes[0].experiment.pruning  # of then: it is what left the layers as they are shown
        self.threshold.draw(frame)
        densities, preview = layer_density.measure(frame), frame.preview is not None
        self.densities.value = layer_density.html(densities, pruning, preview=preview)
        scored = scored_layers(frame.trainer)
        return {
            **_weights(frame, cut=not scored),
            **self._scores(frame, scored),
            **recorded_histograms.tables(frame, scored, cuts_weights=cuts_weights(pruning)),
        }

    def _scores(self, frame: Frame, layers: list[str]) -> Tables:
        """Return the scores' histograms; those of one decision stay as they are."""
        if frame.decision is None or frame.decision is not self._decision or self._scored[0] != layers:
            tables, charts = _scores(frame, layers), {f"scores-{name}" for name in layers}
            # a decision from before a branch may have scored other layers
            self._scored = layers, {key: table for key, table in tables.items() if key[0] in charts}
            self._decision = frame.decision
        return self._scored[1]


def scored_layers(trainer: Trainer) -> list[str]:
    """Return the layers whose scores have a chart of their own; none where the weights' charts show them."""
    lane = trainer.lanes[0]
    pruning = lane.experiment.pruning
    if pruning is None or cuts_weights(pruning):
        return []
    return [layer.name for layer in trainer.pruner.eligible(trainer.view(lane), pruning)]


def _weights(frame: Frame, cut: bool) -> Tables:
    observer, decision = frame.trainer.observer, frame.decision
    layers = zip(decision.layers, decision.cutoffs, strict=True) if decision and cut else ()
    cutoffs = {layer.name: cutoff for layer, cutoff in layers}
    tables: Tables = {}
    for name, counts in observer.counts(frame.view).items():
        sides, own = observer.edges[name].numpy(), counts.cpu().numpy()
        tables |= histogram(f"weights-{name}", sides, own, cutoffs.get(name), "weight")
    return tables


def _scores(frame: Frame, layers: list[str]) -> Tables:
    decision = frame.decision
    if decision is None:
        return {(f"scores-{name}", "note"): {"text": [UNSCORED]} for name in layers}
    tables: Tables = {}
    for i, layer in enumerate(decision.layers if layers else []):
        scores = decision.scores[i]
        edges = history.score_edges(scores)
        counts = history.score_counts(scores, decision.units[i], edges).cpu().numpy()
        tables |= histogram(f"scores-{layer.name}", edges.numpy(), counts, decision.cutoffs[i], "score")
    return tables


def histogram(chart: str, sides: np.ndarray, counts: np.ndarray, cutoff: float | None, axis: str) -> Tables:
    """Return a chart's datasets from the edges of bins, [BINS + 1], and the counts in them, [3, BINS]."""
    tables = layer_tables(sides[:-1], sides[1:], *counts, cutoff=cutoff, axis=axis)
    return {(chart, name): table for name, table in tables.items()}
