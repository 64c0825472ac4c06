"""The past of a run: snapshots of its weights, bounded in memory, and whole runs to be shown again."""

import threading
from dataclasses import dataclass

from explorer.engine.training.lanes import Checkpoint
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Frame, Point

# Every string that a person reads here.
NOT_KEPT = "the weights of step {} are not kept; there are those of {}"
THEN = "As of epoch {:g}. "
NEAREST = (
    "As of step {:,} (epoch {:g}): the weights of epoch {:g} are no longer kept, and these are nearest. "
)

MOST_BYTES = 128 * 2**20  # twenty moments of LeNet-5 beside its dense twin


@dataclass(frozen=True)
class SavedRun:
    """A run as it was, to be shown again."""

    point: Checkpoint
    points: list[Point]
    status: str
    device: str


class SnapshotStore:
    """Snapshots of one run, evenly thinned out where they would take too much memory."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most, self._lock = most, threading.Lock()  # the worker keeps, the page looks
        self._points: dict[int, Checkpoint] = {}

    @property
    def steps(self) -> list[int]:
        """The steps whose weights are there."""
        with self._lock:
            return sorted(self._points)

    def get(self, step: int) -> Checkpoint | None:
        """The snapshot of a step; None where there is none."""
        with self._lock:
            return self._points.get(step)

    def nearest(self, step: int) -> Checkpoint | None:
        """The snapshot next to a step, the earlier one of two; None where there is none at all."""
        with self._lock:
            return min(self._points.values(), key=lambda p: (abs(p.step - step), p.step), default=None)

    def at(self, step: int) -> Checkpoint:
        """The snapshot of a step; raises ValueError where there is none."""
        point = self.get(step)
        if point is None:
            raise ValueError(NOT_KEPT.format(step, ", ".join(map(str, self.steps)) or "none"))
        return point

    def keep(self, trainer: Trainer) -> None:
        """Keeps the present moment; what has not changed since the one before takes no memory."""
        point, newest = trainer.snapshot(), self.steps[-1:]
        with self._lock:
            self._points[point.step] = point
            while len(self._points) > 2 and self._bytes() > self._most:
                del self._points[self._closest()]
        for step in newest:  # compared now that it is known whether it stays, as that takes longest
            self._share(step)

    def _share(self, step: int) -> None:
        """Keeps a moment, if it is still there, in the memory of the one before where that holds the same."""
        *_, before = None, *(each for each in self.steps if each < step)
        if before is not None and step in self._points:
            shared = self._points[step].deduplicated(self._points[before])
            with self._lock:
                self._points[step] = shared

    def forget_from(self, step: int) -> None:
        """Forgets a step and what came after it: the run goes on otherwise from there."""
        with self._lock:
            self._points = {at: point for at, point in self._points.items() if at < step}

    def _bytes(self) -> int:
        return sum({id(t): t.nbytes for point in self._points.values() for t in point.tensors()}.values())

    def _closest(self) -> int:
        """The step between whose neighbours there is the least; never the first or the last."""
        steps = sorted(self._points)
        gaps = {b: c - a for a, b, c in zip(steps, steps[1:], steps[2:], strict=False)}
        return min(gaps, key=gaps.__getitem__)


def as_of(frame: Frame) -> str:
    """Whose weights a frame of the past shows, for words that tell of them; empty for the present."""
    if frame.past is None:
        return ""
    held, looked = (round(step / frame.trainer.per_epoch, 2) for step in (frame.held, frame.past))
    return THEN.format(looked) if frame.held == frame.past else NEAREST.format(frame.held, held, looked)
