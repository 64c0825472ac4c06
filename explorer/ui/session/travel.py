"""Travel: a session looks into the past of its run, goes on from there, and brings runs back."""

from collections.abc import Callable, Iterator
from typing import Any

from explorer.engine.training.branch import branch, check, resume
from explorer.engine.training.lanes import Checkpoint
from explorer.engine.training.train import with_twin
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.session.frames import FramePublisher, Point
from explorer.ui.session.snapshots import SavedRun, SnapshotStore

ACTIVE = ("training", "paused")


class Travel:
    """The part of a Session that knows its past; the methods with an underscore are the worker's."""

    experiment: Experiment
    status: str
    twin: bool
    points: list[Point]
    album: SnapshotStore
    past: int | None  # the recorded step that is looked at; None is now
    _sought: int | None
    _camera: FramePublisher
    _trainer: Trainer | None
    _steps: Iterator[Any] | None
    _error: Exception | None
    _do: Callable[[Callable[[], object]], None]
    _show: Callable[[], None]
    _go: Callable[[], None]
    _finish: Callable[[str], None]

    def look(self, step: int | None) -> None:
        """Shows the run as it was at a recorded step, while it goes on unseen; None is now."""
        self._sought = step
        self._do(lambda: self._look(step))

    def branch(self, step: int, experiment: Experiment | None = None) -> None:
        """Goes on from a recorded step with other settings; ValueError where that can't be."""
        point, chosen, trainer = self.album.at(step), experiment or self.experiment, self._trainer
        assert trainer is not None
        check(point, chosen, trainer.per_epoch)
        self.experiment = chosen
        self._do(lambda: self._branch(point, chosen))

    def kept(self, trainer: Trainer) -> SavedRun:
        """The run as it is now, to be shown again; for use in `call`."""
        status = "stopped" if self.status in ACTIVE else self.status
        return SavedRun(trainer.snapshot(), list(self.points), status, str(trainer.device))

    def revive(self, kept: SavedRun) -> None:
        """Shows a run again that was kept; what trains now is given up."""
        self.experiment = kept.point.lanes[0].experiment
        self._do(lambda: self._revive(kept))

    # -- the worker -----------------------------------------------------------------------------------

    def _forget_from(self, step: int) -> None:
        self._camera.forget_from(step)
        self.album.forget_from(step)
        self.past = None

    def _branch(self, point: Checkpoint, experiment: Experiment) -> None:
        assert self._trainer is not None
        twin = self.twin if point.lanes[0].experiment.pruning is None else len(point.lanes) > 1
        self._trainer = branch(point, with_twin(experiment, twin=twin), self._trainer.device)
        self._forget_from(point.step + 1)
        self._camera.widen(len(self._trainer.lanes))
        self._go()

    def _revive(self, kept: SavedRun) -> None:
        self._steps = None
        self._trainer = resume(kept.point, kept.device)
        self._forget_from(0)
        self._camera.points = list(kept.points)
        self.album.keep(self._trainer)
        self._error = None
        self._finish(kept.status)

    def _look(self, step: int | None) -> None:
        if step != self._sought:
            return  # a newer one is waiting
        self.past = step
        if self._trainer is not None:
            self._show()
