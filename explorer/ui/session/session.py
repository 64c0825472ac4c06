"""Session: one run in the background. One worker thread owns all tensors; callers only leave it commands."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import torch

from explorer.engine.training.run import Run
from explorer.engine.training.steering import LIVE
from explorer.engine.training.train import run_of, warm_up, with_twin
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment, Pruning
from explorer.ui.session.frames import Frame, FramePublisher, Point
from explorer.ui.session.snapshots import SnapshotStore
from explorer.ui.session.travel import ACTIVE, Travel

PRUNING = {f"pruning.{name}" for name in Pruning.model_fields}
CLOSED = "the session is closed; make a new one"
NETWORK = ("model", "model_options", "dataset", "normalise", "seed", "validation")


class Session(Travel):
    """Runs an Experiment in the background; every method returns at once, but `wait`.

    Moving the threshold of a one-shot run goes back to just before its prune event; clip norm and learning
    rate act from the next step; any other change begins a new run.
    """

    def __init__(
        self,
        experiment: Experiment | None = None,
        device: str = "auto",
        twin: bool = True,
        on_frame: Callable[[Frame], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.experiment = experiment or Experiment()
        self.device, self.twin, self.status = device, twin, "idle"
        self.album, self.past = SnapshotStore(), None  # the recorded step that is looked at
        self._camera, self._on_error = FramePublisher(on_frame or (lambda _: None)), on_error
        self._inbox: deque[Callable[[], object]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._trainer: Trainer | None = None
        self._steps: Iterator[Any] | None = None
        self._wanted: float | None = None  # the newest threshold to try out
        self._sought: int | None = None  # the newest step to look at
        self._settled = threading.Event()
        self._settled.set()
        self._error: Exception | None = None

    # -- what callers use -----------------------------------------------------------------------------

    def start(self, experiment: Experiment | None = None) -> None:
        """Trains from the beginning."""
        self.experiment = experiment or self.experiment
        chosen = self.experiment
        self._do(lambda: self._start(chosen))

    def prepare(self) -> None:
        """Shows the untrained network, so that the first start is quick."""
        self._do(self._ready)
        warm_up()

    def pause(self) -> None:
        """Holds between two steps; changes nothing in the result."""
        self._do(lambda: self._turn("training", "paused"))

    def resume(self) -> None:
        """Goes on after a pause."""
        self._do(lambda: self._turn("paused", "training"))

    def stop(self) -> None:
        """Ends the run after the step at hand; `run` holds what there is."""
        self._do(self._stop)

    def reset(self, experiment: Experiment | None = None) -> None:
        """Back to the untrained network."""
        self.experiment = experiment or self.experiment
        self._do(self._reset)

    def set(self, changes: Mapping[str, Any]) -> None:
        """Changes the experiment by dotted names, at once where a slider can, else by beginning anew.

        `session.set({"clipping.max_norm": 0.5})`. Raises ValueError where a name or a value is wrong.
        """
        before, self.experiment = self.experiment, self.experiment.replace(changes)
        chosen = self.experiment
        if chosen != before:
            self._do(lambda: self._change(before, chosen, changes))
        elif self._trainer is not None:
            self._do(self._show)  # a threshold was tried out and put back

    def preview(self, threshold: float) -> None:
        """Shows what this threshold would prune, without training; only the newest one is tried out."""
        chosen = self.experiment.replace({"pruning.threshold": threshold})
        self._wanted = threshold
        self._do(lambda: self._preview(chosen, threshold))

    def refresh(self) -> None:
        """Shows the present state anew, to somebody who has not seen it."""
        self._do(lambda: self._show() if self._trainer is not None else None, wake=False)

    def call(self, function: Callable[[Trainer], Any]) -> "Future[Any]":
        """Runs a function of the trainer between two steps, on the worker; returns its future."""
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(function(self._ready()))
            except Exception as error:  # noqa: BLE001  it belongs to whoever asked
                future.set_exception(error)

        self._do(work)
        return future

    def wait(self, timeout: float | None = None) -> Run:
        """Waits for the run to end and returns it; raises TimeoutError, or what went wrong.

        RuntimeError where the session is closed meanwhile.
        """
        reached, begun = threading.Event(), time.monotonic()
        self._do(reached.set)  # behind all that was asked for before
        settled = reached.wait(timeout)
        left = None if timeout is None else max(0.0, begun + timeout - time.monotonic())
        if not (settled and self._settled.wait(left)):
            raise TimeoutError(f"the run is still {self.status} after {timeout} s; session.stop() ends it")
        if self._error is not None:
            raise self._error
        return self.run

    @property
    def points(self) -> list[Point]:
        """What was measured so far, finer than the record."""
        return self._camera.points

    @property
    def run(self) -> Run:
        """The run as it is now; "stopped" until it is done."""
        run: Run = self.call(lambda trainer: run_of(trainer, "done" if trainer.done else "stopped")).result()
        return run

    def close(self) -> None:
        """Ends the worker thread; the session can't be used again."""
        with self._wake:
            thread, self._thread, self._closed = self._thread, None, True
        if thread is not None:
            with self._wake:
                self._inbox.append(_end)
                self._wake.notify()
            if thread is not threading.current_thread():
                thread.join(5)

    # -- the worker -----------------------------------------------------------------------------------

    def _do(self, command: Callable[[], object], *, wake: bool = True) -> None:
        """Leaves the worker a command, and starts it where there is none; unless not worth waking it for."""
        with self._wake:
            if self._thread is None and not wake:
                return
            if self._closed:  # a timer of the page may still ask as it goes
                raise RuntimeError(CLOSED)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="explorer-session", daemon=True)
                self._thread.start()
            self._inbox.append(command)
            self._wake.notify()

    def _work(self) -> None:
        torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))  # one core stays with the page
        while True:
            try:
                if self._inbox:
                    self._inbox.popleft()()
                elif self.status == "training" and self._steps is not None:
                    self._advance()
                else:
                    with self._wake:
                        self._wake.wait_for(lambda: bool(self._inbox))
            except _End:
                self._settled.set()  # who waits for a run that was given up is told so
                return
            except Exception as error:  # noqa: BLE001  shown in the widget, raised by wait()
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._error, self._steps, self.status = error, None, "stopped"
        if self._trainer is not None:
            with suppress(Exception):  # drawing may be what failed; the worker lives on all the same
                self._show()
        if self._on_error is not None:
            with suppress(Exception):
                self._on_error(error)
        self._settled.set()

    def _advance(self) -> None:
        assert self._trainer is not None
        assert self._steps is not None
        item: Any = next(self._steps, _END_OF_RUN)
        if item is _END_OF_RUN:
            diverged = self._trainer.lanes[0].diverged
            self._finish("diverged" if diverged else "done")
        elif item is not None:
            self._camera.point(self._trainer, item.lanes)
            self.album.keep(self._trainer)
            if self._camera.due(record=True):
                self._show()
        elif self._camera.due():
            self._show()

    def _finish(self, status: str) -> None:
        self._steps = None
        self.status = status
        self._show()
        self._settled.set()

    # -- commands, all on the worker ------------------------------------------------------------------

    def _ready(self) -> Trainer:
        if self._trainer is None:
            self._build(self.experiment)
            self._camera.judge(self._trainer)
            self._show()
        assert self._trainer is not None
        return self._trainer

    def _build(self, experiment: Experiment) -> None:
        self._trainer = Trainer(with_twin(experiment, twin=self.twin), self.device)
        self._camera.clear()
        self.album.forget_from(0)
        self.past = None

    def _start(self, experiment: Experiment) -> None:
        self._steps = None
        self._build(experiment)
        self._go()

    def _go(self) -> None:
        """Trains on from where the trainer stands."""
        assert self._trainer is not None
        self._steps = self._trainer.run()
        self._error, self.status = None, "training"
        self._settled.clear()

    def _rewindable(self, experiment: Experiment) -> bool:
        """Whether the training before the prune event can be kept: it differs in nothing but the pruning."""
        trainer = self._trainer
        if trainer is None or trainer.checkpoint is None or experiment.pruning is None:
            return False
        same = trainer.lanes[0].experiment.dense() == experiment.dense()
        known = trainer.remembers(experiment.pruning)
        return same and known and trainer.timetable.first_event(experiment.pruning) == trainer.checkpoint.step

    def _rewind(self, experiment: Experiment) -> None:
        """Prunes the checkpoint anew and fine-tunes."""
        assert self._trainer is not None
        self._trainer.rewind_and_prune(experiment)
        self._forget_from(self._trainer.step)
        self._go()

    def _stop(self) -> None:
        if self.status in ACTIVE:
            self._finish("stopped")

    def _show(self) -> None:
        assert self._trainer is not None
        if self.past is None:
            self._camera.show(self._trainer, self.status)
        else:
            self._camera.look(self._trainer, self.status, self.past, self.album.nearest(self.past))

    def _reset(self) -> None:
        self._trainer, self._steps, self.status = None, None, "idle"
        self._ready()
        self._settled.set()

    def _turn(self, before: str, after: str) -> None:
        if self.status == before:
            self.status = after
            if self._trainer is not None:
                self._show()

    def _change(self, before: Experiment, after: Experiment, changes: Mapping[str, Any]) -> None:
        trainer, active = self._trainer, self.status in ACTIVE
        if trainer is None or self.status == "idle":
            self._trainer = None
            self._ready()
        elif active and self._live(before, changes):
            trainer.steer(changes)
        elif active and set(changes) == {"pruning.threshold"} and not trainer.lanes[0].pruned:
            trainer.replan(after)  # the event is still to come: the new value is simply used
        elif set(changes) & PRUNING and self._rewindable(after):
            self._rewind(after)
        elif active or "pruning.threshold" in changes:
            self._start(after)
        if self._trainer is trainer and self.status != "training":
            self._show()  # no step does

    def _live(self, before: Experiment, changes: Mapping[str, Any]) -> bool:
        """Whether the run can take these changes between two steps, as slider moves."""
        assert self._trainer is not None
        once = "pruning.threshold" in changes and not self._trainer.lanes[0].continuous
        unbound = "clipping.max_norm" in changes and before.clipping is None
        return set(changes) <= set(LIVE) and not once and not unbound

    def _preview(self, experiment: Experiment, threshold: float) -> None:
        if threshold != self._wanted:
            return  # a newer one is waiting
        if self._trainer is not None and not self._fits(experiment):
            self._reset()
        self._camera.preview(self._ready(), self.status, experiment)

    def _fits(self, experiment: Experiment) -> bool:
        """Whether the trainer's weights, and what it remembers of them, serve this experiment too."""
        assert self._trainer is not None
        shown = self._trainer.lanes[0].experiment
        same = all(getattr(shown, name) == getattr(experiment, name) for name in NETWORK)
        return same and self._trainer.remembers(experiment.pruning)


class _End(Exception):  # noqa: N818  it ends the worker, it is no error
    pass


def _end() -> None:
    raise _End


_END_OF_RUN = object()
