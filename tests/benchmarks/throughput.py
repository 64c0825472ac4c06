"""How fast an epoch is, against the articles' own loop and against the bare matrix products, in one run.

    python tests/benchmarks/throughput.py [--rounds N] [--threads N]

The work: MNIST, `mlp-784-128-10`, SGD 0.1, batch 64, clip by global norm 1, a mask of 90 % kept up at every
step, no twin; the time is that of one epoch over all 60,000 images, set-up left out. No images are held out,
as in the articles, so that nobody validates; the explorer's time includes its records and its final test.
Rounds are interleaved and medians are compared, as the machine may be noisy. The reading is kept in
`results/`, one file a machine.
"""

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import explorer as ex
from explorer.engine import data
from explorer.engine.trainer import Trainer

RESULTS = Path(__file__).parent / "results"
IMAGES, BATCH, LR, MAX_NORM, SPARSITY = 60_000, 64, 0.1, 1.0, 0.9


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def _masks(network: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: (p.abs() >= torch.quantile(p.detach().abs().flatten()[:100_000], SPARSITY)).float()
        for name, p in network.named_parameters()
        if p.dim() > 1
    }


def _torchvision_root() -> str:
    """The embedded images as the raw files that torchvision's own MNIST reads."""
    root = Path(tempfile.mkdtemp())
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for images, part in zip(data.mnist(), ("train", "t10k"), strict=True):
        _write_idx(raw / f"{part}-images-idx3-ubyte", images.pixels[:, 0].numpy())
        _write_idx(raw / f"{part}-labels-idx1-ubyte", images.labels.numpy())
    return str(root)


def _write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(head + array.astype(np.uint8).tobytes())


def articles_loop() -> Callable[[], None]:
    """The loop of the five articles, mended: torchvision, ToTensor, DataLoader, and a mask a parameter."""
    from torchvision import datasets, transforms

    dataset = datasets.MNIST(_torchvision_root(), train=True, transform=transforms.ToTensor())
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True)
    network = _network()
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)
    masks = _masks(network)

    def epoch() -> None:
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(x), y).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM)
            optimizer.step()
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    if name in masks:
                        parameter.mul_(masks[name])

    return epoch


def ours() -> Callable[[], None]:
    """The explorer's engine, records and all."""
    pruning = ex.Pruning(threshold=SPARSITY, begin_epoch=0)
    experiment = ex.Experiment(
        epochs=1,
        lr=LR,
        batch_size=BATCH,
        validation=0,
        pruning=pruning,
        clipping=ex.Clipping(max_norm=MAX_NORM),
    )

    def epoch() -> None:
        trainer = Trainer([experiment], "cpu")
        started = time.perf_counter()
        for _ in trainer.run():
            pass
        epoch.seconds = time.perf_counter() - started  # type: ignore[attr-defined]

    return epoch


def matrix_products() -> Callable[[], None]:
    """The limit: only the five matrix products of each step, on data that lie still."""
    w1, w2 = torch.randn(128, 784), torch.randn(10, 128)
    x, h = torch.randn(BATCH, 784), torch.randn(BATCH, 128)
    dz, dh = torch.randn(BATCH, 10), torch.randn(BATCH, 128)
    out = [torch.empty(*s) for s in ((BATCH, 128), (BATCH, 10), (10, 128), (BATCH, 128), (128, 784))]

    def epoch() -> None:
        with torch.inference_mode():
            for _ in range(-(-IMAGES // BATCH)):
                torch.mm(x, w1.t(), out=out[0])
                torch.mm(h, w2.t(), out=out[1])
                torch.mm(dz.t(), h, out=out[2])
                torch.mm(dz, w2, out=out[3])
                torch.mm(dh.t(), x, out=out[4])

    return epoch


CONTENDERS = {"matrix products": matrix_products, "explorer": ours, "articles' loop": articles_loop}


def _timed(epoch: Callable[[], None]) -> float:
    started = time.perf_counter()
    epoch()
    return getattr(epoch, "seconds", time.perf_counter() - started)


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round, interleaved, after one round to warm up."""
    epochs = {name: make() for name, make in CONTENDERS.items()}
    for epoch in epochs.values():
        epoch()
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(rounds):
        for name, epoch in epochs.items():
            seconds[name].append(_timed(epoch))
    return seconds


def _machine() -> dict[str, object]:
    cpu = next((line for line in _cpu_info() if line.startswith("model name")), f": {platform.machine()}")
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _cpu_info() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


def main() -> None:
    """Measures, prints a table and keeps the reading."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = measure(arguments.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    own = medians["explorer"]
    for name, median in medians.items():
        spread = f"{min(seconds[name]):.3f} to {max(seconds[name]):.3f}"
        ratio = f"{median / own:5.2f} × explorer"
        print(f"{name:16} {median:7.3f} s an epoch ({spread}, n = {arguments.rounds}), {ratio}")
    ratios = {
        "articles' loop / explorer": medians["articles' loop"] / own,
        "matrix products / explorer": medians["matrix products"] / own,
    }
    machine = _machine()
    name = re.sub(r"\W+", "-", f"{machine['cpu']}-{machine['cores']}-cores").strip("-").lower()
    RESULTS.mkdir(exist_ok=True)
    reading = {
        "machine": machine,
        "n": arguments.rounds,
        "seconds": seconds,
        "medians": medians,
        "ratios": ratios,
    }
    text = json.dumps(reading, indent=1)
    (RESULTS / f"throughput-{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
