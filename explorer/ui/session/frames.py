"""Frames: what there is to see at a moment of training, made for the display and not kept."""

from dataclasses import dataclass

from torch import Tensor

from explorer.engine.network.state import LaneView
from explorer.engine.pruning.pruner import PruneDecision
from explorer.engine.training.lanes import Checkpoint, Lane
from explorer.engine.training.trainer import Trainer

SHARE = 0.1  # of the time may go into frames


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
class Predictions:
    """The classes that each lane's network predicts for the validation images, or for the first of them."""

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
    images_per_second: float
    seconds_left: float
    preview: float | None = None  # the threshold, while one is tried out
    advice: str = ""
    viewed_step: int | None = None  # the recorded step that is looked at; None is now
    snapshot: Checkpoint | None = None  # of the past, or the one that is nearest to it
    predictions: Predictions | None = None  # the newest that are known; of the past its own

    @property
    def step(self) -> int:
        """The step that is shown."""
        return self.trainer.step if self.viewed_step is None else self.viewed_step

    @property
    def weights_step(self) -> int:
        """The step whose weights are there: another one than is shown where those are not kept."""
        return self.trainer.step if self.snapshot is None else self.snapshot.step

    @property
    def lanes(self) -> list[Lane]:
        """The lanes as they were when these weights were there."""
        return (self.snapshot or self.trainer).lanes

    @property
    def pre_prune(self) -> Checkpoint | None:
        """The moment just before the first prune event, where that was over when these weights were there."""
        return self.trainer.checkpoint if self.snapshot is None else self.snapshot.earlier

    @property
    def views(self) -> list[LaneView]:
        """The weights of each lane; the first one's as a threshold that is tried out leaves them."""
        if self.snapshot is not None:
            return [self.snapshot.view(i) for i in range(len(self.snapshot.lanes))]
        return [self.view, *map(self.trainer.view, self.trainer.lanes[1:])]
