"""What the explorer shows: frames of a session turned into chart data and a line of words."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np

from explorer import figures, registry
from explorer.engine import records
from explorer.engine.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.frames import Frame, Point

STATUS = {
    "idle": "ready",
    "training": "training",
    "paused": "paused",
    "stopped": "stopped",
    "done": "done",
    "diverged": "diverged",
}
NORMS_SHOWN = 400  # steps drawn as marks, evenly taken from all
UNSCORED = "scored when the network is pruned"
RECENT = 200  # steps over which the share of clipped ones is told
Tables = dict[tuple[str, str], Any]


def charts(experiment: Experiment, layers: list[str], scored: list[str]) -> dict[str, alt.TopLevelMixin]:
    """The live charts of a network with these layers, and of the scores of some of them."""
    n = f"n = {experiment.validation:,} validation images, 1 seed"
    subtitle = n if experiment.validation else "no validation images are held out"
    return {
        "accuracy": figures.accuracy(subtitle=subtitle, epochs=experiment.epochs),
        "gradients": figures.gradients(epochs=experiment.epochs),
        **{f"weights-{name}": figures.weights(title=name) for name in layers},
        **{f"scores-{name}": figures.weights(title=name, axis="score") for name in scored},
    }


def scored_layers(trainer: Trainer) -> list[str]:
    """The layers whose scores have a chart of their own; none where the score is |w|, seen in the weights."""
    lane = trainer.lanes[0]
    pruning = lane.experiment.pruning
    if pruning is None or (pruning.criterion == "magnitude" and pruning.granularity == "weight"):
        return []
    return [layer.name for layer in trainer.pruner.eligible(trainer.view(lane), pruning)]


def tables(frame: Frame, points: list[Point]) -> Tables:
    """The data of all charts at a frame."""
    return {**_accuracy(frame, points), **_gradients(frame), **weights(frame)}


def _accuracy(frame: Frame, points: list[Point]) -> Tables:
    twin = frame.trainer.lanes[1:]
    nets = ("pruned", "dense") if frame.trainer.lanes[0].experiment.pruning else ("dense",)
    trained = [p for p in points if p.step]  # an untrained network's 10 % would squash the curves
    rows = [(p.epoch, 100 * a, net) for p in trained for a, net in zip(p.accuracy, nets, strict=False)]
    last = trained[-1] if twin and trained else None
    shift = [(last.epoch, 100 * last.accuracy[0], _shift(last.accuracy))] if last else []
    rows = _brink(frame, trained) + rows
    return {
        ("accuracy", "points"): _columns(rows, ("epoch", "accuracy", "net")),
        ("accuracy", "events"): _columns(_events(frame), ("epoch", "label", "kind")),
        ("accuracy", "shift"): _columns(shift, ("epoch", "accuracy", "label")),
    }


def _brink(frame: Frame, points: list[Point]) -> list[tuple[float, float, str]]:
    """Where the pruned curve stood just before its first prune event: on its twin's."""
    pruned = [step for step, what, *_ in frame.trainer.lanes[0].history.events if what == "prune"]
    return [
        (p.epoch, 100 * p.accuracy[1], "pruned") for p in points if pruned[:1] == [p.step] and p.accuracy[1:]
    ]


def _shift(accuracy: list[float]) -> str:
    return figures.shift_label(100 * accuracy[0], 100 * accuracy[1])


def _events(frame: Frame) -> list[tuple[float, str, str]]:
    rows = []
    for step, what, before, after in frame.trainer.lanes[0].history.events:
        prune = what == "prune"
        label = f"pruned to {100 * after:.3g} %" if prune else f"{what} {before:.3g} → {after:.3g}"
        rows.append((step / frame.trainer.per_epoch, label, "prune" if prune else "move"))
    return rows


def _gradients(frame: Frame) -> Tables:
    trainer = frame.trainer
    log = trainer.flush()
    clipping = trainer.lanes[0].experiment.clipping
    shown = range(0, len(log), max(1, -(-len(log) // NORMS_SHOWN)))
    rows = [
        (i / trainer.per_epoch, log[i][1][0], "clipped" if log[i][3][0] else "not clipped") for i in shown
    ]
    recent = [step[3][0] for step in log[-RECENT:]]
    share = sum(recent) / len(recent) if clipping and recent else None
    bound = clipping.max_norm if clipping and "norm" in clipping.rules else None
    return {
        ("gradients", "norms"): _columns(rows, ("epoch", "norm", "state")),
        ("gradients", "clip"): figures.clip_at(bound),
        ("gradients", "note"): {"text": [_clip_note(clipping is not None, share, len(recent))]},
    }


def _clip_note(clips: bool, share: float | None, steps: int) -> str:
    if not clips:
        return "no clipping"
    return "" if share is None else f"{100 * share:.0f} % of the last {steps} steps clipped"


def weights(frame: Frame) -> Tables:
    """The histograms of each layer: weights, and scores where the threshold cuts those."""
    scored = scored_layers(frame.trainer)
    return {**_weights(frame, cut=not scored), **_scores(frame, scored)}


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


def _columns(rows: list[tuple[Any, ...]], names: tuple[str, ...]) -> dict[str, Any]:
    if not rows:
        return {name: [] for name in names}
    columns = list(zip(*rows, strict=True))
    texts = [isinstance(column[0], str) for column in columns]
    return {
        name: list(column) if text else np.array(column)
        for name, column, text in zip(names, columns, texts, strict=True)
    }


def progress(frame: Frame) -> float:
    """The share of the training that is done, 0 to 1."""
    return frame.trainer.step / frame.trainer.total


def facts(frame: Frame) -> Mapping[str, str]:
    """The status line: label to text, in the order of reading."""
    trainer = frame.trainer
    experiment = trainer.lanes[0].experiment
    what = STATUS[frame.status] if frame.preview is None else f"trying {_number(frame.preview, experiment)}"
    found = {"state": what, "device": str(trainer.device)}
    found["epoch"] = f"{trainer.step / trainer.per_epoch:.2f} of {experiment.epochs}"
    if frame.accuracy:
        found["accuracy"] = f"{frame.accuracy[0]:.2%}"
    if len(frame.accuracy) > 1:
        found["shift"] = _shift(frame.accuracy)
    found["sparsity"] = f"{frame.sparsity:.1%}"
    if frame.status == "training" and frame.speed:
        found["images/s"] = f"{frame.speed:,.0f}"
        found["time left"] = f"{frame.left:.0f} s"
    return found


def _number(threshold: float, experiment: Experiment) -> str:
    pruning = experiment.pruning
    share = pruning is None or pruning.unit == "sparsity"
    return f"{threshold:.1%}" if share else f"{threshold:.3g}"


def method_help(experiment: Experiment) -> str:
    """One line on the chosen method."""
    pruning = experiment.pruning
    return registry.get("criterion", pruning.criterion).help if pruning else ""
