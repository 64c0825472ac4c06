"""Sweeps that are interrupted or have runs that fail: what is done comes back, the rest is named."""

import os
import signal
import time

import polars as pl
import pytest
import torch
from same import assert_same

import explorer as ex
from explorer.study import sweep as sweep_module


@pytest.fixture
def acting(tiny, scratch_registry):
    """Registers a criterion that does something before it scores by magnitude; returns sweeps over it."""

    def make(act, criteria=("magnitude", "acting", "random"), **options):
        @scratch_registry.register("criterion", "acting")
        def acting(weight, initial_weight):
            """Something, then magnitude; nothing as it is tried out before training."""
            if not torch.equal(weight, initial_weight):
                act()
            return weight.abs()

        grid = {"pruning.criterion": list(criteria)}
        return ex.sweep(tiny(epochs=1), grid, progress=False, **options)

    return make


def fail():
    raise RuntimeError("no such luck")


def interrupt():
    signal.raise_signal(signal.SIGINT)


def outcomes(study):
    return {run.experiment.pruning.criterion: run.status for run in study.runs}


def reasons(study):
    return {changes["pruning.criterion"]: reason for changes, reason in study.missing}


@pytest.mark.parametrize("plan", ["loop", "stack", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_run_that_raises_ends_no_other(acting, tiny, plan):
    with pytest.warns(UserWarning, match=r"2 of 6 runs failed .*'acting', 'seed': 0.*no such luck"):
        study = acting(fail, seeds=2, plan=plan)
    assert outcomes(study) == {"magnitude": "done", "random": "done"}
    assert [changes["seed"] for changes, _ in study.missing] == [0, 1]
    assert reasons(study) == {"acting": "RuntimeError: no such luck"}
    others = ex.sweep(tiny(epochs=1), {"pruning.criterion": ["magnitude", "random"]}, 2, progress=False)
    for run, alone in zip(study.runs, others.runs, strict=True):
        torch.testing.assert_close(run.row, alone.row, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(run.dense.row, alone.dense.row, rtol=1e-5, atol=1e-6)
    assert study.frame["pruning.criterion"].to_list() == ["magnitude"] * 2 + ["random"] * 2


def test_where_every_run_raises_so_does_the_sweep(acting):
    with pytest.raises(RuntimeError, match="no such luck"):
        acting(fail, ["acting"], seeds=2)


def test_a_stack_in_which_a_dense_run_is_one_of_those_wanted_is_halved_to_the_end(tiny, monkeypatch):
    def train(stack, *_):
        raise RuntimeError(f"{len(stack)} fail")

    monkeypatch.setattr(sweep_module, "train_stack", train)
    with pytest.raises(RuntimeError, match=r"[12] fail"):
        ex.sweep(tiny(), {"pruning": [ex.Pruning(), None]}, progress=False)


def test_an_interrupt_between_runs_returns_what_is_done(acting):
    study = acting(interrupt, plan="loop")
    assert outcomes(study) == {"magnitude": "done", "acting": "stopped"}
    assert reasons(study) == {"random": "interrupted"}
    frame = study.frame
    assert frame["status"].to_list() == ["done", "stopped"]
    assert frame["test_accuracy"].null_count() == 1
    assert frame.schema["test_accuracy"] == pl.Float64


def test_an_interrupted_stack_returns_its_runs_as_they_are(acting):
    study = acting(interrupt, plan="stack")
    assert set(outcomes(study).values()) == {"stopped"}
    assert not study.missing
    steps = {run.summary["steps"] for run in study.runs}
    assert len(steps) == 1
    assert 0 < min(steps) < 16


def test_an_interrupt_before_the_first_step_returns_a_study_without_runs(tiny, monkeypatch):
    def train(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_module, "train_stack", train)
    study = ex.sweep(tiny(), {"pruning.threshold": [0.5, 0.9]}, seeds=2, progress=False)
    assert not study.runs
    assert [changes["seed"] for changes, _ in study.missing] == [0, 1, 0, 1]
    assert study.frame.height == 0


@pytest.mark.slow
def test_an_interrupt_of_processes_returns_what_is_done(acting, tmp_path):
    done, here = tmp_path / "done", os.getpid()

    def act():
        while not done.exists():
            time.sleep(0.05)
        for _ in range(4):  # as a person would who sees it go on; the first one ends this
            os.kill(here, signal.SIGINT)
            time.sleep(5)

    real = sweep_module.train_stacks

    def watched(*arguments):
        for each in real(*arguments):
            done.touch()
            yield each

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_module, "train_stacks", watched)
        patch.setattr("os.cpu_count", lambda: 2)
        study = acting(act, ["acting", "magnitude"], plan="processes")
    assert outcomes(study) == {"magnitude": "done"}
    assert reasons(study) == {"acting": "interrupted"}


@pytest.mark.slow
def test_a_process_that_dies_takes_only_its_own_runs_along(acting, tiny, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with pytest.warns(UserWarning, match="1 of 2 runs failed"):
        study = acting(lambda: os._exit(9), ["acting", "magnitude"], plan="processes")
    assert "EXIT(9)" in reasons(study)["acting"]
    assert_same(study, ex.sweep(tiny(epochs=1), {"pruning.criterion": ["magnitude"]}, progress=False))
