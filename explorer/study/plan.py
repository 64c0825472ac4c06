"""How a sweep is carried out: which runs share a stack, where stacks run, and the memory that it takes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch

from explorer import registry
from explorer.engine.analysis import memory_estimate
from explorer.engine.execution.numba_steps import supports_experiment
from explorer.engine.training.lanes import shared_key
from explorer.experiment import Experiment

KINDS = ("auto", "stack", "loop", "processes")
LANES = 64  # at most so many in a stack on a CPU, which gains nothing by more
GPU_LANES = 512
SHARE = 0.5  # of the free memory may be taken
SPREAD_FROM = 20_000  # steps of a lane: from here on processes of their own are worth their start
AXES = ("model", "dataset", "loss", "optimizer", "lr_decay")


@dataclass(frozen=True)
class Plan:
    """How a sweep is carried out. `jobs` are lists of stacks; each job is a process where there are many."""

    kind: str  # "stack", "loop" or "processes"
    jobs: list[list[list[Experiment]]] = field(repr=False)
    peak_bytes: int  # predicted: all tensors that are alive at once

    @property
    def stacks(self) -> list[list[Experiment]]:
        """All stacks, in the order of their jobs."""
        return [stack for job in self.jobs for stack in job]

    def __str__(self) -> str:
        lanes = [len(stack) for stack in self.stacks]
        where = f"{len(self.jobs)} processes of one thread" if self.kind == "processes" else "this process"
        return (
            f"{self.kind}: {len(lanes)} stack{'s' * (len(lanes) > 1)} of up to {max(lanes, default=0)} lanes "
            f"in {where}, {self.peak_bytes / 1024**2:,.0f} MiB at the peak"
        )


def plan(experiments: Sequence[Experiment], device: torch.device, kind: str = "auto") -> Plan:
    """Chooses how to train experiments, each beside its dense twin.

    A stack is the fastest on a GPU, and on a CPU where its rows are trained by machine code, each on a core.
    Where torch trains them, rows cost the same in a stack as alone, so that single-threaded processes, one a
    core, are the fastest once there is enough to do.
    """
    if kind not in KINDS:
        raise ValueError(registry.unknown("plan", kind, KINDS))
    together = device.type == "cuda"
    unique = list(dict.fromkeys(experiments))
    cores = os.cpu_count() or 1
    if kind == "auto":
        worth = cores > 1 and len(unique) > 1 and steps_of(unique) >= SPREAD_FROM and _elsewhere(unique)
        kind = (
            "processes" if worth and not together and not all(map(supports_experiment, unique)) else "stack"
        )
    if kind == "processes" and not _elsewhere(unique):
        raise ValueError(
            "plan = 'processes' can train only with methods that explorer itself brings: what a notebook "
            "registers is not known to other processes; use plan='stack'"
        )
    room = int(memory_estimate.available_bytes(device) * SHARE)
    if kind == "loop":
        stacks = [with_twins([experiment]) for experiment in unique]
    else:
        parts = cores if kind == "processes" else 1
        room //= parts
        stacks = [
            s
            for group in _groups(unique, together=together)
            for s in _cut(group, parts, room, together=together)
        ]
    jobs = _dealt(stacks, cores) if kind == "processes" else [stacks]
    return Plan(kind, jobs, _peak(jobs, together=together))


def with_twins(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The experiments and, behind them, the dense twins that are not among them."""
    return list(dict.fromkeys([*experiments, *(e.dense() for e in experiments)]))


def _groups(experiments: Sequence[Experiment], *, together: bool) -> list[list[Experiment]]:
    """Those that can train in one stack; of each seed and recipe together, as they share a twin.

    Where rows are taken one by one, those that machine code knows have their own: it trains all or none.
    """
    groups: dict[tuple[str, bool], dict[str, list[Experiment]]] = {}
    for experiment in experiments:
        group = groups.setdefault(
            (shared_key(experiment), not together and supports_experiment(experiment)), {}
        )
        group.setdefault(experiment.dense().hash, []).append(experiment)
    return [[e for family in group.values() for e in family] for group in groups.values()]


def _cut(group: list[Experiment], parts: int, room: int, *, together: bool) -> list[list[Experiment]]:
    """A group in stacks that fit into memory, as even as can be, and at least as many as there are parts."""
    most = GPU_LANES if together else LANES
    count = max(-(-len(group) // most), min(parts, len(group)))
    while True:
        size, more = divmod(len(group), count)
        ends = [i * size + min(i, more) for i in range(count + 1)]
        stacks = [with_twins(group[a:b]) for a, b in pairwise(ends)]
        fits = all(memory_estimate.peak_bytes(stack, together=together) <= room for stack in stacks)
        if fits or count == len(group):
            return stacks
        count = min(2 * count, len(group))


def _dealt(stacks: list[list[Experiment]], hands: int) -> list[list[list[Experiment]]]:
    """Stacks dealt out so that all have about as much to do: the largest first, to whoever has least."""
    jobs: list[list[list[Experiment]]] = [[] for _ in range(min(hands, len(stacks)))]
    for stack in sorted(stacks, key=steps_of, reverse=True):
        min(jobs, key=lambda job: sum(map(steps_of, job))).append(stack)
    return jobs


def _peak(jobs: list[list[list[Experiment]]], *, together: bool) -> int:
    return sum(
        max(memory_estimate.peak_bytes(stack, together=together) for stack in job) for job in jobs if job
    )


def steps_of(experiments: Sequence[Experiment]) -> int:
    """The steps of all lanes together."""
    return sum(-(-(60_000 - e.validation) // e.batch_size) * e.epochs for e in experiments)


def _elsewhere(experiments: Sequence[Experiment]) -> bool:
    """Whether another process knows all their methods too."""
    chosen = {(axis, getattr(e, axis)) for e in experiments for axis in AXES}
    for e in experiments:
        chosen |= {("rule", name) for name in (e.clipping.rules if e.clipping else ())}
        if e.pruning is not None:
            axes = ("criterion", "granularity", "allocation", "unit", "schedule")
            chosen |= {(axis, getattr(e.pruning, axis)) for axis in axes}
    return all(registry.get(*each).function.__module__.startswith("explorer.") for each in chosen)
