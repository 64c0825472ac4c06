"""Frame publisher: makes frames of a trainer, as often as the display needs them and training can spare."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from explorer.engine.network.state import LaneView
from explorer.engine.pruning.pruner import PruneDecision
from explorer.engine.training.lanes import Checkpoint
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.session.frames import SHARE, Frame, Point, Predictions
from explorer.ui.session.throttle import Throttle

FRAME_SECONDS = 0.1  # at most ten frames a second
RECORD_SECONDS = 0.07  # where there are many records
EVALUATE_SECONDS = 0.5  # validation costs more than drawing, and records bring it as well
POINTS_AN_EPOCH = 20  # of training loss, at most
VALIDATION = ("val_accuracy", "val_loss")


class FramePublisher:
    """Publishes frames of a trainer: at most ten a second, and at most a tenth of the time.

    Args:
        on_frame: called with each frame.
    """

    def __init__(self, on_frame: Callable[[Frame], object]) -> None:
        self.on_frame = on_frame
        self.points: list[Point] = []  # of the curves
        self._frames = Throttle(FRAME_SECONDS, SHARE)
        self._record_frames = Throttle(RECORD_SECONDS)
        self._evaluations = Throttle(EVALUATE_SECONDS, SHARE)
        self._pace: deque[tuple[float, int]] = deque(maxlen=20)
        self._predictions: Predictions | None = None  # of the last evaluation

    def discard_from(self, step: int) -> None:
        """Discard what came at a step or after it: the run goes back there."""
        self.points = [p for p in self.points if p.step < step]
        self._pace.clear()
        self._predictions = None

    def widen(self, lanes: int) -> None:
        """Give each point that many lanes: a dense run that goes on pruned was its own twin before."""
        self.points = [replace(p, lanes=(p.lanes * lanes)[:lanes]) for p in self.points]

    def due(self, *, record: bool = False) -> bool:
        """Return whether it is time for a frame; one of a record may come sooner."""
        return not (self._record_frames if record else self._frames).resting

    def show(self, trainer: Trainer, status: str) -> None:
        """Show the first lane as it is, its accuracy measured anew where that is due."""
        with self._frames.work(), self._record_frames.work():
            if status == "training" and not self._evaluations.resting:
                self.evaluate(trainer)
            accuracy = self.points[-1].accuracy if self.points else []
            lane = trainer.lanes[0]
            frame = self._frame(trainer, status, trainer.view(lane), lane.decision, accuracy)
            self.on_frame(replace(frame, predictions=self.newest_predictions(trainer)))

    def show_past(self, trainer: Trainer, status: str, step: int, snapshot: Checkpoint | None) -> None:
        """Show the first lane as it was at a recorded step, by the weights of a snapshot at or near to it."""
        point = next((p for p in reversed(self.points) if p.step <= step), None)
        lane = trainer.lanes[0]
        view, decision = trainer.view(lane), lane.decision
        if snapshot is not None:
            view, decision = snapshot.view(), snapshot.lanes[0].decision
        frame = self._frame(trainer, status, view, decision, point.accuracy if point else [])
        sparsity = point.lanes[0]["sparsity"] if point else 0.0
        past = replace(frame, viewed_step=step, snapshot=snapshot, sparsity=sparsity)
        self.on_frame(replace(past, predictions=_recorded_predictions(trainer, step)))
        self._frames.restart()
        self._record_frames.restart()

    def preview(self, trainer: Trainer, status: str, experiment: Experiment) -> None:
        """Show what another threshold would prune, and how accurate that is without training."""
        assert experiment.pruning is not None
        view, decision = trainer.preview(experiment)
        own, newest = trainer.observer.empty_answers(), self.newest_predictions(trainer)
        metrics = trainer.observer.evaluate(view, own)
        accuracy = [metrics["val_accuracy"]] if metrics else []
        predictions = newest and replace(newest, lanes=[own.cpu(), *newest.lanes[1:]])
        dense = self.points[-1].accuracy[1:] if self.points else []
        frame = self._frame(trainer, status, view, decision, accuracy + dense)
        self.on_frame(replace(frame, preview=experiment.pruning.threshold, predictions=predictions))

    def evaluate(self, trainer: Trainer) -> None:
        """Measure the validation accuracy of all lanes now."""
        with self._evaluations.work():
            metrics: dict[int, dict[str, float]] = {}
            predictions: dict[int, Tensor] = {}
            for lane in trainer.lanes:
                if lane.row not in metrics:  # until the prune event the twin shares a row
                    own = trainer.observer.empty_answers()
                    metrics[lane.row] = trainer.observer.evaluate(trainer.view(lane), own)
                    predictions[lane.row] = own.cpu()
            self._predictions = Predictions(trainer.step, [predictions[lane.row] for lane in trainer.lanes])
            self.append_point(trainer, [metrics[lane.row] for lane in trainer.lanes])

    def append_point(self, trainer: Trainer, metrics: list[dict[str, float]]) -> None:
        """Append a point of the curves: the metrics of each lane, and the training loss since the last."""
        self._evaluations.restart()
        while self.points and self.points[-1].step >= trainer.step:
            self.points.pop()
        last = next((p.step for p in reversed(self.points) if "train_loss" in p.lanes[0]), 0)
        log, enough = trainer.flush(), trainer.per_epoch / POINTS_AN_EPOCH  # a mean of few steps is noise
        lanes = []
        for i, (lane, values) in enumerate(zip(trainer.lanes, metrics, strict=True)):
            losses = log.series(i, 0, last).tolist()
            loss = {"train_loss": trainer.recorder.mean_loss(losses, last)} if losses else {}
            training = loss if len(losses) >= enough else {}
            validation = {name: values[name] for name in VALIDATION if name in values}
            lanes.append({**validation, **training, "sparsity": trainer.sparsity(lane)})
        self.points.append(Point(trainer.step, trainer.step / trainer.per_epoch, lanes))

    def newest_predictions(self, trainer: Trainer) -> Predictions | None:
        """Return the newest predictions of all lanes: of the last record, or of the last evaluation here."""
        step = min(next(reversed(lane.answers), -1) for lane in trainer.lanes)
        recorded, own = _recorded_predictions(trainer, step), self._predictions
        if recorded is None or own is None:
            return recorded or own
        return own if own.step > step else recorded

    def _frame(
        self,
        trainer: Trainer,
        status: str,
        view: LaneView,
        decision: PruneDecision | None,
        accuracy: list[float],
    ) -> Frame:
        pace = self._steps_per_second(trainer.step)
        return Frame(
            status=status,
            trainer=trainer,
            view=view,
            decision=decision,
            accuracy=accuracy,
            sparsity=trainer.observer.sparsity(view),
            images_per_second=pace * trainer.lanes[0].experiment.batch_size,
            seconds_left=(trainer.total - trainer.step) / pace if pace else 0.0,
            advice=trainer.lanes[0].diverged,
        )

    def _steps_per_second(self, step: int) -> float:
        """Return the pace over the last frames."""
        self._pace.append((time.perf_counter(), step))
        (t0, s0), (t1, s1) = self._pace[0], self._pace[-1]
        return max(0.0, (s1 - s0) / (t1 - t0)) if t1 > t0 else 0.0


def _recorded_predictions(trainer: Trainer, step: int) -> Predictions | None:
    """Return the predictions of a record; None unless all lanes have theirs."""
    lanes = [lane.answers[step] for lane in trainer.lanes if step in lane.answers]
    return Predictions(step, lanes) if len(lanes) == len(trainer.lanes) else None
