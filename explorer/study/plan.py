"""How a sweep is carried out: which runs share a stack, where stacks run, and the memory that they take."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch

from explorer import registry
from explorer.engine.analysis import memory_estimate
from explorer.engine.data.dataset_info import steps_per_epoch
from explorer.engine.execution.numba_steps import supports_experiment
from explorer.engine.training.lanes import shared_key
from explorer.experiment import Experiment
from explorer.study.processes import pack_methods

KINDS = ("auto", "stack", "loop", "processes")
LANES = 64  # at most so many in a stack on a CPU, which gains nothing by more
GPU_LANES = 512
SHARE = 0.5  # of the free memory may be taken
SPREAD_FROM = 20_000  # steps of a lane: from here on processes of their own are worth their start


@dataclass(frozen=True)
class Plan:
    """How a sweep is carried out: its stacks, in the order in which they begin, so many at a time."""

    kind: str  # "stack", "loop" or "processes"
    stacks: list[list[Experiment]] = field(repr=False)
    at_a_time: int
    peak_bytes: int  # predicted: all tensors that are alive at once

    def __str__(self) -> str:
        lanes = [len(stack) for stack in self.stacks]
        where = f"{self.at_a_time} processes of one thread" if self.kind == "processes" else "this process"
        return (
            f"{self.kind}: {len(lanes)} stack{'s' * (len(lanes) > 1)} of up to {max(lanes, default=0)} lanes "
            f"in {where}, {self.peak_bytes / 1024**2:,.0f} MiB at the peak"
        )


def make_plan(experiments: Sequence[Experiment], device: torch.device, kind: str = "auto") -> Plan:
    """Choose how to train experiments, each beside its dense twin.

    A stack is the fastest on a GPU, and on a CPU where its rows are trained by machine code, each on a core.
    Where torch trains them, rows cost the same in a stack as alone, so that single-threaded processes, one a
    core, are the fastest once there is enough to do.

    Raises:
        ValueError: where the kind is not known.
    """
    if kind not in KINDS:
        raise ValueError(registry.unknown("plan", kind, KINDS))
    together = device.type == "cuda"
    unique = list(dict.fromkeys(experiments))
    if kind == "auto":
        kind = "processes" if not together and _worth_processes(unique) else "stack"
    cores = (os.cpu_count() or 1) if kind == "processes" else 1
    room = int(memory_estimate.available_bytes(device) * SHARE) // cores
    if kind == "loop":
        stacks = [with_twins([experiment]) for experiment in unique]
    else:
        groups = _groups(unique, together=together)
        stacks = [stack for group in groups for stack in _cut(group, cores, room, together=together)]
    if kind == "processes":  # the largest first, so that all end at about the same time
        stacks.sort(key=steps_of, reverse=True)
    at_a_time = min(cores, len(stacks))
    peaks = sorted(memory_estimate.peak_bytes(stack, together=together) for stack in stacks)
    return Plan(kind, stacks, at_a_time, sum(peaks[len(peaks) - at_a_time :]))


def _worth_processes(experiments: Sequence[Experiment]) -> bool:
    """Return whether there are cores and work enough, for torch, and methods that can be sent."""
    if (os.cpu_count() or 1) == 1 or len(experiments) < 2 or steps_of(experiments) < SPREAD_FROM:
        return False
    try:
        pack_methods(experiments)
    except ValueError:
        return False
    return not all(map(supports_experiment, experiments))


def with_twins(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return the experiments and, behind them, the dense twins that are not among them."""
    return list(dict.fromkeys([*experiments, *(e.dense() for e in experiments)]))


def _groups(experiments: Sequence[Experiment], *, together: bool) -> list[list[Experiment]]:
    """Return those that can train in one stack; of each seed and recipe together, as they share a twin.

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
    """Return a group as even stacks that fit into memory, at least as many as there are parts."""
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


def steps_of(experiments: Sequence[Experiment]) -> int:
    """Return the number of steps of all lanes together."""
    return sum(steps_per_epoch(experiment) * experiment.epochs for experiment in experiments)
