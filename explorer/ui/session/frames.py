"""Frames: what there is to see at a moment of training, made for the display and not kept."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

from torch import Tensor

from explorer.engine.network.state import LaneView
from explorer.engine.pruning.pruner import PruneDecision
from explorer.engine.training.lanes import Checkpoint, Lane
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment

FRAME_SECONDS = 0.1  # at most ten frames a second
RECORD_SECONDS = 0.07  # where there are many records
JUDGE_SECONDS = 0.5  # validation costs more than drawing, and records bring it as well
SHARE = 0.1  # of the time may go into frames
FITTED = 20  # points of training loss an epoch, at most
JUDGED = ("val_accuracy", "val_loss")


@dataclass(frozen=True)
class Point:
    """What was measured of each lane at a moment of training."""

    step: int
    epoch: float
    lanes: list[dict[str, float]]  # val_accuracy, val_loss, train_loss, sparsity; each where there is one

    @property
    def accuracy(self) -> list[float]:
        """Validation accuracy of each lane; empty without validation images."""
        return [lane["val_accuracy"] for lane in self.lanes if "val_accuracy" in lane]


@dataclass(frozen=True)
class Answers:
    """What the network of each lane answered at a step, to all validation images or to the first of them."""

    step: int
    lanes: list[Tensor]  # int [n] each, on the CPU


@dataclass(frozen=True)
class Frame:
    """What there is to see now; made for the display and not kept."""

    status: str  # idle, training, paused, stopped, done or diverged
    trainer: Trainer
    view: LaneView
    decision: PruneDecision | None
    accuracy: list[float]  # of each lane, empty without validation images
    sparsity: float
    speed: float  # training images a second
    left: float  # seconds to the end
    preview: float | None = None  # the threshold, while one is tried out
    advice: str = ""
    past: int | None = None  # the recorded step that is looked at; None is now
    point: Checkpoint | None = None  # what is kept of the past, or of the moment that is nearest to it
    answers: Answers | None = None  # the newest that are known; of the past its own

    @property
    def step(self) -> int:
        """The step that is shown."""
        return self.trainer.step if self.past is None else self.past

    @property
    def held(self) -> int:
        """The step whose weights are there: another one than is shown where those are not kept."""
        return self.trainer.step if self.point is None else self.point.step

    @property
    def lanes(self) -> list[Lane]:
        """The lanes as they were when these weights were there."""
        return (self.point or self.trainer).lanes

    @property
    def brink(self) -> Checkpoint | None:
        """The moment just before the first prune event, where that was over when these weights were there."""
        return self.trainer.checkpoint if self.point is None else self.point.earlier

    @property
    def views(self) -> list[LaneView]:
        """The weights of each lane; the first one's as a threshold that is tried out leaves them."""
        if self.point is not None:
            return [self.point.view(i) for i in range(len(self.point.lanes))]
        return [self.view, *map(self.trainer.view, self.trainer.lanes[1:])]


class FramePublisher:
    """Takes frames of a trainer: at most ten a second, and at most a tenth of the time."""

    def __init__(self, on_frame: Callable[[Frame], None]) -> None:
        self.points: list[Point] = []
        self._on_frame = on_frame
        self._shown = self._cost = self._judged = self._judge_cost = 0.0
        self._pace: deque[tuple[float, int]] = deque(maxlen=20)
        self._answers: Answers | None = None  # of the last time that the camera judged

    def clear(self) -> None:
        """Forgets the run."""
        self.forget_from(0)

    def forget_from(self, step: int) -> None:
        """Forgets what came at a step or after it: the run goes back there."""
        self.points = [p for p in self.points if p.step < step]
        self._pace.clear()
        self._answers = None

    def widen(self, lanes: int) -> None:
        """Gives each point that many lanes: a dense run that goes on pruned was its own twin before."""
        self.points = [replace(p, lanes=(p.lanes * lanes)[:lanes]) for p in self.points]

    def due(self, *, record: bool = False) -> bool:
        """Whether it is time for a frame; one of a record may come sooner."""
        pause = RECORD_SECONDS if record else max(FRAME_SECONDS, self._cost / SHARE)
        return time.perf_counter() - self._shown > pause

    def show(self, trainer: Trainer, status: str) -> None:
        """Shows the first lane as it is, its accuracy measured anew where that is due."""
        started = time.perf_counter()
        if status == "training" and started - self._judged > max(JUDGE_SECONDS, self._judge_cost / SHARE):
            self.judge(trainer)
        accuracy = self.points[-1].accuracy if self.points else []
        lane = trainer.lanes[0]
        frame = self._frame(trainer, status, trainer.view(lane), lane.decision, accuracy)
        self._on_frame(replace(frame, answers=self._known(trainer)))
        self._shown = time.perf_counter()
        self._cost = self._shown - started

    def look(self, trainer: Trainer, status: str, step: int, point: Checkpoint | None) -> None:
        """Shows the first lane as it was at a recorded step, by the weights of a point at or near to it."""
        seen = next((p for p in reversed(self.points) if p.step <= step), None)
        lane = trainer.lanes[0]
        view, decision = trainer.view(lane), lane.decision
        if point is not None:
            view, decision = point.view(), point.lanes[0].decision
        frame = self._frame(trainer, status, view, decision, seen.accuracy if seen else [])
        sparsity = seen.lanes[0]["sparsity"] if seen else 0.0
        answers = self._recorded(trainer, step)
        self._on_frame(replace(frame, past=step, point=point, sparsity=sparsity, answers=answers))
        self._shown = time.perf_counter()

    def preview(self, trainer: Trainer, status: str, experiment: Experiment) -> None:
        """Shows what another threshold would prune, and how well that answers without training."""
        assert experiment.pruning is not None
        view, decision = trainer.preview(experiment)
        own, known = trainer.observer.empty_answers(), self._known(trainer)
        accuracy = [found["val_accuracy"] for found in [trainer.observer.evaluate(view, own)] if found]
        answers = known and replace(known, lanes=[own.cpu(), *known.lanes[1:]])
        dense = self.points[-1].accuracy[1:] if self.points else []
        frame = self._frame(trainer, status, view, decision, accuracy + dense)
        self._on_frame(replace(frame, preview=experiment.pruning.threshold, answers=answers))

    def judge(self, trainer: Trainer) -> None:
        """Measures the validation accuracy of all lanes now."""
        started = time.perf_counter()
        found: dict[int, dict[str, float]] = {}
        answers: dict[int, Tensor] = {}
        for lane in trainer.lanes:
            if lane.row not in found:  # until the prune event the twin shares a row
                own = trainer.observer.empty_answers()
                found[lane.row] = trainer.observer.evaluate(trainer.view(lane), own)
                answers[lane.row] = own.cpu()
        self._answers = Answers(trainer.step, [answers[lane.row] for lane in trainer.lanes])
        self.point(trainer, [found[lane.row] for lane in trainer.lanes])
        self._judge_cost = time.perf_counter() - started

    def point(self, trainer: Trainer, judged: list[dict[str, float]]) -> None:
        """Keeps a point of the curves: what was judged, and the training loss since the last one."""
        self._judged = time.perf_counter()
        while self.points and self.points[-1].step >= trainer.step:
            self.points.pop()
        last = next((p.step for p in reversed(self.points) if "train_loss" in p.lanes[0]), 0)
        log, enough = trainer.flush(), trainer.per_epoch / FITTED  # a mean of few steps is noise
        lanes = []
        for i, (lane, values) in enumerate(zip(trainer.lanes, judged, strict=True)):
            since = log.series(i, 0, last).tolist()
            trained = {"train_loss": fmean(since)} if len(since) >= enough else {}
            kept = {name: values[name] for name in JUDGED if name in values}
            lanes.append({**kept, **trained, "sparsity": trainer.sparsity(lane)})
        self.points.append(Point(trainer.step, trainer.step / trainer.per_epoch, lanes))

    def _known(self, trainer: Trainer) -> Answers | None:
        """The newest answers of all lanes: of the last record, or of the last time the camera judged."""
        step = min(next(reversed(lane.answers), -1) for lane in trainer.lanes)
        recorded, judged = self._recorded(trainer, step), self._answers
        if recorded is None or judged is None:
            return recorded or judged
        return judged if judged.step > step else recorded

    @staticmethod
    def _recorded(trainer: Trainer, step: int) -> Answers | None:
        kept = [lane.answers.get(step) for lane in trainer.lanes]
        found = [each for each in kept if each is not None]
        return Answers(step, found) if len(found) == len(kept) else None

    def _frame(
        self,
        trainer: Trainer,
        status: str,
        view: LaneView,
        decision: PruneDecision | None,
        accuracy: list[float],
    ) -> Frame:
        pace = self._steps_a_second(trainer.step)
        return Frame(
            status=status,
            trainer=trainer,
            view=view,
            decision=decision,
            accuracy=accuracy,
            sparsity=trainer.observer.sparsity(view),
            speed=pace * trainer.lanes[0].experiment.batch_size,
            left=(trainer.total - trainer.step) / pace if pace else 0.0,
            advice=trainer.lanes[0].diverged,
        )

    def _steps_a_second(self, step: int) -> float:
        """Over the last frames."""
        self._pace.append((time.perf_counter(), step))
        (t0, s0), (t1, s1) = self._pace[0], self._pace[-1]
        return max(0.0, (s1 - s0) / (t1 - t0)) if t1 > t0 else 0.0
