"""Data sets as device tensors: uint8 images, batches by index, normalised on the fly."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from explorer.experiment import Experiment
from explorer.registry import get, register

MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels in [0, 1]
EMBEDDED = Path(__file__).parent.parent / "data" / "mnist.npz"
CHUNK = 16  # batches gathered at once


@dataclass(frozen=True)
class Images:
    """Images uint8 [N, 1, 28, 28] with labels int64 [N], on one device."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice) -> "Images":
        return Images(self.pixels[index], self.labels[index])


@dataclass(frozen=True)
class Split:
    """What a run sees: `train` to learn from, `validation` to choose by, `test` to report once."""

    train: Images
    validation: Images
    test: Images


@register("dataset", "mnist")
def mnist() -> tuple[Images, Images]:
    """Handwritten digits, embedded: 60,000 to train and validate, 10,000 to test.

    Reference: LeCun, Bottou, Bengio & Haffner 1998, https://doi.org/10.1109/5.726791
    """
    with np.load(EMBEDDED) as arrays:
        train, test = (
            _images(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test")
        )
    return train, test


def _images(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Images:
    return Images(torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)))


@functools.lru_cache(maxsize=8)
def load(dataset: str, device: torch.device) -> tuple[Images, Images]:
    """A data set's training and test images on a device; kept, so that a second run starts at once."""
    train, test = get("dataset", dataset)()
    return (
        Images(train.pixels.to(device), train.labels.to(device)),
        Images(test.pixels.to(device), test.labels.to(device)),
    )


def split(dataset: str, device: torch.device, validation: int) -> Split:
    """The last `validation` training images are held out; the test images are never trained or chosen on."""
    train, test = load(dataset, device)
    cut = len(train) - validation
    if cut <= 0:
        raise ValueError(
            f"validation = {validation} leaves none of {dataset}'s {len(train)} images to train on"
        )
    return Split(train[slice(0, cut)], train[slice(cut, len(train))], test)


def normalised(pixels: Tensor, normalise: bool, dtype: torch.dtype) -> Tensor:
    """Pixels 0 to 255 as numbers: (x/255 − 0.1307)/0.3081, or x/255 where `normalise` is off."""
    mean, std = (MEAN, STD) if normalise else (0.0, 1.0)
    return pixels.to(dtype).sub_(255 * mean).div_(255 * std)


def order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: a function of seed and epoch alone, [count]."""
    return torch.randperm(count, generator=generator(seed, 1, epoch))


def generator(*key: int) -> torch.Generator:
    """A generator of its own for each purpose: moving one slider never shifts another's numbers."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def batches(
    images: Images, experiment: Experiment, epoch: int, *, skip: int, dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    """The epoch's batches from number `skip` on; the last one may be smaller, none is dropped."""
    size = experiment.batch_size
    indices = order(len(images), experiment.seed, epoch).to(images.labels.device)[skip * size :]
    for start in range(0, len(indices), CHUNK * size):
        chosen = indices[start : start + CHUNK * size]
        x = normalised(images.pixels[chosen], experiment.normalise, dtype)
        yield from zip(torch.split(x, size), torch.split(images.labels[chosen], size), strict=True)
