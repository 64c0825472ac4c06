"""Random numbers of a run's own, where a module can only draw torch's global ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_ONE_AT_A_TIME = threading.Lock()  # torch has one global state: two runs must not draw from it together


@contextmanager
def own_numbers(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Inside, torch's global numbers start from this seed; afterwards they go on as before."""
    cuda = [device] if device is not None and device.type == "cuda" else []
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=cuda):
        start(seed, device)
        yield


def start(seed: int, device: torch.device | None = None) -> None:
    """Starts torch's global numbers anew; only to be called inside `own_numbers`."""
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def may_draw(module: nn.Module) -> bool:
    """Whether a module might draw random numbers as it learns: dropout does, a user's own might."""
    return any(
        isinstance(part, (nn.modules.dropout._DropoutNd, nn.RReLU))
        or not type(part).__module__.startswith("torch.nn")
        for part in module.modules()
    )
