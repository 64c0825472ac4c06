"""Processes: methods that travel, progress, and what happens where one fails, dies or is stopped."""

import functools
import os
import pickle
import signal
import subprocess
import threading
import time
from concurrent.futures import BrokenExecutor

import pytest
from same import assert_same
from torch import nn

import explorer as ex
from explorer.engine.data.datasets import Images
from explorer.study.plan import steps_of, with_twins
from explorer.study.processes import pack_methods, train_stacks

GRID = {"pruning.threshold": [0.5, 0.9]}
HERE = os.getpid()


class Net(nn.Module):
    """A network of the test's own, with a residual connection."""

    def __init__(self):
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(784, 16), nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x):
        x = self.first(x.flatten(1)).relu()
        return self.last(x + self.middle(x).relu())


@pytest.fixture
def own(tiny, scratch_registry):
    """Experiments with a data set and a model that the test brings; `act` is called in each other process."""

    def make(act=lambda: None, **fields):
        images = scratch_registry.get("dataset", "tiny")()

        @scratch_registry.register("dataset", "own")
        @functools.lru_cache
        def few():
            """Few images."""
            if os.getpid() != HERE:
                act()
            return images

        @scratch_registry.register("model", "own")
        def net():
            """A small network."""
            return Net()

        return tiny(dataset="own", model="own", **fields)

    return make


def children():
    """The processes that train for this one."""
    listed = subprocess.run(["ps", "--ppid", str(HERE), "-o", "pid=,args="], capture_output=True, check=True)
    return {line for line in listed.stdout.decode().splitlines() if "popen_loky" in line}


def interrupt():
    """As Jupyter does, to every process of its kernel."""
    os.kill(os.getpid(), signal.SIGINT)


def test_methods_of_a_notebook_travel_and_an_interrupt_is_not_heard(own):
    exp = own(interrupt)
    here, elsewhere = (ex.sweep(exp, GRID, progress=False, plan=kind) for kind in ("stack", "processes"))
    assert_same(here, elsewhere)


@pytest.mark.slow
def test_processes_give_the_same_runs_as_a_stack():
    exp = ex.Experiment(epochs=1, validation=59_000, batch_size=50)
    here, elsewhere = (ex.sweep(exp, GRID, progress=False, plan=kind) for kind in ("stack", "processes"))
    assert_same(here, elsewhere)
    assert {run.summary["threads"] for run in elsewhere.runs} == {1}


@pytest.mark.slow
def test_stacks_come_with_their_place_and_all_steps_are_reported(tiny):
    stacks, steps = [with_twins([tiny(seed=seed)]) for seed in range(3)], []
    trained = dict(train_stacks(stacks, 2, steps.append))
    assert {place: [run.experiment for run in runs] for place, runs in trained.items()} == dict(
        enumerate(stacks)
    )
    assert sum(steps) == sum(map(steps_of, stacks))


@pytest.mark.slow
def test_what_fails_in_a_process_comes_as_its_error_and_the_others_as_runs(tiny):
    broken = tiny(pruning={"granularity": "filter"})  # an MLP has none
    results = dict(train_stacks([[broken], [tiny()]], 2, lambda _: None))
    assert isinstance(results[0], ValueError)
    assert "granularity" in str(results[0])
    assert [run.status for run in results[1]] == ["done"]


@pytest.mark.slow
def test_a_process_that_dies_is_a_broken_executor(own):
    ((_, result),) = train_stacks([[own(lambda: os._exit(9))]], 1, lambda _: None)
    assert isinstance(result, BrokenExecutor)
    assert "EXIT(9)" in str(result)


@pytest.mark.slow
def test_who_stops_ends_the_processes_within_a_moment(own):
    class EnoughError(Exception):
        """Somebody wants no more."""

    def stop(steps):
        if steps:
            stopped.append(time.perf_counter())
            raise EnoughError

    stopped, before = [], children()
    with pytest.raises(EnoughError):
        list(train_stacks([[own(epochs=10_000)]], 1, stop))
    assert time.perf_counter() - stopped[0] < 5  # of ten minutes
    assert children() <= before


# -- methods --------------------------------------------------------------------------------------------


def test_what_explorer_brings_stays_at_home():
    assert pack_methods([ex.Experiment()]) == ()


def test_a_cached_function_arrives_with_a_cache_of_its_own(own):
    few, _ = [pickle.loads(packed)[-1] for packed in pack_methods([own()])]
    assert few() is few()
    assert few.cache_parameters()["maxsize"] == 128


def test_what_cannot_be_sent_is_named(tiny, scratch_registry):
    lock = threading.Lock()

    @scratch_registry.register("dataset", "locked")
    def locked():
        """Images behind a lock."""
        with lock:
            return Images(None, None)

    with pytest.raises(ValueError, match=r"(?s)dataset = 'locked' cannot be sent.*use plan='stack'"):
        pack_methods([tiny(dataset="locked")])
