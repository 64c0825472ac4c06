"""Live: accuracy, loss, the shift and sparsity as they come."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from explorer import figures
from explorer.engine.training.lanes import Lane
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.figures import accuracy_shift
from explorer.figures.accuracy import accuracy_table, sample
from explorer.figures.curves import Measurement, before_pruning, first_prune
from explorer.figures.loss import SUBTITLE, loss_table
from explorer.figures.pinned import pinned_table
from explorer.figures.sparsity import sparsity_table
from explorer.ui.session.frames import Frame, Point
from explorer.ui.session.session import Session
from explorer.ui.tabs.tab import Charts, Tab, Tables, events, thinned, until
from explorer.ui.widgets.pinned_runs import PinnedRuns

TRYING = "untrained: {}"  # while the threshold is dragged
CURVES = ("accuracy", "loss", "shift", "sparsity")


class Live(Tab):
    """The pruned network beside its dense twin."""

    name = "live"
    title = "Live"
    tip = "Accuracy and loss of the pruned network and its dense twin, as they train"

    def key(self, trainer: Trainer) -> Hashable:
        """Return the length, the validation images, the loss and the pinned runs."""
        experiment = trainer.lanes[0].experiment
        pins = tuple(self.context.pins.names.items())
        return experiment.epochs, experiment.validation, experiment.loss, pins

    def charts(self, trainer: Trainer) -> Charts:
        """Return all four over the same epochs."""
        experiment = trainer.lanes[0].experiment
        epochs, pins = experiment.epochs, self.context.pins.names
        return {
            "accuracy": figures.accuracy(subtitle=sample(experiment), epochs=epochs, pins=pins),
            "loss": figures.loss(subtitle=SUBTITLE.format(experiment.loss), epochs=epochs),
            "shift": figures.shift_band(epochs=epochs),
            "sparsity": figures.sparsity(epochs=epochs),
        }

    def tables(self, frame: Frame, session: Session) -> Tables:
        """Return the curves so far."""
        lane, happened = frame.trainer.lanes[0], events(frame)
        rows = curves(until(session.points, frame.step), lane)
        points = accuracy_table(rows)
        return {
            ("accuracy", "points"): points,
            ("accuracy", "shift"): _preview(frame) or accuracy_shift.label_table(points),
            ("loss", "points"): loss_table(rows),
            ("shift", "points"): accuracy_shift.shift_table(points),
            ("sparsity", "points"): sparsity_table(_own(rows, lane)),
            **{(name, "events"): happened for name in CURVES},
            **pinned_curves("accuracy", self.context.pins),
        }


def accuracies(frame: Frame, session: Session) -> Any:
    """Return the accuracy of both networks up to what is looked at, as the "points" dataset."""
    return accuracy_table(curves(until(session.points, frame.step), frame.trainer.lanes[0]))


def pinned_curves(chart: str, pins: PinnedRuns) -> Tables:
    """Return the accuracy of all pinned runs, as a chart's dataset; nothing where none is pinned."""
    runs = {}
    for pin in pins.runs:
        lane, points = pin.saved.snapshot.lanes[0], [p for p in pin.saved.points if p.step and p.accuracy]
        runs[pin.name] = _own(curves(points, lane), lane)
    return {(chart, "pinned"): pinned_table(runs)} if runs else {}


def curves(points: list[Point], lane: Lane) -> list[Measurement]:
    """Return what was measured of the run that a lane leads, at no more points than a chart can show."""
    nets = _nets(lane.experiment)
    first = first_prune(lane.history.events) if lane.experiment.pruning else None
    at_event = measurements([p for p in points if p.step == first], nets)
    return [*before_pruning(at_event, first), *measurements(thinned(points), nets)]


def measurements(points: Iterable[Point], nets: tuple[str, ...]) -> Iterator[Measurement]:
    """Return each number of each point, for these networks in the order of the lanes."""
    for point in points:
        for net, lane in zip(nets, point.lanes, strict=False):
            for metric, value in lane.items():
                yield point.step, point.epoch, net, metric, value


def _nets(experiment: Experiment) -> tuple[str, ...]:
    return ("pruned", "dense") if experiment.pruning else ("dense",)


def _own(rows: Iterable[Measurement], lane: Lane) -> list[Measurement]:
    """Return the rows of the lane's own network."""
    return [row for row in rows if row[2] == _nets(lane.experiment)[0]]


def _preview(frame: Frame) -> dict[str, Any] | None:
    """Return the shift in words at the prune event where a threshold is tried out there; else None."""
    if frame.preview is None or len(frame.accuracy) < 2:
        return None
    pruned, dense = (100 * accuracy for accuracy in frame.accuracy[:2])
    _, step = frame.trainer.prune_base()
    label = TRYING.format(figures.shift_label(pruned, dense))
    return {"epoch": [step / frame.trainer.per_epoch], "accuracy": [pruned], "label": [label]}
