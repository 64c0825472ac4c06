"""Random numbers of a run's own: generators by purpose, and torch's global ones held apart."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

_GLOBAL_RNG = threading.Lock()  # torch has one global state: two runs must not draw from it together


def shuffled_indices(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order of the images in an epoch, int64 [count]: a function of seed and epoch alone."""
    return torch.randperm(count, generator=generator(seed, 1, epoch))


def generator(*key: int) -> torch.Generator:
    """Return a generator of its own for each purpose: moving one slider never shifts another's numbers."""
    return torch.Generator().manual_seed(seed_of(*key))


def seed_of(*key: int) -> int:
    """Return a seed for a purpose, 63 bits."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def isolated_rng(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global numbers inside, on the CPU and this device; afterwards they go on as before."""
    cuda = [device] if device is not None and device.type == "cuda" else []
    with _GLOBAL_RNG, torch.random.fork_rng(devices=cuda):
        seed_global_rng(seed, device)
        yield


def seed_global_rng(seed: int, device: torch.device | None = None) -> None:
    """Start torch's global numbers anew; only to be called inside `isolated_rng`."""
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def is_stochastic(module: nn.Module) -> bool:
    """Return whether a module might draw random numbers as it learns: dropout does, a user's own might."""
    return any(
        isinstance(part, (nn.modules.dropout._DropoutNd, nn.RReLU))
        or not type(part).__module__.startswith("torch.nn")
        for part in module.modules()
    )
