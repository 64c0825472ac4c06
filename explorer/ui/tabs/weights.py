"""Weights: each layer's histogram, the threshold in every currency, and what each layer keeps."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import ipywidgets as w
import numpy as np

from explorer import figures
from explorer.engine import records
from explorer.engine.pruner import Verdict
from explorer.engine.trainer import Trainer
from explorer.figures.weights import layer_tables
from explorer.ui import keeps, recorded
from explorer.ui.currencies import Currencies
from explorer.ui.frames import Frame
from explorer.ui.session import Session
from explorer.ui.tabs.base import Charts, Context, Tab, Tables

# Every string that a person reads here.
TITLE = "Weights"
TIP = "What each layer's weights and scores are, what it keeps, and the threshold in all its units"
UNSCORED = "scored when the network is pruned"
COUNTS = (("linear counts", "linear"), ("log counts", "log"))
COUNTS_TIPS = ("Heights in proportion to counts", "Every bin with a weight in it can be seen")

CSS = (Path(__file__).parent / "weights.css").read_text(encoding="utf-8")


class Weights(Tab):
    """What is kept and what falls, layer by layer."""

    name = "weights"
    title = TITLE
    tip = TIP

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.currencies = Currencies(context)
        self._decided: tuple[Verdict | None, Tables] = (None, {})
        self.counts = w.ToggleButtons(options=COUNTS, tooltips=COUNTS_TIPS).add_class("explorer-counts")
        self.counts.observe(context.guarded(self._on_counts), "value")
        self.keeps = w.HTML().add_class("explorer-keep-rates")
        style = w.HTML(f"<style>{CSS}</style>").add_class("explorer-style")
        foot = w.HBox([self.currencies.told, self.counts]).add_class("explorer-currencies-foot")
        self.panel = w.VBox([style, self.currencies.box, foot, self.keeps]).add_class("explorer-weights")

    def hidden(self) -> None:
        """Lets go of the weights."""
        self.currencies.forget()
        self._decided = None, {}

    def key(self, trainer: Trainer) -> Hashable:
        """The layers, which of them have scores to show, and how counts are drawn."""
        return tuple(trainer.observer.edges), tuple(scored_layers(trainer)), self.counts.value

    def charts(self, trainer: Trainer) -> Charts:
        """One chart a layer, and one of its scores."""
        counts = self.counts.value
        scored = scored_layers(trainer)
        return {
            **{f"weights-{n}": figures.weights(title=n, counts=counts) for n in trainer.observer.edges},
            **{f"scores-{n}": figures.weights(title=n, axis="score", counts=counts) for n in scored},
        }

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Counts by bin, and where the threshold cuts."""
        pruning = frame.trainer.lanes[0].experiment.pruning
        self.currencies.draw(frame)
        self.keeps.value = keeps.html(keeps.keeps(frame), pruning, tried=frame.preview is not None)
        scored = scored_layers(frame.trainer)
        return {
            **_weights(frame, cut=not scored),
            **self._scores(frame, scored),
            **recorded.tables(frame, scored),
        }

    def _scores(self, frame: Frame, layers: list[str]) -> Tables:
        """The scores' histograms; those of one decision stay as they are."""
        if frame.verdict is None or frame.verdict is not self._decided[0]:
            self._decided = frame.verdict, _scores(frame, layers)
        return self._decided[1]

    def _on_counts(self, change: Any) -> None:  # noqa: ARG002
        self.context.session.refresh()


def scored_layers(trainer: Trainer) -> list[str]:
    """The layers whose scores have a chart of their own; none where the score is |w|, seen in the weights."""
    lane = trainer.lanes[0]
    pruning = lane.experiment.pruning
    if pruning is None or (pruning.criterion == "magnitude" and pruning.granularity == "weight"):
        return []
    return [layer.name for layer in trainer.pruner.eligible(trainer.view(lane), pruning)]


def _weights(frame: Frame, cut: bool) -> Tables:
    observer, verdict = frame.trainer.observer, frame.verdict
    layers = zip(verdict.layers, verdict.cutoffs, strict=True) if verdict and cut else ()
    cutoffs = {layer.name: cutoff for layer, cutoff in layers}
    tables: Tables = {}
    for name, counts in observer.counts(frame.view).items():
        sides, own = observer.edges[name].numpy(), counts.cpu().numpy()
        tables |= histogram(f"weights-{name}", sides, own, cutoffs.get(name), "weight")
    return tables


def _scores(frame: Frame, layers: list[str]) -> Tables:
    verdict = frame.verdict
    if verdict is None:
        return {(f"scores-{name}", "note"): {"text": [UNSCORED]} for name in layers}
    tables: Tables = {}
    for i, layer in enumerate(verdict.layers if layers else []):
        scores = verdict.scores[i]
        edges = records.score_edges(scores)
        counts = records.score_counts(scores, verdict.units[i], edges).cpu().numpy()
        tables |= histogram(f"scores-{layer.name}", edges.numpy(), counts, verdict.cutoffs[i], "score")
    return tables


def histogram(chart: str, sides: np.ndarray, counts: np.ndarray, cutoff: float | None, axis: str) -> Tables:
    """Return a chart's datasets from the edges of bins, [BINS + 1], and the counts in them, [3, BINS]."""
    tables = layer_tables(sides[:-1], sides[1:], *counts, cutoff=cutoff, axis=axis)
    return {(chart, name): table for name, table in tables.items()}
