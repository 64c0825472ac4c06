"""Session: one run in the background. One worker thread owns all tensors; callers only leave it commands."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import torch

from explorer.engine.observe import View
from explorer.engine.pruner import Verdict
from explorer.engine.run import Run
from explorer.engine.train import lanes_of, run_of
from explorer.engine.trainer import LIVE, Trainer
from explorer.experiment import Experiment, Pruning

FRAME_SECONDS = 0.1  # at most ten frames a second
SHARE = 0.1  # of the time may go into frames
ACTIVE = ("training", "paused")
PRUNING = {f"pruning.{name}" for name in Pruning.model_fields}
NETWORK = ("model", "model_options", "dataset", "normalise", "seed", "validation")


@dataclass(frozen=True)
class Point:
    """Validation accuracy of each lane at a moment of training."""

    step: int
    epoch: float
    accuracy: list[float]


@dataclass(frozen=True)
class Frame:
    """What there is to see now; made for the display and not kept."""

    status: str  # idle, training, paused, stopped, done or diverged
    trainer: Trainer
    view: View
    verdict: Verdict | None
    accuracy: list[float]  # of each lane, empty without validation images
    sparsity: float
    speed: float  # training images a second
    left: float  # seconds to the end
    preview: float | None = None  # the threshold, while one is tried out
    advice: str = ""


class Session:
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
        self.points: list[Point] = []
        self._on_frame, self._on_error = on_frame or (lambda _: None), on_error
        self._inbox: deque[Callable[[], object]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._trainer: Trainer | None = None
        self._steps: Iterator[Any] | None = None
        self._wanted: float | None = None  # the newest threshold to try out
        self._settled = threading.Event()
        self._settled.set()
        self._shown = self._cost = self._judged_at = self._judge_cost = 0.0
        self._pace: deque[tuple[float, int]] = deque(maxlen=20)
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

    def preview(self, threshold: float) -> None:
        """Shows what this threshold would prune, without training; only the newest one is tried out."""
        chosen = self.experiment.replace({"pruning.threshold": threshold})
        self._wanted = threshold
        self._do(lambda: self._preview(chosen, threshold))

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
        """Waits for the run to end and returns it; raises TimeoutError, or what went wrong."""
        reached = threading.Event()
        self._do(reached.set)  # behind all that was asked for before
        if not (reached.wait(timeout) and self._settled.wait(timeout)):
            raise TimeoutError(f"the run is still {self.status} after {timeout} s; session.stop() ends it")
        if self._error is not None:
            raise self._error
        return self.run

    @property
    def run(self) -> Run:
        """The run as it is now; "stopped" until it is done."""
        run: Run = self.call(lambda trainer: run_of(trainer, "done" if trainer.done else "stopped")).result()
        return run

    def close(self) -> None:
        """Ends the worker thread; the session can't be used again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._wake:
                self._inbox.append(_end)
                self._wake.notify()
            if thread is not threading.current_thread():
                thread.join(5)

    # -- the worker -----------------------------------------------------------------------------------

    def _do(self, command: Callable[[], object]) -> None:
        with self._wake:
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
                return
            except Exception as error:  # noqa: BLE001  shown in the widget, raised by wait()
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._error, self._steps = error, None
        self._turn(self.status, "stopped")
        self._settled.set()
        if self._on_error is not None:
            self._on_error(error)

    def _advance(self) -> None:
        assert self._trainer is not None
        assert self._steps is not None
        item: Any = next(self._steps, _END_OF_RUN)
        now = time.perf_counter()
        if item is _END_OF_RUN:
            diverged = self._trainer.lanes[0].diverged
            self._finish("diverged" if diverged else "done")
        elif item is not None:
            self._point([lane.get("val_accuracy") for lane in item.lanes])
            self._show(now)
        elif now - self._shown > max(FRAME_SECONDS, self._cost / SHARE):
            self._show(now)

    def _finish(self, status: str) -> None:
        self._steps = None
        self.status = status
        self._show(time.perf_counter())
        self._settled.set()

    # -- commands, all on the worker ------------------------------------------------------------------

    def _ready(self) -> Trainer:
        if self._trainer is None:
            self._build(self.experiment)
            self._judge()
            self._show(time.perf_counter())
        assert self._trainer is not None
        return self._trainer

    def _build(self, experiment: Experiment) -> None:
        self._trainer = Trainer(lanes_of(experiment, twin=self.twin), self.device)
        self.points.clear()

    def _start(self, experiment: Experiment) -> None:
        self._steps = None
        self._build(experiment)
        self._go()

    def _go(self) -> None:
        """Trains on from where the trainer stands."""
        assert self._trainer is not None
        self._steps = self._trainer.run()
        self._pace.clear()
        self._error, self._judged_at, self.status = None, 0.0, "training"
        self._settled.clear()

    def _rewindable(self, experiment: Experiment) -> bool:
        """Whether the training before the prune event can be kept: it differs in nothing but the pruning."""
        trainer = self._trainer
        if trainer is None or trainer.checkpoint is None or experiment.pruning is None:
            return False
        same = trainer.lanes[0].experiment.dense() == experiment.dense()
        return same and trainer.first_event(experiment.pruning) == trainer.checkpoint.step

    def _rewind(self, experiment: Experiment) -> None:
        """Prunes the checkpoint anew and fine-tunes."""
        assert self._trainer is not None
        self._trainer.restore(experiment)
        self.points = [p for p in self.points if p.step < self._trainer.step]
        self._go()

    def _stop(self) -> None:
        if self.status in ACTIVE:
            self._finish("stopped")

    def _reset(self) -> None:
        self._trainer, self._steps, self.status = None, None, "idle"
        self._ready()
        self._settled.set()

    def _turn(self, before: str, after: str) -> None:
        if self.status == before:
            self.status = after
            if self._trainer is not None:
                self._show(time.perf_counter())

    def _change(self, before: Experiment, after: Experiment, changes: Mapping[str, Any]) -> None:
        trainer, active = self._trainer, self.status in ACTIVE
        if trainer is None or self.status == "idle":
            self._trainer = None
            self._ready()
        elif active and self._live(before, changes):
            trainer.steer(changes)
        elif active and set(changes) == {"pruning.threshold"} and trainer.checkpoint is None:
            trainer.replan(after)  # the event is still to come: the new value is simply used
        elif set(changes) & PRUNING and self._rewindable(after):
            self._rewind(after)
        elif active or "pruning.threshold" in changes:
            self._start(after)

    def _live(self, before: Experiment, changes: Mapping[str, Any]) -> bool:
        """Whether the run can take these changes between two steps, as slider moves."""
        assert self._trainer is not None
        once = "pruning.threshold" in changes and not self._trainer.continuous
        unbound = "clipping.max_norm" in changes and before.clipping is None
        return set(changes) <= set(LIVE) and not once and not unbound

    def _preview(self, experiment: Experiment, threshold: float) -> None:
        if threshold != self._wanted:
            return  # a newer one is waiting
        if self._trainer is not None and not self._fits(experiment):
            self._reset()
        trainer = self._ready()
        view, verdict = trainer.preview(experiment)
        accuracy = [found["val_accuracy"] for found in [trainer.observer.judge(view)] if found]
        dense = self.points[-1].accuracy[1:] if self.points else []
        sparsity = trainer.observer.sparsity(view)
        frame = self._frame(view, verdict, [*accuracy, *dense], sparsity)
        self._on_frame(replace(frame, preview=threshold))

    def _fits(self, experiment: Experiment) -> bool:
        """Whether the trainer's weights are those of this experiment's network."""
        assert self._trainer is not None
        shown = self._trainer.lanes[0].experiment
        return all(getattr(shown, name) == getattr(experiment, name) for name in NETWORK)

    # -- frames ---------------------------------------------------------------------------------------

    def _show(self, now: float) -> None:
        trainer = self._trainer
        assert trainer is not None
        if self.status == "training" and now - self._judged_at > max(0.5, self._judge_cost / SHARE):
            self._judge()
        lane = trainer.lanes[0]
        accuracy = self.points[-1].accuracy if self.points else []
        self._on_frame(self._frame(trainer.view(lane), lane.verdict, accuracy, trainer.sparsity(lane)))
        self._shown = time.perf_counter()
        self._cost = self._shown - now

    def _frame(self, view: View, verdict: Verdict | None, accuracy: list[float], sparsity: float) -> Frame:
        trainer = self._trainer
        assert trainer is not None
        speed = self._speed(trainer)
        return Frame(
            status=self.status,
            trainer=trainer,
            view=view,
            verdict=verdict,
            accuracy=accuracy,
            sparsity=sparsity,
            speed=speed * trainer.lanes[0].experiment.batch_size,
            left=(trainer.total - trainer.step) / speed if speed else 0.0,
            advice=trainer.lanes[0].diverged,
        )

    def _speed(self, trainer: Trainer) -> float:
        """Steps a second over the last frames."""
        if self.status == "training":
            self._pace.append((time.perf_counter(), trainer.step))
        (t0, s0), (t1, s1) = (self._pace[0], self._pace[-1]) if self._pace else ((0, 0), (0, 0))
        return max(0.0, (s1 - s0) / (t1 - t0)) if t1 > t0 else 0.0

    def _judge(self) -> None:
        trainer = self._trainer
        assert trainer is not None
        started = time.perf_counter()
        self._point(
            [trainer.observer.judge(trainer.view(lane)).get("val_accuracy") for lane in trainer.lanes]
        )
        self._judge_cost = time.perf_counter() - started

    def _point(self, accuracy: list[float | None]) -> None:
        trainer = self._trainer
        assert trainer is not None
        self._judged_at = time.perf_counter()
        found = [a for a in accuracy if a is not None]
        if found:
            self.points = [p for p in self.points if p.step < trainer.step]
            self.points.append(Point(trainer.step, trainer.step / trainer.per_epoch, found))


class _End(Exception):  # noqa: N818  it ends the worker, it is no error
    pass


def _end() -> None:
    raise _End


_END_OF_RUN = object()
