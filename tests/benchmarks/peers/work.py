"""The work that all do, and what each of them offers for it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

import explorer as ex
from explorer import registry
from explorer.engine.data import datasets
from explorer.engine.data.random import generator
from explorer.engine.network import models

BATCH, LR, MAX_NORM, SPARSITY = 64, 0.1, 1.0, 0.9


class Peer(NamedTuple):
    """One way to do the work."""

    prepare: Callable[[], None]  # back to the first weights; not timed
    train: Callable[[], None]  # all epochs, to the end; timed
    weights: Callable[[], dict[str, np.ndarray]]  # the weights by torch's names, [L, *shape]


@dataclass(frozen=True)
class Work:
    """Epochs of a network with one hidden layer under a mask, in one variant or in many side by side."""

    lanes: int = 1
    hidden: int = 128
    epochs: int = 1
    device: str = "cpu"
    dataset: str = "mnist"
    batch: int = BATCH
    order: np.ndarray | None = None  # of the images in each epoch; None lets each draw its own

    @property
    def thresholds(self) -> list[float]:
        """The share pruned in each variant: 0.9 for one, from 0.5 to 0.98 for many."""
        if self.lanes == 1:
            return [SPARSITY]
        return [round(t, 4) for t in np.linspace(0.5, 0.98, self.lanes).tolist()]

    @cached_property
    def experiments(self) -> list[ex.Experiment]:
        """The same work for the explorer; no images are held out, so that nobody validates."""
        return [
            ex.Experiment(
                model=_model(self.hidden),
                dataset=self.dataset,
                epochs=self.epochs,
                lr=LR,
                batch_size=self.batch,
                validation=0,
                pruning=ex.Pruning(threshold=threshold, unit="sparsity", begin_epoch=0),
                clipping=ex.Clipping(max_norm=MAX_NORM),
            )
            for threshold in self.thresholds
        ]

    @cached_property
    def labels(self) -> np.ndarray:
        """The training labels, int64 [N]."""
        return datasets.load(self.dataset, torch.device("cpu"))[0].labels.numpy()

    @cached_property
    def inputs(self) -> np.ndarray:
        """The training images, normalised, float32 [N, 784]."""
        train = datasets.load(self.dataset, torch.device("cpu"))[0]
        return train.inputs(True, torch.float32).flatten(1).numpy()

    @cached_property
    def initial(self) -> dict[str, np.ndarray]:
        """The weights that the explorer begins with, before it prunes; the same in all variants."""
        first = self.experiments[0]
        state = models.initialised(first, generator(first.seed, 0)).state_dict()
        return {name: value.numpy() for name, value in state.items()}

    @cached_property
    def masks(self) -> list[dict[str, np.ndarray]]:
        """For each variant the weights that stay, float32: exactly k fall, the smallest of both layers."""
        names = [name for name, value in self.initial.items() if value.ndim > 1]
        flat = np.concatenate([np.abs(self.initial[name]).ravel() for name in names])
        rising = np.argsort(flat, kind="stable")
        cuts = np.cumsum([self.initial[name].size for name in names])[:-1]
        found = []
        for threshold in self.thresholds:
            keep = np.ones(flat.size, np.float32)
            keep[rising[: round(threshold * flat.size)]] = 0
            parts = zip(names, np.split(keep, cuts), strict=True)
            found.append({name: part.reshape(self.initial[name].shape) for name, part in parts})
        return found


def _model(hidden: int) -> str:
    """The name of the network with that hidden layer; widths that are not in the zoo are added to it."""
    name = f"mlp-784-{hidden}-10"
    if name not in registry.names("model"):
        registry.register("model", name)(_factory(hidden))
    return name


def _factory(hidden: int) -> Callable[[], torch.nn.Module]:
    def network() -> torch.nn.Module:
        """One hidden layer of ReLU units, for the benchmark alone.

        Reference: tests/benchmarks/throughput.py
        """
        parts = {
            "flatten": torch.nn.Flatten(),
            "fc1": torch.nn.Linear(784, hidden),
            "relu1": torch.nn.ReLU(),
            "fc2": torch.nn.Linear(hidden, 10),
        }
        whole = torch.nn.Sequential()
        for name, part in parts.items():
            whole.add_module(name, part)
        return whole

    return network
