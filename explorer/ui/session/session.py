"""Session: one run in the background. One worker thread owns all tensors; callers only leave it commands."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from explorer.engine.training.branch import check
from explorer.engine.training.run import Run
from explorer.engine.training.train import run_of, warm_up, warn_of_fork
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.session.command_thread import CommandThread
from explorer.ui.session.frame_publisher import FramePublisher
from explorer.ui.session.frames import Frame, Point
from explorer.ui.session.reaction import ACTIVE
from explorer.ui.session.snapshots import SavedRun, SnapshotStore
from explorer.ui.session.worker import Worker


class Session:
    """Runs an Experiment in the background; every method returns at once, but `wait`.

    What a changed setting does, `set`, is the table in `reaction.py`: moving the threshold of a one-shot run
    goes back to just before its prune event, clip norm and learning rate act from the next step, and most
    others begin a new run. A process forked from one that has trained may hang in torch, and has no worker of
    its parent's sessions: start it by "spawn".

    Args:
        experiment: what to train.
        device: "auto", "cpu" or "cuda".
        twin: train the dense twin beside each pruned run.
        on_frame: called on the worker thread with what there is to see, ten times a second at most.
        on_error: called on the worker thread with what ended a run.
    """

    def __init__(
        self,
        experiment: Experiment | None = None,
        device: str = "auto",
        twin: bool = True,
        on_frame: Callable[[Frame], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.device = device
        self.frames = FramePublisher(on_frame or (lambda _: None))
        self.snapshots = SnapshotStore()  # to look at and to branch from
        self._worker = Worker(
            *(experiment or Experiment(), device, twin),
            frames=self.frames,
            snapshots=self.snapshots,
            on_error=on_error,
        )
        self._thread = CommandThread(
            "explorer-session", self._worker.advance, self._worker.leave_a_core, self._worker.fail
        )

    # -- training -------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Show the untrained network, so that the first start is quick."""
        warn_of_fork()
        self._thread.post(self._worker.ready)
        warm_up()

    def start(self, experiment: Experiment | None = None) -> None:
        """Train from the beginning."""
        warn_of_fork()
        self.experiment = experiment or self.experiment
        self._thread.post(self._worker.start, self.experiment)

    def pause(self) -> None:
        """Hold between two steps; changes nothing in the result."""
        self._thread.post(self._worker.turn, "training", "paused")

    def resume(self) -> None:
        """Go on after a pause."""
        self._thread.post(self._worker.turn, "paused", "training")

    def stop(self) -> None:
        """End the run after the step at hand; `run` holds what there is."""
        self._thread.post(self._worker.stop)

    def reset(self, experiment: Experiment | None = None) -> None:
        """Go back to the untrained network."""
        self.experiment = experiment or self.experiment
        self._thread.post(self._worker.reset)

    def wait(self, timeout: float | None = None) -> Run:
        """Wait for the run to end and return it.

        Raises:
            TimeoutError: where it has not ended in so many seconds.
            RuntimeError: where the session is closed meanwhile.
            Exception: what went wrong in the run.
        """
        reached, began = threading.Event(), time.monotonic()
        self._thread.post(reached.set)  # behind all that was asked for before
        in_time = reached.wait(timeout)
        left = None if timeout is None else max(0.0, began + timeout - time.monotonic())
        if not (in_time and self._worker.at_rest.wait(left)):
            raise TimeoutError(f"the run is still {self.status} after {timeout} s; session.stop() ends it")
        if self._worker.error is not None:
            raise self._worker.error
        return self.run

    def close(self) -> None:
        """End the worker thread; the session can't be used again."""
        self._thread.close(last=self._worker.at_rest.set)  # who waits for the run is told that it is given up

    # -- settings -------------------------------------------------------------------------------------

    @property
    def experiment(self) -> Experiment:
        """The settings that the next run takes."""
        return self._worker.experiment

    @experiment.setter
    def experiment(self, experiment: Experiment) -> None:
        self._worker.experiment = experiment

    def set(self, changes: Mapping[str, Any]) -> None:
        """Change the experiment by dotted names, at once where a slider can, else by beginning anew.

        `session.set({"clipping.max_norm": 0.5})`. Raises ValueError where a name or a value is wrong.
        """
        before = self.experiment
        after = self.experiment = before.replace(changes)
        if after != before:
            self._thread.post(self._worker.change, before, after, changes)
        else:
            self.refresh()  # a threshold was tried out and put back

    def preview(self, threshold: float) -> None:
        """Show what this threshold would prune, without training; only the newest one is tried out."""
        experiment = self.experiment.replace({"pruning.threshold": threshold})
        self._thread.post_latest("preview", self._worker.preview, experiment)

    # -- what there is --------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """One of "idle", "training", "paused", "stopped", "done" and "diverged"."""
        return self._worker.status

    @property
    def run(self) -> Run:
        """The run as it is now; "stopped" until it is done."""
        run: Run = self.call(lambda trainer: run_of(trainer, "done" if trainer.done else "stopped")).result()
        return run

    @property
    def points(self) -> list[Point]:
        """What was measured so far, finer than the record."""
        return self.frames.points

    def call(self, function: Callable[[Trainer], Any]) -> "Future[Any]":
        """Run a function of the trainer between two steps, on the worker; return its future."""
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(function(self._worker.ready()))
            except Exception as error:  # noqa: BLE001  it belongs to whoever asked
                future.set_exception(error)

        self._thread.post(work)
        return future

    def refresh(self) -> None:
        """Show the present state anew, to somebody who has not seen it."""
        self._thread.post(self._worker.show, wake=False)

    # -- the past -------------------------------------------------------------------------------------

    @property
    def viewed_step(self) -> int | None:
        """The recorded step that is shown; None is now."""
        return self._worker.viewed_step

    def view_step(self, step: int | None) -> None:
        """Show the run as it was at a recorded step, while it goes on unseen; None is now."""
        self._thread.post_latest("view", self._worker.view_step, step)

    def branch(self, step: int, experiment: Experiment | None = None) -> None:
        """Go on from a recorded step with other settings; raise ValueError where that can't be."""
        snapshot, trainer = self.snapshots.at(step), self._worker.trainer
        assert trainer is not None
        experiment = experiment or self.experiment
        check(snapshot, experiment, trainer.per_epoch)
        self.experiment = experiment
        self._thread.post(self._worker.branch, snapshot, experiment)

    def saved_run(self, trainer: Trainer) -> SavedRun:
        """Return the run as it is now, to be shown again; for use in `call`."""
        status = "stopped" if self.status in ACTIVE else self.status
        return SavedRun(trainer.snapshot(), list(self.points), status, str(trainer.device))

    def restore(self, saved: SavedRun) -> None:
        """Show a run again that was saved; what trains now is given up."""
        self.experiment = saved.snapshot.lanes[0].experiment
        self._thread.post(self._worker.restore, saved)
