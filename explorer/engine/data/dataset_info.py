"""What is known of a data set without its images: how many there are, their shape, and the classes.

A data set says it as traits of its registration; what it does not say is measured, once, by loading it.
"""

from dataclasses import dataclass
from typing import Any

import torch

from explorer import registry
from explorer.engine.data.datasets import load
from explorer.experiment import Experiment


@dataclass(frozen=True)
class DatasetInfo:
    """Numbers of a data set."""

    sizes: tuple[int, int]  # images to train and validate by, and to test by
    shape: tuple[int, int, int]  # of an image: channels, rows, columns
    classes: int
    nonzero: float  # the share of pixels that are not 0, at most


def dataset_info(dataset: str) -> DatasetInfo:
    """Return what is known of a data set; one that was registered without traits is loaded for it."""
    method = registry.get("dataset", dataset)
    if None in (method.traits.sizes, method.traits.shape, method.traits.classes):
        method = registry.add_traits(method, **_measured(dataset))
    traits: Any = method.traits
    return DatasetInfo(
        traits.sizes, traits.shape, traits.classes, 1.0 if traits.nonzero is None else traits.nonzero
    )


def _measured(dataset: str) -> dict[str, object]:
    train, test = load(dataset, torch.device("cpu"))
    return {
        "sizes": (len(train), len(test)),
        "shape": tuple(train.pixels.shape[1:]),
        "classes": 1 + max(int(part.labels.max()) for part in (train, test) if len(part)),
        "nonzero": int(train.pixels.count_nonzero()) / train.pixels.numel(),
    }


def check_sizes(experiment: Experiment) -> None:
    """Raise ValueError where the data set has too few images; it is loaded if nothing else tells."""
    dataset_info(experiment.dataset)
    experiment.check_sizes()


def steps_per_epoch(experiment: Experiment) -> int:
    """Return how many steps an epoch has; the last batch may be smaller, none is dropped."""
    images = dataset_info(experiment.dataset).sizes[0] - experiment.validation
    return -(-images // experiment.batch_size)
