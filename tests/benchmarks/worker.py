"""One contender in a process of its own: trains when it is told to, and says how many seconds it took.

    python tests/benchmarks/worker.py CONTENDER WORK THREADS [WAY]

The first line that it writes is the time to its first finished training, set-up and compiling included,
imports left out. For each line that it then reads it begins anew, and writes the time of the training alone.
"""

import importlib
import json
import sys
import time
from functools import partial

PEERS = {
    "explorer": ("explorer_peer", "stacked"),
    "explorer, one by one": ("explorer_peer", "one_by_one"),
    "JAX": ("jax_peer", "jax_epochs"),
    "PyTorch, resident": ("resident", "resident"),
    "torch.nn.utils.prune": ("torch_prune", "torch_prune"),
    "articles' loop": ("articles", "articles"),
    "matrix products": ("limit", "matrix_products"),
}


def main(contender: str, fields: str, threads: str, way: str = "") -> None:
    """Serves until its input ends."""
    module, name = PEERS[contender]
    peers = importlib.import_module(f"peers.{module}")
    make = getattr(peers, name)
    import torch
    from peers.work import Work

    torch.set_num_threads(int(threads))
    if way:
        make = partial(make, way=peers.Way(**json.loads(way)))
    started = time.perf_counter()
    peer = make(Work(**json.loads(fields)))
    peer.prepare()
    peer.train()
    print(time.perf_counter() - started, flush=True)
    for _ in sys.stdin:
        peer.prepare()
        started = time.perf_counter()
        peer.train()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
