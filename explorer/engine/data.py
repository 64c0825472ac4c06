"""Data sets as device tensors: uint8 images, batches by index, normalised on the fly."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    """Images uint8 [N, 1, 28, 28] with labels int64 [N], on one device.

    `mean` and `std` are those of the training pixels in [0, 1].
    """

    pixels: Tensor
    labels: Tensor
    mean: float = MEAN
    std: float = STD

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice) -> "Images":
        return replace(self, pixels=self.pixels[index], labels=self.labels[index])

    def to(self, device: torch.device) -> "Images":
        """The same images on a device."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    @functools.cached_property
    def lit(self) -> tuple[Any, Any, Any]:
        """The pixels that are not 0, on a CPU: the first place of each image [N + 1], columns and values."""
        from explorer.engine.compiled import kernels  # noqa: PLC0415  that module needs this one

        found: tuple[Any, Any, Any] = kernels().nonzero(self.pixels.flatten(1).numpy())
        return found

    def inputs(self, normalise: bool, dtype: torch.dtype, index: slice | Tensor = slice(None)) -> Tensor:
        """Images as a network sees them: normalised, or x/255."""
        # index_select copies whole images; indexing with a tensor goes element by element, ten times slower
        chosen = self.pixels.index_select(0, index) if isinstance(index, Tensor) else self.pixels[index]
        return normalised(chosen, normalise, dtype, self.mean, self.std)


@dataclass(frozen=True)
class Split:
    """What a run sees: `train` to learn from, `validation` to choose by, `test` to report once."""

    train: Images
    validation: Images
    test: Images


@register("dataset", "mnist", sizes=(60_000, 10_000), shape=(1, 28, 28), classes=10, nonzero=150 / 784)
def mnist() -> tuple[Images, Images]:
    """Handwritten digits, embedded: 60,000 to train and validate, 10,000 to test.

    Reference: LeCun, Bottou, Bengio & Haffner 1998, https://doi.org/10.1109/5.726791
    """
    with np.load(EMBEDDED) as arrays:
        train, test = (
            _images(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test")
        )
    return train, test


@register("dataset", "fashion-mnist", sizes=(60_000, 10_000), shape=(1, 28, 28), classes=10)
def fashion_mnist() -> tuple[Images, Images]:
    """Ten kinds of clothing, harder than digits: 60,000 and 10,000 images, fetched once and then cached.

    Reference: Xiao, Rasul & Vollgraf 2017, https://arxiv.org/abs/1708.07747
    """
    return _fetched("fashion-mnist", "FashionMNIST", 0.2860, 0.3530)


@register("dataset", "kmnist", sizes=(60_000, 10_000), shape=(1, 28, 28), classes=10)
def kmnist() -> tuple[Images, Images]:
    """Ten cursive Japanese characters: 60,000 and 10,000 images, fetched once and then cached.

    Reference: Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto & Ha 2018, https://arxiv.org/abs/1812.01718
    """
    return _fetched("kmnist", "KMNIST", 0.1918, 0.3483)


def _fetched(name: str, kind: str, mean: float, std: float) -> tuple[Images, Images]:
    """A data set of torchvision's, from the user's cache; raises ValueError where it cannot be had."""
    try:  # a bare worker has neither
        import platformdirs  # noqa: PLC0415
        from torchvision import datasets  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError as error:
        raise ValueError(
            f"dataset = {name!r} needs {error.name}: pip install {error.name}; 'mnist' needs nothing"
        ) from None
    root = Path(platformdirs.user_cache_dir("pruning-explorer"))
    try:
        parts = [getattr(datasets, kind)(root, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:  # no network, no mirror, a broken download, a full disk
        raise ValueError(
            f"dataset = {name!r} is not in {root} and cannot be fetched ({error}); connect to the network "
            f"once, or put the four files into {root / kind / 'raw'}; 'mnist' needs no network"
        ) from error
    train, test = (Images(p.data.unsqueeze(1), p.targets.long(), mean, std) for p in parts)
    return train, test


def _images(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Images:
    return Images(torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)))


def load(dataset: str, device: torch.device) -> tuple[Images, Images]:
    """A data set's training and test images on a device; kept, so that a second run starts at once."""
    return _load(get("dataset", dataset).function, dataset, device)


@functools.lru_cache(maxsize=4)  # by the function: who registers another under the same name gets its images
def _load(
    function: Callable[[], tuple[Images, Images]], dataset: str, device: torch.device
) -> tuple[Images, Images]:
    train, test = function()
    sizes = get("dataset", dataset).traits.get("sizes", (len(train), len(test)))
    if tuple(sizes) != (len(train), len(test)):
        raise ValueError(
            f"dataset = {dataset!r} is registered with sizes={sizes}, but has {len(train)} training and "
            f"{len(test)} test images"
        )
    return train.to(device), test.to(device)


def split(dataset: str, device: torch.device, validation: int) -> Split:
    """The last `validation` training images are held out; the test images are never trained or chosen on."""
    return _split(get("dataset", dataset).function, dataset, device, validation)


@functools.lru_cache(maxsize=4)
def _split(_: object, dataset: str, device: torch.device, validation: int) -> Split:
    train, test = load(dataset, device)
    cut = len(train) - validation
    if cut <= 0:
        raise ValueError(
            f"validation = {validation} leaves none of {dataset}'s {len(train)} images to train on"
        )
    return Split(train[slice(0, cut)], train[slice(cut, len(train))], test)


def normalised(
    pixels: Tensor, normalise: bool, dtype: torch.dtype, mean: float = MEAN, std: float = STD
) -> Tensor:
    """Pixels 0 to 255 as numbers: (x/255 − mean)/std, MNIST's by default; x/255 where `normalise` is off."""
    return _scaled(pixels.to(dtype), normalise, mean, std)


def _scaled(x: Tensor, normalise: bool, mean: float, std: float) -> Tensor:
    mean, std = (mean, std) if normalise else (0.0, 1.0)
    return x.sub_(255 * mean).div_(255 * std)


def order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: a function of seed and epoch alone, [count]."""
    return torch.randperm(count, generator=generator(seed, 1, epoch))


def generator(*key: int) -> torch.Generator:
    """A generator of its own for each purpose: moving one slider never shifts another's numbers."""
    return torch.Generator().manual_seed(seed_of(*key))


def seed_of(*key: int) -> int:
    """A seed for a purpose, 63 bits."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def batches(
    images: Images,
    experiment: Experiment,
    epoch: int,
    *,
    skip: int,
    dtype: torch.dtype,
    indices: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The epoch's batches from number `skip` on; the last one may be smaller, none is dropped.

    Images lie in memory that is used again: a batch is good until the next one is asked for. The order is
    that of the experiment's seed, unless one is given, `indices` [N].
    """
    size, device = experiment.batch_size, images.labels.device
    indices = order(len(images), experiment.seed, epoch) if indices is None else indices
    indices = indices.to(device)[skip * size :]
    shape = (min(CHUNK * size, len(indices)), *images.pixels.shape[1:])
    pixels = torch.empty(shape, dtype=images.pixels.dtype, device=device)
    inputs = torch.empty(shape, dtype=dtype, device=device)
    for start in range(0, len(indices), CHUNK * size):
        chosen = indices[start : start + CHUNK * size]
        # index_select copies whole images; indexing with a tensor goes element by element, ten times slower
        torch.index_select(images.pixels, 0, chosen, out=pixels[: len(chosen)])
        x = inputs[: len(chosen)].copy_(pixels[: len(chosen)])
        _scaled(x, experiment.normalise, images.mean, images.std)
        yield from zip(torch.split(x, size), torch.split(images.labels[chosen], size), strict=True)
