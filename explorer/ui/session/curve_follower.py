"""Follows the weights of a session with their what-if curve, a moment of work at each frame."""

import functools
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from explorer import registry
from explorer.engine.analysis import sparsity_curve
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.session.frames import Frame
from explorer.ui.session.throttle import Throttle

# Every string that a person reads here.
DENSE_RUN = "this run prunes nothing, so there is no curve"
NO_VALIDATION = "no validation images are held out, so there is no accuracy to show"

PAUSE = 2.0  # seconds between two curves while it trains
BUSY = 0.05  # of the time while it trains may go into curves
# seconds of work in one frame: a piece at least, and then no more
SLICE, IDLE_SLICE = 0.0015, 0.1


class CurveFollower:
    """Follows the weights with a curve, a slice of work at a time."""

    def __init__(self) -> None:
        self.points: list[sparsity_curve.CurvePoint] = []  # from the densest to the sparsest
        self.epoch, self.images, self.problem = 0.0, 0, ""
        self.tried: tuple[float, float, float] | None = None  # threshold, sparsity, accuracy
        self._of: tuple[Any, ...] = ()  # trainer, recipe and step of the curve that is there
        self._walk: Iterator[sparsity_curve.CurvePoint | None] | None = None
        self._next: tuple[Any, ...] = ()  # of the one that is being worked out
        self._found: list[sparsity_curve.CurvePoint] = []
        self._throttle = Throttle(PAUSE, BUSY)
        self._cost, self._images, self._per_epoch = 0.0, 0, 1

    def rest(self) -> None:
        """Gives up what is only half done."""
        self._walk = None

    def work(self, frame: Frame) -> bool:
        """Works a moment on the curve where the weights have changed; True where there is more to do now."""
        trainer = frame.trainer
        experiment = trainer.lanes[0].experiment
        if experiment.pruning is None or not experiment.validation:
            self._forget(DENSE_RUN if experiment.pruning is None else NO_VALIDATION)
            return False
        wanted = (weakref.ref(trainer), recipe(experiment), trainer.prune_base()[1])
        if self._of[:2] != wanted[:2]:
            self._forget("")
            self._of = (*wanted[:2], None)
        training = frame.status == "training"
        if self._walk is None or (not training and self._next != wanted):
            if self._of == wanted or (training and self._throttle.resting):
                return False
            self._begin(trainer, experiment, wanted)
        return self._slice(SLICE if training else IDLE_SLICE) and not training

    def knows(self, trainer: Trainer) -> bool:
        """Whether the curve is there, and of the weights that a threshold would cut now."""
        experiment = trainer.lanes[0].experiment
        now = weakref.ref(trainer), recipe(experiment), trainer.prune_base()[1]
        return bool(self.points) and self._of == now

    def at(self, frame: Frame) -> tuple[float, float] | None:
        """Sparsity and accuracy at the present threshold, as tried out or by the curve."""
        pruning = frame.trainer.lanes[0].experiment.pruning
        if pruning is None:
            return None
        threshold = pruning.threshold if frame.preview is None else frame.preview
        if frame.preview is not None and self.tried is not None:
            return self.tried[1:]
        if not self.points:
            return None
        thresholds, sparsities, accuracies = zip(
            *((p.threshold, p.sparsity, p.accuracy) for p in self.points), strict=True
        )
        found = [np.interp(threshold, thresholds, values) for values in (sparsities, accuracies)]
        return float(found[0]), float(found[1])

    def _begin(self, trainer: Trainer, experiment: Experiment, wanted: tuple[Any, ...]) -> None:
        how = sparsity_curve.default_resolution(trainer)
        self._walk = sparsity_curve.evaluate_curve(trainer, experiment, how)
        self._next, self._found = wanted, []
        self._cost, self._images, self._per_epoch = 0.0, how.images, trainer.per_epoch

    def _slice(self, seconds: float) -> bool:
        """True where there is more to do."""
        assert self._walk is not None
        started = time.perf_counter()
        end = object()
        try:
            while time.perf_counter() - started < seconds:
                point: Any = next(self._walk, end)
                if point is end:
                    self._finish("")
                    break
                self._found += [] if point is None else [point]
        except ValueError as error:  # no layer can be pruned like this, or the weights have diverged
            self._finish(str(error))
        self._cost += time.perf_counter() - started
        if self._walk is None:
            self._throttle.record(self._cost)
        return self._walk is not None

    def _finish(self, problem: str) -> None:
        self._walk, self._of, self.problem = None, self._next, problem
        self.points, self.images = self._found[::-1], self._images
        self.epoch = self._of[2] / self._per_epoch

    def _forget(self, problem: str) -> None:
        self.points, self.tried, self.problem, self._walk, self._of = [], None, problem, None, ()


@functools.lru_cache(maxsize=64)  # a frame asks twice, and to make another Experiment takes 0.5 ms
def recipe(experiment: Experiment) -> str:
    """What names a curve: the experiment whatever its threshold."""
    pruning = experiment.pruning
    fixed = pruning is None or registry.get("granularity", pruning.granularity).traits.threshold
    return experiment.hash if fixed else experiment.replace({"pruning.threshold": 0.5}).hash
