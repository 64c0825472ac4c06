"""Data sets as device tensors: uint8 images, batches by index, normalised on the fly.

A registered data set is a function of no arguments that returns its training and its test images.

Shapes: N images, B batch.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from explorer.engine.data.tensor_checks import check_constants, check_labels, check_pixels, check_range
from explorer.registry import get, register

MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels in [0, 1]
EMBEDDED = resources.files("explorer.data") / "mnist.npz"
CHUNK = 16  # batches gathered at once

# Sparse rows (CSR), an image each: where they begin, [N + 1], and the columns and the values of their pixels.
NonzeroPixels = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Images:
    """Pixels uint8 [N, 1, 28, 28] and labels int64 [N], on one device.

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
        """Return the same images on a device."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def nonzero_pixels(self, find: Callable[[npt.NDArray[np.uint8]], NonzeroPixels]) -> NonzeroPixels:
        """Return where pixels are not 0, on a CPU: what `find` makes of uint8 [N, pixels], computed once."""
        if "_nonzero" not in vars(self):  # beside the fields: equality and `replace` do not see it
            object.__setattr__(self, "_nonzero", find(self.pixels.flatten(1).numpy()))
        nonzero: NonzeroPixels = vars(self)["_nonzero"]
        return nonzero

    def inputs(self, normalise: bool, dtype: torch.dtype, index: slice | Tensor = slice(None)) -> Tensor:
        """Return images as a network sees them, [B, 1, 28, 28]: normalised, or x/255."""
        # index_select copies whole images; indexing with a tensor goes element by element, ten times slower
        pixels = self.pixels.index_select(0, index) if isinstance(index, Tensor) else self.pixels[index]
        return normalised(pixels, normalise, dtype, self.mean, self.std)


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
    with EMBEDDED.open("rb") as file, np.load(file) as arrays:
        train, test = (
            _images(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test")
        )
    return train, test


@register("dataset", "fashion-mnist", sizes=(60_000, 10_000), shape=(1, 28, 28), classes=10)
def fashion_mnist() -> tuple[Images, Images]:
    """Ten kinds of clothing, harder than digits: 60,000 and 10,000 images, fetched once and then cached.

    Reference: Xiao, Rasul & Vollgraf 2017, https://arxiv.org/abs/1708.07747
    """
    return _from_torchvision("fashion-mnist", "FashionMNIST", 0.2860, 0.3530)


@register("dataset", "kmnist", sizes=(60_000, 10_000), shape=(1, 28, 28), classes=10)
def kmnist() -> tuple[Images, Images]:
    """Ten cursive Japanese characters: 60,000 and 10,000 images, fetched once and then cached.

    Reference: Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto & Ha 2018, https://arxiv.org/abs/1812.01718
    """
    return _from_torchvision("kmnist", "KMNIST", 0.1918, 0.3483)


def _from_torchvision(name: str, kind: str, mean: float, std: float) -> tuple[Images, Images]:
    """Load a data set of torchvision's, by way of the user's cache; ValueError where it cannot be had."""
    try:  # a bare worker has neither
        import platformdirs  # noqa: PLC0415
        from torchvision import datasets  # noqa: PLC0415
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
    """Return a data set's training and test images on a device; the next run starts at once."""
    return _load(get("dataset", dataset).function, dataset, device)


@functools.lru_cache(maxsize=4)  # by the function: who registers another under the same name gets its images
def _load(
    function: Callable[[], tuple[Images, Images]], dataset: str, device: torch.device
) -> tuple[Images, Images]:
    train, test = _checked(dataset, function())
    return train.to(device), test.to(device)


def _checked(dataset: str, parts: object) -> tuple[Images, Images]:
    """Return what a data set's function returned, as Images that fit each other and its traits."""
    owner, traits = f"dataset = {dataset!r}", get("dataset", dataset).traits
    if not isinstance(parts, tuple | list) or [isinstance(part, Images) for part in parts] != [True, True]:
        kind = type(parts).__name__
        kinds = [type(part).__name__ for part in parts] if isinstance(parts, tuple | list) else kind
        raise TypeError(f"{owner} returns {kinds}; return its training and its test Images: (train, test)")
    train, test = (
        _checked_part(part, f"{owner} ({name})")
        for part, name in zip(parts, ("training", "test"), strict=True)
    )
    shape, other = (tuple(part.pixels.shape[1:]) for part in (train, test))
    if other != shape:
        raise ValueError(
            f"{owner} has training images of shape {shape} and test images of {other}; they must be the same"
        )
    sizes = (len(train), len(test))
    if traits.sizes is not None and tuple(traits.sizes) != sizes:
        raise ValueError(
            f"{owner} is registered with sizes={traits.sizes}, but has {sizes[0]} training and "
            f"{sizes[1]} test images"
        )
    if traits.shape is not None and tuple(traits.shape) != shape:
        raise ValueError(f"{owner} is registered with shape={traits.shape}, but its images have {shape}")
    if traits.classes is not None:
        for part in (train, test):
            check_range(part.labels, traits.classes, owner, f"is registered with classes={traits.classes}")
    return train, test


def _checked_part(part: Images, owner: str) -> Images:
    pixels = check_pixels(part.pixels, owner)
    check_constants(part.mean, part.std, owner)
    return replace(part, pixels=pixels, labels=check_labels(part.labels, len(pixels), owner))


def split(dataset: str, device: torch.device, validation: int) -> Split:
    """Hold out the last `validation` training images; the test images are never trained or chosen on."""
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
    """Return pixels 0 to 255 as (x/255 − mean)/std, MNIST's by default, or x/255 where `normalise` is off."""
    return _scaled(pixels.to(dtype, copy=True), normalise, mean, std)


def _scaled(x: Tensor, normalise: bool, mean: float, std: float) -> Tensor:
    mean, std = (mean, std) if normalise else (0.0, 1.0)
    return x.sub_(255 * mean).div_(255 * std)


def batches(
    images: Images, order: Tensor, size: int, *, normalise: bool, dtype: torch.dtype, skip: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches, [B, *shape] and labels [B]; the last may be smaller, none is dropped.

    Images lie in memory that is used again: a batch is good until the next one is asked for.

    Args:
        images: what to train on.
        order: the images' indices in the order of this epoch, int64 [N].
        size: images in a batch.
        normalise: as in an Experiment.
        dtype: of the images.
        skip: how many batches to leave out at the start.
    """
    device = images.labels.device
    indices = order.to(device)[skip * size :]
    shape = (min(CHUNK * size, len(indices)), *images.pixels.shape[1:])
    pixels = torch.empty(shape, dtype=images.pixels.dtype, device=device)
    inputs = torch.empty(shape, dtype=dtype, device=device)
    for start in range(0, len(indices), CHUNK * size):
        chunk = indices[start : start + CHUNK * size]
        # index_select copies whole images; indexing with a tensor goes element by element, ten times slower
        torch.index_select(images.pixels, 0, chunk, out=pixels[: len(chunk)])
        x = inputs[: len(chunk)].copy_(pixels[: len(chunk)])
        _scaled(x, normalise, images.mean, images.std)
        yield from zip(torch.split(x, size), torch.split(images.labels[chunk], size), strict=True)
