"""The past of a run: snapshots of its weights, bounded in memory, and whole runs to be shown again."""

import threading
from dataclasses import dataclass

from explorer.engine.training.lanes import Checkpoint
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Frame, Point

MOST_BYTES = 128 * 2**20  # twenty moments of LeNet-5 beside its dense twin


@dataclass(frozen=True)
class SavedRun:
    """A run as it was, to be shown again."""

    snapshot: Checkpoint
    points: list[Point]
    status: str
    device: str


class SnapshotStore:
    """Snapshots of one run, evenly thinned out where they would take too much memory."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most, self._lock = most, threading.Lock()  # the worker appends, the page looks
        self._snapshots: dict[int, Checkpoint] = {}

    @property
    def steps(self) -> list[int]:
        """The steps whose weights are there."""
        with self._lock:
            return sorted(self._snapshots)

    def nearest(self, step: int) -> Checkpoint | None:
        """Return the snapshot next to a step, the earlier one of two; None where there is none at all."""
        with self._lock:
            return min(self._snapshots.values(), key=lambda s: (abs(s.step - step), s.step), default=None)

    def at(self, step: int) -> Checkpoint:
        """Return the snapshot of a step; raise ValueError where there is none."""
        with self._lock:
            snapshot = self._snapshots.get(step)
        if snapshot is None:
            steps = ", ".join(map(str, self.steps)) or "none"
            raise ValueError(f"the weights of step {step} are not kept; there are those of {steps}")
        return snapshot

    def append(self, trainer: Trainer) -> None:
        """Append the present moment; what has not changed since the one before takes no memory."""
        snapshot, newest = trainer.snapshot(), self.steps[-1:]
        with self._lock:
            self._snapshots[snapshot.step] = snapshot
            while len(self._snapshots) > 2 and self._bytes() > self._most:
                del self._snapshots[self._closest()]
        for step in newest:  # compared now that it is known whether it stays, as that takes longest
            self._share_memory(step)

    def discard_from(self, step: int) -> None:
        """Discard a step and what came after it: the run goes on otherwise from there."""
        with self._lock:
            self._snapshots = {at: snapshot for at, snapshot in self._snapshots.items() if at < step}

    def _share_memory(self, step: int) -> None:
        """Move a snapshot, if it is there still, to the memory of the one before where both hold the same."""
        *_, before = None, *(each for each in self.steps if each < step)
        if before is not None and step in self._snapshots:
            shared = self._snapshots[step].deduplicated(self._snapshots[before])
            with self._lock:
                self._snapshots[step] = shared

    def _bytes(self) -> int:
        tensors = (tensor for snapshot in self._snapshots.values() for tensor in snapshot.tensors())
        return sum({id(tensor): tensor.nbytes for tensor in tensors}.values())

    def _closest(self) -> int:
        """Return the step between whose neighbours there is the least; never the first or the last."""
        steps = sorted(self._snapshots)
        gaps = {b: c - a for a, b, c in zip(steps, steps[1:], steps[2:], strict=False)}
        return min(gaps, key=gaps.__getitem__)


def as_of(frame: Frame) -> str:
    """Say whose weights a frame of the past shows, before words about them; "" for the present."""
    if frame.viewed_step is None:
        return ""
    viewed, weights = (
        round(step / frame.trainer.per_epoch, 2) for step in (frame.viewed_step, frame.weights_step)
    )
    if frame.weights_step == frame.viewed_step:
        return as_of_epoch(viewed)
    return (
        f"As of step {frame.weights_step:,} (epoch {weights:g}): "
        f"the weights of epoch {viewed:g} are no longer kept, and these are nearest. "
    )


def as_of_epoch(epoch: float) -> str:
    """Say that words are about an epoch of the past."""
    return f"As of epoch {epoch:g}. "
