"""Evaluates networks on all validation images, a slice of time after the other, so that nobody waits."""

import time

import torch
from torch import Tensor

from explorer.engine.analysis.predictions import logits
from explorer.engine.network.forward_backward import eval_batch_size
from explorer.engine.network.losses import predictions
from explorer.engine.network.state import LaneView
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Predictions


class SlicedEvaluation:
    """What the lanes of a trainer predict; `predictions` grows with each slice of work.

    Args:
        trainer: whose network and validation images.
        views: the weights of each lane; lanes that share them are evaluated once.
        step: of these weights.
    """

    def __init__(self, trainer: Trainer, views: list[LaneView], step: int) -> None:
        self._network, (self._x, _) = trainer.network, trainer.observer.validation
        self._batch_size = eval_batch_size(trainer.device)
        self._keys = [view.row.data_ptr() for view in views]  # of each lane's weights
        self._views = dict(zip(self._keys, views, strict=True))
        self._parts: dict[int, list[Tensor]] = {key: [] for key in self._keys}
        self._step, self._images = step, 0

    @property
    def predictions(self) -> Predictions:
        """What there is so far: the classes of the first images."""
        rows = {key: torch.cat(parts) for key, parts in self._parts.items()}
        return Predictions(self._step, [rows[key] for key in self._keys])

    def work(self, seconds: float) -> bool:
        """Evaluate some more images, some at least; return whether there are more."""
        started = time.perf_counter()
        while self._images < len(self._x):
            batch = self._x[self._images : self._images + self._batch_size]
            for key, view in self._views.items():
                self._parts[key].append(predictions(logits(self._network, view, batch)).cpu())
            self._images += len(batch)
            if time.perf_counter() - started > seconds:
                break
        return self._images < len(self._x)
