"""The worker half of a Session: the trainer, and the commands that one thread carries out on it."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch

from explorer.engine.training.branch import branch, resume
from explorer.engine.training.lanes import Checkpoint
from explorer.engine.training.train import with_twin
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.session.frame_publisher import FramePublisher
from explorer.ui.session.reaction import ACTIVE, Reaction, RunFacts, previewable, react
from explorer.ui.session.snapshots import SavedRun, SnapshotStore

END_OF_RUN = object()


class Worker:
    """Owns all tensors of a session; every method is called on its one thread.

    Args:
        experiment: what the next untrained network is made for; callers set it as the settings change.
        device: "auto", "cpu" or "cuda".
        twin: train the dense twin beside each pruned run.
        frames: shows what there is.
        snapshots: keeps the moments of the run.
        on_error: called with what ended a run.
    """

    def __init__(
        self,
        experiment: Experiment,
        device: str,
        twin: bool,
        *,
        frames: FramePublisher,
        snapshots: SnapshotStore,
        on_error: Callable[[Exception], None] | None,
    ) -> None:
        self.experiment, self.device, self.twin = experiment, device, twin
        self.frames, self.snapshots = frames, snapshots
        self.status = "idle"
        self.viewed_step: int | None = None  # the recorded step that is shown; None is now
        self.error: Exception | None = None  # what ended the run
        self.at_rest = threading.Event()  # no run is under way
        self.at_rest.set()
        self._on_error = on_error
        self.trainer: Trainer | None = None
        self._steps: Iterator[Any] | None = None  # of the run under way

    # -- between two commands -------------------------------------------------------------------------

    def leave_a_core(self) -> None:
        """Leave one core to the page; the number of threads of the process stays as it is.

        torch sets it for this thread and for all that start later: another thread takes the latter back.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(max(1, min(before, (os.cpu_count() or 2) - 1)))
        restorer = threading.Thread(target=torch.set_num_threads, args=(before,))
        restorer.start()
        restorer.join()

    def advance(self) -> bool:
        """Train to the next record or the next few steps; return False where nothing is to be trained."""
        if self.status != "training" or self._steps is None or self.trainer is None:
            return False
        item: Any = next(self._steps, END_OF_RUN)
        if item is END_OF_RUN:
            self._finish("diverged" if self.trainer.lanes[0].diverged else "done")
            return True
        if item is not None:
            self.frames.append_point(self.trainer, item.lanes)
            self.snapshots.append(self.trainer)
        if self.frames.due(record=item is not None):
            self.show()
        return True

    def fail(self, error: Exception) -> None:
        """End the run by an error."""
        self.error, self._steps, self.status = error, None, "stopped"
        with suppress(Exception):  # drawing may be what failed; the thread lives on all the same
            self.show()
        with suppress(Exception):
            if self._on_error is not None:
                self._on_error(error)
        self.at_rest.set()

    # -- the run --------------------------------------------------------------------------------------

    def ready(self) -> Trainer:
        """Return the trainer; where there is none, an untrained one that is shown first."""
        if self.trainer is None:
            self.trainer = self._build(self.experiment)
            self.frames.evaluate(self.trainer)
            self.show()
        return self.trainer

    def start(self, experiment: Experiment) -> None:
        """Train from the beginning."""
        self._steps = None
        self._go_on(self._build(experiment))

    def turn(self, before: str, after: str) -> None:
        """Pause or resume: go from one status to another, where it is that one."""
        if self.status == before:
            self.status = after
            self.show()

    def stop(self) -> None:
        """End the run."""
        if self.status in ACTIVE:
            self._finish("stopped")

    def reset(self) -> None:
        """Go back to the untrained network."""
        self.trainer, self._steps, self.status = None, None, "idle"
        self.ready()
        self.at_rest.set()

    def change(self, before: Experiment, after: Experiment, changes: Mapping[str, Any]) -> None:
        """React to a change of settings."""
        trainer = self.trainer
        facts = None if trainer is None else RunFacts.of(trainer, before, after)
        reaction = react(changes.keys(), self.status, facts)
        if trainer is None or reaction is Reaction.REBUILD:
            self.trainer = None
            self.ready()
        elif reaction is Reaction.STEER:
            trainer.steer(changes)
        elif reaction is Reaction.REPLAN:
            trainer.replan(after)
        elif reaction is Reaction.REWIND:
            self._rewind(trainer, after)
        elif reaction is Reaction.RESTART:
            self.start(after)
        if self.trainer is trainer and self.status != "training":
            self.show()  # no step does

    def preview(self, experiment: Experiment) -> None:
        """Show what a threshold would prune."""
        if self.trainer is not None and not previewable(self.trainer, experiment):
            self.reset()
        self.frames.preview(self.ready(), self.status, experiment)

    # -- the past -------------------------------------------------------------------------------------

    def view_step(self, step: int | None) -> None:
        """Show the run as it was at a recorded step; None is now."""
        self.viewed_step = step
        self.show()

    def branch(self, snapshot: Checkpoint, experiment: Experiment) -> None:
        """Go on from a snapshot with other settings."""
        twin = self.twin if snapshot.lanes[0].experiment.pruning is None else len(snapshot.lanes) > 1
        trainer = branch(snapshot, with_twin(experiment, twin=twin), snapshot.state.theta.device)
        self._discard_from(snapshot.step + 1)
        self.frames.widen(len(trainer.lanes))
        self._go_on(trainer)

    def restore(self, saved: SavedRun) -> None:
        """Show a run again that was saved."""
        self._steps = None
        self.trainer = resume(saved.snapshot, saved.device)
        self._discard_from(0)
        self.frames.points = list(saved.points)
        self.snapshots.append(self.trainer)
        self.error = None
        self._finish(saved.status)

    # -- parts of the above ---------------------------------------------------------------------------

    def show(self) -> None:
        """Show the present, or the moment of the past that is looked at, where there is a trainer."""
        if self.trainer is None:
            return
        step = self.viewed_step
        if step is None:
            self.frames.show(self.trainer, self.status)
        else:
            self.frames.show_past(self.trainer, self.status, step, self.snapshots.nearest(step))

    def _build(self, experiment: Experiment) -> Trainer:
        trainer = Trainer(with_twin(experiment, twin=self.twin), self.device)
        self._discard_from(0)
        return trainer

    def _go_on(self, trainer: Trainer) -> None:
        """Train on from where a trainer stands."""
        self.trainer, self._steps = trainer, trainer.run()
        self.error, self.status = None, "training"
        self.at_rest.clear()

    def _rewind(self, trainer: Trainer, experiment: Experiment) -> None:
        """Prune the checkpoint anew and fine-tune."""
        trainer.rewind_and_prune(experiment)
        self._discard_from(trainer.step)
        self._go_on(trainer)

    def _finish(self, status: str) -> None:
        self._steps = None
        self.status = status
        self.show()
        self.at_rest.set()

    def _discard_from(self, step: int) -> None:
        """Discard what is known of a step and of those after it: the run goes on otherwise from there."""
        self.frames.discard_from(step)
        self.snapshots.discard_from(step)
        self.viewed_step = None
