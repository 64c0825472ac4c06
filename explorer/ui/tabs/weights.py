"""Weights: each layer's histogram, and its scores where the threshold cuts those."""

from collections.abc import Hashable

from explorer import figures
from explorer.engine import records
from explorer.engine.trainer import Trainer
from explorer.ui import recorded
from explorer.ui.frames import Frame
from explorer.ui.session import Session
from explorer.ui.tabs.base import Charts, Tab, Tables

UNSCORED = "scored when the network is pruned"


class Weights(Tab):
    """What is kept and what falls, layer by layer."""

    name = "weights"
    title = "Weights"
    tip = "Histograms of each layer's weights and scores: what is kept, and what the threshold cuts"

    def key(self, trainer: Trainer) -> Hashable:
        """The layers, and which of them have scores to show."""
        return tuple(trainer.observer.edges), tuple(scored_layers(trainer))

    def charts(self, trainer: Trainer) -> Charts:
        """One chart a layer, and one of its scores."""
        return {
            **{f"weights-{name}": figures.weights(title=name) for name in trainer.observer.edges},
            **{
                f"scores-{name}": figures.weights(title=name, axis="score") for name in scored_layers(trainer)
            },
        }

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Counts by bin, and where the threshold cuts."""
        scored = scored_layers(frame.trainer)
        return {**_weights(frame, cut=not scored), **_scores(frame, scored), **recorded.tables(frame, scored)}


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
    found: Tables = {}
    for name, counts in observer.counts(frame.view).items():
        sides, total = observer.edges[name].numpy(), int(counts.sum())
        found[f"weights-{name}", "bins"] = figures.stacked(sides[:-1], sides[1:], *counts.cpu().numpy())
        found[f"weights-{name}", "cutoffs"] = figures.cutoffs_at(cutoffs.get(name))
        found[f"weights-{name}", "note"] = figures.kept_note(total - int(counts[1].sum()), total)
    return found


def _scores(frame: Frame, layers: list[str]) -> Tables:
    verdict = frame.verdict
    if verdict is None:
        return {(f"scores-{name}", "note"): {"text": [UNSCORED]} for name in layers}
    found: Tables = {}
    for i, layer in enumerate(verdict.layers if layers else []):
        scores, keep, name = verdict.scores[i], verdict.units[i], f"scores-{layer.name}"
        edges = records.score_edges(scores)
        counts, sides = records.score_counts(scores, keep, edges).cpu().numpy(), edges.numpy()
        found[name, "bins"] = figures.stacked(sides[:-1], sides[1:], *counts)
        found[name, "cutoffs"] = figures.cutoffs_at(verdict.cutoffs[i], "score")
        found[name, "note"] = figures.kept_note(int(keep.sum()), len(keep))
    return found
