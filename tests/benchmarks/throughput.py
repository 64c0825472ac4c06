"""How fast an epoch is, against real peers and against the bare matrix products, in one run.

    python tests/benchmarks/throughput.py [--device cpu|cuda] [--rounds N] [--threads N] [--parts PART ...]
    python tests/benchmarks/throughput.py --table     # the README's table, from the readings that are kept

The work: MNIST, `mlp-784-128-10`, SGD 0.1, batch 64, clip by global norm 1, a mask of 90 % kept up at every
step, no twin; the time is that of one epoch over all 60,000 images, set-up left out. No images are held out,
as in the articles, so that nobody validates; the explorer's time includes its records and its final test.
Many variants are as many thresholds from 0.5 to 0.98. JAX wants `pip install -e ".[bench]"`.

Each contender has a process of its own. Rounds are interleaved and medians are compared, as the machine may
be noisy. torch has `--threads` threads; JAX is written in several ways, on one core and on all, and the
fastest is kept. The reading is kept in `results/`, one file a machine, once all parts are measured.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import figure
import report
import torch
from race import Fields, fastest, first_epochs, race

RESULTS = Path(__file__).parent / "results"
ALL = ["matrix products", "explorer", "JAX", "PyTorch, resident", "torch.nn.utils.prune", "articles' loop"]
SOME = ["matrix products", "explorer", "JAX"]
STACK = ["explorer", "explorer, one by one", "JAX"]
BOTH = (True, False)
ALONE = [{"outputs_first": first, "threads": threads} for first in BOTH for threads in BOTH]
BESIDE = [{"outputs_first": first, "mapped": mapped} for first in BOTH for mapped in (False, True)]
VARIANTS = {"cpu": 16, "cuda": 64}
PARTS = ("one", "first", "lanes", "width", "stack")


def works(device: str, part: str) -> list[tuple[list[str], Fields]]:
    """Who does what in a part."""
    everybody: dict[str, list[tuple[list[str], Fields]]] = {
        "one": [(ALL, {})],
        "lanes": [(SOME, {"lanes": lanes}) for lanes in (4, 16, 64)],
        "width": [(SOME, {"hidden": hidden}) for hidden in (32, 512)],
        "stack": [(STACK, {"lanes": 64, "epochs": 5})] if device == "cuda" else [],
    }
    basis = {"lanes": 1, "hidden": 128, "epochs": 1, "device": device}
    return [(names, basis | fields) for names, fields in everybody[part]]


def measure(device: str, threads: int, rounds: int, parts: list[str]) -> dict[str, Any]:
    """The rows of all parts, and what came of the ways to write it in JAX."""
    rows: list[Fields] = []
    basis = {"lanes": 1, "hidden": 128, "epochs": 1, "device": device}
    alone, tried = fastest(ALONE if device == "cpu" else ALONE[::2], basis, threads)
    beside = BESIDE[0]
    if {"lanes", "stack"} & set(parts):
        beside, more = fastest(BESIDE, {**basis, "lanes": VARIANTS[device]}, threads)
        tried += more
    for part in parts:
        if part == "first":
            rows += _told(first_epochs(["explorer", "JAX"], basis, threads, rounds, alone))
            continue
        for names, fields in works(device, part):
            rows += _told(race(names, fields, threads, rounds, beside if fields["lanes"] > 1 else alone))
    return {"rows": rows, "jax": {"one": alone, "many": beside, "tried": tried}}


def _told(rows: list[Fields]) -> list[Fields]:
    for row in rows:
        print(report.line(row), flush=True)
    return rows


def _machine(device: str, threads: int) -> dict[str, object]:
    cpu = next((line for line in _cpu_info() if line.startswith("model name")), f": {platform.machine()}")
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "cores": os.cpu_count(),
        "threads": threads,
        "load_before": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "jax", "numpy")},
        "date": datetime.now(UTC).date().isoformat(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_info() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


def _keep(reading: dict[str, Any]) -> Path:
    machine = reading["machine"]
    name = machine["gpu"] or f"{machine['cpu']}-{machine['cores']}-cores"
    path = RESULTS / f"throughput-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(reading, indent=1) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Measures, prints, and keeps the reading; or prints the README's table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="if not all, nothing is kept"
    )
    parser.add_argument("--table", action="store_true", help="print the README's table and measure nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print(report.speed())
        return
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.exit(1, "unmeasured: torch sees no GPU here\n")
    machine = _machine(arguments.device, arguments.threads)
    found = measure(arguments.device, arguments.threads, arguments.rounds, arguments.parts)
    reading = {"machine": machine, "n": arguments.rounds, **found}
    print(report.decisions(reading))
    if set(arguments.parts) == set(PARTS):
        path = _keep(reading)
        figure.save(reading, path)
        print(f"kept in {path}; the README's table: python tests/benchmarks/report.py --write")
    else:
        print(f"not kept: only {', '.join(arguments.parts)} of {', '.join(PARTS)}")


if __name__ == "__main__":
    main()
