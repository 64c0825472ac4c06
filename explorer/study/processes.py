"""Stacks trained in processes of their own, one thread each; a notebook's own methods travel along.

Each call has a pool of loky's for itself. joblib's `Parallel` has one for a whole kernel: to stop one call
there is to end the others, too.
"""

import functools
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from io import BytesIO
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import torch
from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

from explorer import registry
from explorer.engine.execution.interrupts import defer_sigint
from explorer.engine.training.run import Run
from explorer.engine.training.train import train_stack
from explorer.experiment import Experiment

UNSENDABLE = "{} = {!r} cannot be sent to another process ({}); use plan='stack'"
POLL = 0.1  # seconds between two words on the progress
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
DEAF = (signal.SIGINT, signal.SIG_IGN)  # Jupyter interrupts all processes of its kernel; one ends the others

Methods = tuple[bytes, ...]


def train_stacks(
    stacks: Sequence[Sequence[Experiment]], processes: int, on_steps: Callable[[int], object]
) -> Iterator[tuple[int, list[Run] | Exception]]:
    """Train stacks and yield the place of each with its runs, as they end; closing the iterator ends all.

    A stack that fails comes with its error; where a process dies, all that are not done come with a
    `BrokenExecutor`, as nobody knows whose fault it was.

    Args:
        stacks: those in front are begun first.
        processes: how many train at a time.
        on_steps: called ten times a second with the steps of all lanes since the last call; may raise.

    Raises:
        ValueError: where a method cannot be sent to another process.
    """
    methods = pack_methods([experiment for stack in stacks for experiment in stack])
    with tempfile.TemporaryDirectory(prefix="explorer-", ignore_cleanup_errors=True) as folder:
        path, before = Path(folder, "steps"), 0
        steps = np.memmap(path, np.int64, "w+", shape=(len(stacks),))
        executor = ProcessPoolExecutor(processes, initializer=signal.signal, initargs=DEAF, env=ONE_THREAD)
        try:
            jobs = {
                executor.submit(_train, stack, methods, path, place, os.getpid()): place
                for place, stack in enumerate(stacks)
            }
            while jobs:
                with defer_sigint():  # raised in a finalizer, which may run at any time, it would be lost
                    finished, _ = wait(jobs, POLL, FIRST_COMPLETED)
                total = int(steps.sum())
                on_steps(total - before)
                before = total
                for job in finished:
                    yield jobs.pop(job), _runs(job)
        finally:
            executor.shutdown(kill_workers=True)


def _runs(job: "Future[bytes]") -> list[Run] | Exception:
    try:
        runs: list[Run] = pickle.loads(job.result())
    except Exception as error:  # noqa: BLE001  of the other process, whatever it was
        return error
    return runs


# -- in the other process ------------------------------------------------------------------------------


def _train(stack: Sequence[Experiment], methods: Methods, path: Path, place: int, parent: int) -> bytes:
    """Train a stack and return its runs, pickled; its steps are counted in a file."""
    torch.set_num_threads(1)
    _register(methods)
    steps = np.memmap(path, np.int64, "r+")

    def count(more: int) -> None:
        steps[place] += more
        if os.getppid() != parent:  # killed, so that nobody waits for this
            os._exit(1)

    return pickle.dumps(train_stack(stack, "cpu", count))


@functools.cache
def _register(methods: Methods) -> None:
    """Register methods, once: those of another call would be others, with data sets of their own."""
    for method in methods:
        axis, name, traits, function = pickle.loads(method)
        registry.register(axis, name, **traits)(function)


# -- methods that travel -------------------------------------------------------------------------------


def pack_methods(experiments: Sequence[Experiment]) -> Methods:
    """Return the methods that experiments use and explorer does not bring, pickled with their code.

    Raises ValueError where one cannot be pickled.
    """
    return tuple(
        _packed(axis, name)
        for axis, name in sorted({used for experiment in experiments for used in _used(experiment)})
        if not registry.get(axis, name).function.__module__.startswith("explorer.")
    )


def _used(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Axis and name of all methods of an experiment."""
    for axis in registry.HOMES:
        for part in (experiment, experiment.pruning, experiment.clipping):
            names = getattr(part, axis, ())
            yield from ((axis, name) for name in ((names,) if isinstance(names, str) else names))


def _packed(axis: str, name: str) -> bytes:
    method, file = registry.get(axis, name), BytesIO()
    try:
        _Pickler(file).dump((axis, name, vars(method.traits), method.function))
    except Exception as error:
        raise ValueError(UNSENDABLE.format(axis, name, error)) from error
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Takes functions of a notebook with all that they use, those with an `lru_cache` around them, too."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, functools._lru_cache_wrapper) and not _importable(thing):
            return _cached, (thing.__wrapped__, thing.cache_parameters())
        return super().reducer_override(thing)


def _importable(function: Any) -> bool:
    return function.__module__ != "__main__" and "<locals>" not in function.__qualname__


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> object:
    return functools.lru_cache(**parameters)(function)
