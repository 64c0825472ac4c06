"""What a data set's tensors must be before anything is computed from them; ValueError or TypeError if not.

Compiled kernels read memory by these numbers, and torch's own messages name neither model nor data set.

Shapes: N images.
"""

import math
from numbers import Real

import torch
from torch import Tensor


def check_pixels(pixels: object, owner: str) -> Tensor:
    """Return pixels, uint8 [N, *shape], in one piece; raise where they are something else."""
    pixels = _tensor(pixels, "pixels", owner)
    if pixels.dtype != torch.uint8:
        raise ValueError(
            f"{owner} has pixels of {pixels.dtype}, but they must be torch.uint8, 0 to 255: "
            "give (255 * pixels).round().to(torch.uint8) where they are 0 to 1, "
            "and mean and std as those of pixels in [0, 1]"
        )
    if pixels.dim() < 2 or not len(pixels) or not pixels[0].numel():
        raise ValueError(
            f"{owner} has pixels of shape {_shape(pixels)}; give at least one image, as "
            "[images, channels, rows, columns]"
        )
    return pixels.contiguous()


def check_labels(labels: object, count: int, owner: str) -> Tensor:
    """Return labels as int64 [N]; raise where they are not whole numbers, one for each of `count` images."""
    labels = _tensor(labels, "labels", owner)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"{owner} has labels of {labels.dtype}; give whole numbers from 0 on: labels.long()")
    if labels.shape != (count,):
        raise ValueError(
            f"{owner} has labels of shape {_shape(labels)} for {count} images; give one label for each "
            f"image, of shape [{count}]"
        )
    return labels.long().contiguous()


def check_range(labels: Tensor, classes: int, owner: str, why: str) -> None:
    """Raise ValueError where a label is not one of 0 to `classes` − 1; `why` says whose they are."""
    if not len(labels):
        return
    low, high = map(int, labels.aminmax())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{owner} has labels from {low} to {high}, but {why}: labels must be 0 to {classes - 1}; "
            "number the classes from 0 on"
        )


def check_constants(mean: object, std: object, owner: str) -> None:
    """Raise where pixels cannot be normalised by a mean and a standard deviation."""
    for name, value in (("mean", mean), ("std", std)):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{owner} has {name} = {value!r}, of {type(value).__name__}; give a float")
    if not (math.isfinite(float(mean)) and math.isfinite(float(std)) and float(std) > 0):  # type: ignore[arg-type]
        raise ValueError(
            f"{owner} has mean = {mean} and std = {std}; both must be finite and std more than 0: "
            "those of the training pixels in [0, 1]"
        )


def _tensor(value: object, name: str, owner: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{owner} has {name} of {type(value).__name__}; give a torch.Tensor, "
            "from numpy by torch.from_numpy"
        )
    return value


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))
