"""Asks networks about all validation images, a slice of time after the other, so that nobody has to wait."""

import time

import torch
from torch import Tensor

from explorer.engine.analysis.predictions import logits
from explorer.engine.network.forward_backward import eval_batch_size
from explorer.engine.network.losses import predictions
from explorer.engine.network.state import LaneView
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Answers


class SlicedEvaluation:
    """What the lanes of a trainer answer; `found` grows with each slice of work.

    Args:
        trainer: whose network and validation images.
        views: the weights of each lane; lanes that share them are asked once.
        step: of these weights.
    """

    def __init__(self, trainer: Trainer, views: list[LaneView], step: int) -> None:
        self._network, (self._x, _) = trainer.network, trainer.observer.validation
        self._size = eval_batch_size(trainer.device)
        places = [view.row.data_ptr() for view in views]
        self._views = dict(zip(places, views, strict=True))
        self._places, self._step, self._done = places, step, 0
        self._found: dict[int, list[Tensor]] = {place: [] for place in places}

    @property
    def found(self) -> Answers:
        """What there is so far: the answers to the first images."""
        each = {place: torch.cat(found) for place, found in self._found.items()}
        return Answers(self._step, [each[place] for place in self._places])

    def work(self, seconds: float) -> bool:
        """Asks about some more images, some at least; True where there are more."""
        started = time.perf_counter()
        while self._done < len(self._x):
            part = self._x[self._done : self._done + self._size]
            for place, view in self._views.items():
                self._found[place].append(predictions(logits(self._network, view, part)).cpu())
            self._done += len(part)
            if time.perf_counter() - started > seconds:
                break
        return self._done < len(self._x)
