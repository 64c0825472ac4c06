"""Live: accuracy, loss, the shift and sparsity as they come."""

from collections.abc import Hashable, Iterable
from typing import Any

from explorer import figures
from explorer.engine.training.history import Row
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Frame, Point
from explorer.ui.session.session import Session
from explorer.ui.tabs.tab import Charts, Tab, Tables, columns, events, thinned, until
from explorer.ui.widgets.pinned_runs import PinnedRuns

SAMPLE = "n = {:,} validation images, 1 seed"
LOSS = "{}, mean over images"
NO_VALIDATION = "no validation images are held out"
TRYING = "untrained: {}"  # while the threshold is dragged
CURVES = ("accuracy", "loss", "shift", "sparsity")


class Live(Tab):
    """The pruned network beside its dense twin."""

    name = "live"
    title = "Live"
    tip = "Accuracy and loss of the pruned network and its dense twin, as they train"

    def key(self, trainer: Trainer) -> Hashable:
        """Length and validation images."""
        experiment = trainer.lanes[0].experiment
        pins = tuple(self.context.pins.names.items())
        return experiment.epochs, experiment.validation, experiment.loss, pins

    def charts(self, trainer: Trainer) -> Charts:
        """All four over the same epochs."""
        experiment = trainer.lanes[0].experiment
        subtitle = SAMPLE.format(experiment.validation) if experiment.validation else NO_VALIDATION
        epochs, pins = experiment.epochs, self.context.pins.names
        return {
            "accuracy": figures.accuracy(subtitle=subtitle, epochs=epochs, pins=pins),
            "loss": figures.loss(subtitle=LOSS.format(experiment.loss), epochs=epochs),
            "shift": figures.shift_band(epochs=epochs),
            "sparsity": figures.sparsity(epochs=epochs),
        }

    def tables(self, frame: Frame, session: Session) -> Tables:
        """The curves so far."""
        seen = until(session.points, frame.step)
        points = thinned(seen)
        trained = [p for p in points if p.step]  # an untrained network's 10 % would squash the curves
        brink = _brink(frame.trainer.lanes[0].history.events, seen)
        happened = events(frame)
        return {
            ("accuracy", "points"): _accuracy(frame, brink, trained),
            ("accuracy", "shift"): _gap(frame, trained),
            ("loss", "points"): _losses(frame, brink, trained),
            ("shift", "points"): _shifts(brink, trained),
            ("sparsity", "points"): _sparsity(points),
            **{(name, "events"): happened for name in CURVES},
            **pinned_curves("accuracy", self.context.pins),
        }


def accuracies(frame: Frame, session: Session) -> Any:
    """Accuracy of all lanes up to what is looked at, as the "points" dataset."""
    seen = until(session.points, frame.step)
    brink = _brink(frame.trainer.lanes[0].history.events, seen)
    return _accuracy(frame, brink, [p for p in thinned(seen) if p.step])


def pinned_curves(chart: str, pins: PinnedRuns) -> Tables:
    """Accuracy of all pinned runs, as a chart's dataset; nothing where none is pinned."""
    rows = []
    for pin in pins.runs:
        trained = [p for p in pin.saved.points if p.step and p.accuracy]
        brink, trained = _brink(pin.saved.point.lanes[0].history.events, trained), thinned(trained)
        curve = [(p.epoch, 100 * p.accuracy[1], pin.name) for p in brink]
        curve += [(p.epoch, 100 * p.accuracy[0], pin.name) for p in trained]
        rows += sorted(curve, key=lambda row: row[0])  # stable: just before its prune event comes first
    return {(chart, "pinned"): columns(rows, ("epoch", "accuracy", "name"))} if pins.runs else {}


def _nets(frame: Frame) -> tuple[str, ...]:
    return ("pruned", "dense") if frame.trainer.lanes[0].experiment.pruning else ("dense",)


def _brink(events: Iterable[Row], points: list[Point]) -> list[Point]:
    """The point of the first prune event: just before it the pruned network stood where its twin stands."""
    first = next((step for step, what, *_ in events if what == "prune"), None)
    return [p for p in points if p.step == first and p.step and len(p.lanes) > 1]


def _accuracy(frame: Frame, brink: list[Point], points: list[Point]) -> Any:
    rows = [(p.epoch, 100 * p.accuracy[1], "pruned") for p in brink if p.accuracy[1:]]
    rows += [
        (p.epoch, 100 * a, net) for p in points for a, net in zip(p.accuracy, _nets(frame), strict=False)
    ]
    return columns(rows, ("epoch", "accuracy", "net"))


def _gap(frame: Frame, points: list[Point]) -> Any:
    """The shift in words at the last point, or at the prune event where a threshold is tried out there."""
    rows = []
    if frame.preview is not None and len(frame.accuracy) > 1:
        _, step = frame.trainer.prune_base()
        label = TRYING.format(_shift(frame.accuracy))
        rows = [(step / frame.trainer.per_epoch, 100 * frame.accuracy[0], label)]
    elif points and len(points[-1].accuracy) > 1:
        last = points[-1].accuracy
        rows = [(points[-1].epoch, 100 * min(last), _shift(last))]
    return columns(rows, ("epoch", "accuracy", "label"))


def _shift(accuracy: list[float]) -> str:
    return figures.shift_label(100 * accuracy[0], 100 * accuracy[1])


def _losses(frame: Frame, brink: list[Point], points: list[Point]) -> Any:
    parts = {"validation": "val_loss", "training": "train_loss"}
    rows = [(p.epoch, p.lanes[1]["val_loss"], "pruned", "validation") for p in brink if p.accuracy]
    rows += [
        (p.epoch, lane[metric], net, part)
        for p in points
        for net, lane in zip(_nets(frame), p.lanes, strict=False)
        for part, metric in parts.items()
        if metric in lane
    ]
    return columns(rows, ("epoch", "loss", "net", "part"))


def _shifts(brink: list[Point], points: list[Point]) -> Any:
    start = {p.step for p in brink}
    rows = []
    for p in points:
        if len(p.accuracy) > 1:
            rows += [(p.epoch, 0.0)] * (p.step in start)
            rows.append((p.epoch, 100 * (p.accuracy[0] - p.accuracy[1])))
    return columns(rows, ("epoch", "shift"))


def _sparsity(points: list[Point]) -> Any:
    return columns([(p.epoch, 100 * p.lanes[0]["sparsity"]) for p in points], ("epoch", "sparsity"))
