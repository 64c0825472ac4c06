"""What networks say: logits of many images, probabilities of one, and drawings as a data set has its images.

C channels, H rows and W columns of an image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the field's own name for it

from explorer.engine.data import datasets
from explorer.engine.network.forward_backward import Network, eval_batch_size
from explorer.engine.network.state import LaneView
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment

BINARY, OTHER = "binary-digit", "not {}"
NO, YES = "no", "yes"
BOX, SIDE = 20, 28  # an MNIST digit fills this box, within a picture of this side


@torch.no_grad()
def logits(network: Network, view: LaneView, x: Tensor) -> Tensor:
    """Return what a network gives for normalised images, [n, classes], or [n, 1] for a yes or no."""
    views = {**network.layout.views(view.row.unsqueeze(0)), **view.buffers}
    return torch.cat([network.forward(views, part) for part in torch.split(x, eval_batch_size(x.device))])


def probabilities(network: Network, view: LaneView, x: Tensor, loss: str) -> list[float]:
    """Return the probability of each class that a network sees in one image, [1, C, H, W].

    A network trained with "mse" gives no probabilities: its outputs are to be 1 or 0, and are cut off there.
    """
    z = logits(network, view, x)[0]
    if len(z) == 1:
        p = float(z.sigmoid())
        return [1 - p, p]
    each: list[float] = (z.clamp(0, 1) if loss == "mse" else z.softmax(-1)).tolist()
    return each


def class_names(trainer: Trainer) -> list[str]:
    """Return what the classes are called."""
    experiment = trainer.lanes[0].experiment
    image = trainer.split.train[slice(1)].inputs(experiment.normalise, trainer.dtype)
    count = logits(trainer.network, trainer.view(trainer.lanes[0]), image).shape[-1]
    if count > 1:
        return [str(i) for i in range(count)]
    if experiment.model != BINARY:
        return [NO, YES]
    digit = experiment.model_options.get("digit", 0)
    return [OTHER.format(digit), str(digit)]


def as_input(pixels: Tensor, experiment: Experiment, trainer: Trainer) -> Tensor:
    """Return an image, uint8 [C, H, W], as the network sees it, [1, C, H, W]; grey ones in every channel."""
    train = trainer.split.train
    pixels = pixels.to(trainer.device).expand(train.pixels.shape[1], -1, -1)[None]
    return datasets.normalised(pixels, experiment.normalise, trainer.dtype, train.mean, train.std)


def grey(pixels: Tensor) -> Tensor:
    """Return images of any channels, uint8 [..., C, H, W], as pictures without colour, uint8 [..., H, W]."""
    return pixels.float().mean(-3).round().to(torch.uint8)


def as_digit(ink: Tensor, rows: int = SIDE, columns: int = SIDE) -> Tensor | None:
    """Return a drawing, [H, W] with 0 for paper, as MNIST was made, uint8 [rows, columns]; None if empty.

    It is scaled to fit a box of 20 pixels in 28, its shape kept, and moved so that its centre of mass is in
    the middle. LeCun, Cortes & Burges 1998, "The MNIST database".
    """
    if not ink.any():
        return None
    down, across = (ink.any(dim).nonzero().flatten() for dim in (1, 0))
    cut = ink[down[0] : down[-1] + 1, across[0] : across[-1] + 1].float()
    box = BOX * min(rows, columns) / SIDE
    size = [max(1, round(box * side / max(cut.shape))) for side in cut.shape]
    small = F.interpolate(cut[None, None], size=size, mode="bilinear", antialias=True)[0, 0]
    small = small * (255 / small.max())
    top, left = (_start(small.sum(1 - dim), side) for dim, side in enumerate((rows, columns)))
    digit = torch.zeros(rows, columns)
    digit[top : top + size[0], left : left + size[1]] = small
    return digit.round().to(torch.uint8)


def _start(mass: Tensor, side: int) -> int:
    """Return where a line of masses has to begin, for its centre to be in the middle of the picture."""
    centre = float((mass * torch.arange(len(mass))).sum() / mass.sum())
    return min(side - len(mass), max(0, round(side / 2 - centre)))


def flips(truth: Tensor, dense: Tensor, pruned: Tensor) -> tuple[Sequence[int], Sequence[int]]:
    """Return the images that the pruned network alone gets wrong, and alone gets right, by index.

    All three are classes, int [n].
    """
    lost = (dense == truth) & (pruned != truth)
    gained = (dense != truth) & (pruned == truth)
    return lost.nonzero().flatten().tolist(), gained.nonzero().flatten().tolist()
