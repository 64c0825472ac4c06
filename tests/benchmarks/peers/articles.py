"""The loop of the five articles, mended: torchvision, ToTensor, DataLoader, and a mask a parameter."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from explorer.engine.data import datasets
from peers.resident import build, read
from peers.work import LR, MAX_NORM, Peer, Work


def articles(work: Work) -> Peer:
    """One image at a time through ToTensor; the norm is that of the whole gradient, as they have it."""
    from torchvision import datasets, transforms  # only here: the others do without

    dataset = datasets.MNIST(_torchvision_root(), train=True, transform=transforms.ToTensor())
    loader = torch.utils.data.DataLoader(dataset, batch_size=work.batch, shuffle=True)
    network = nn.Sequential(nn.Flatten(), *build(work))
    masks = {f"{i}.weight": mask for i, mask in zip((1, 3), _masks(work), strict=True)}

    def prepare() -> None:
        network.load_state_dict(nn.Sequential(nn.Flatten(), *build(work)).state_dict())

    def train() -> None:
        optimizer = torch.optim.SGD(network.parameters(), lr=LR)
        for _ in range(work.epochs):
            for x, y in loader:
                optimizer.zero_grad()
                F.cross_entropy(network(x.to(work.device)), y.to(work.device)).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM)
                optimizer.step()
                with torch.no_grad():
                    for name, parameter in network.named_parameters():
                        if name in masks:
                            parameter.mul_(masks[name])
        if work.device == "cuda":
            torch.cuda.synchronize()

    return Peer(prepare, train, lambda: read(network[1:]))


def _masks(work: Work) -> list[torch.Tensor]:
    return [torch.from_numpy(mask).to(work.device) for mask in work.masks[0].values()]


def _torchvision_root() -> str:
    """The embedded images as the raw files that torchvision's own MNIST reads."""
    root = Path(tempfile.mkdtemp())
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for images, part in zip(datasets.mnist(), ("train", "t10k"), strict=True):
        _write_idx(raw / f"{part}-images-idx3-ubyte", images.pixels[:, 0].numpy())
        _write_idx(raw / f"{part}-labels-idx1-ubyte", images.labels.numpy())
    return str(root)


def _write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(head + array.astype(np.uint8).tobytes())
