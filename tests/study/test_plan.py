"""Plans: which runs share a stack, how stacks are cut to memory, and that no plan changes a result."""

import gc
import io
import os
import pickle
import queue

import pytest
import torch

import explorer as ex
from explorer.engine.analysis import memory_estimate
from explorer.engine.data import datasets
from explorer.engine.execution import kernel_loader
from explorer.engine.training.trainer import Trainer
from explorer.study import worker
from explorer.study.plan import LANES, _groups, plan, with_twins

CPU = torch.device("cpu")


def variants(tiny, count, **fields):
    return [tiny(**fields).replace({"pruning.threshold": 0.1 + 0.8 * i / count}) for i in range(count)]


def test_runs_that_differ_in_numbers_and_seed_share_a_stack_with_their_twins(tiny):
    exps = [e.replace(seed=s) for e in variants(tiny, 3) for s in (0, 1)]
    made = plan(exps, CPU, "stack")
    (stack,) = made.stacks
    assert set(stack) == {*exps, *(e.dense() for e in exps)}
    assert len(stack) == 6 + 2


def test_other_models_and_batch_sizes_have_stacks_of_their_own(tiny):
    exps = [tiny(), tiny(batch_size=16), tiny(model="mlp-784-64-32-10")]
    assert len(plan(exps, CPU, "stack").stacks) == 3


def test_clip_rules_share_a_stack_but_for_machine_code_which_knows_only_some(tiny):
    exps = [tiny(clipping=c) for c in ({"rule": "norm"}, {"rule": "agc"}, {"rule": "value"}, None)]
    assert _groups(exps, together=True) == [exps]
    assert sorted(map(len, _groups(exps, together=False))) == [2, 2]
    norm, unclipped = plan(exps, CPU, "stack").stacks[0][:2]
    assert (norm.clipping.rule, unclipped.clipping) == ("norm", None)


def test_a_loop_has_a_stack_for_each_run(tiny):
    exps = variants(tiny, 3)
    assert plan(exps, CPU, "loop").stacks == [with_twins([e]) for e in exps]


def test_the_same_run_asked_for_twice_trains_once(tiny):
    assert plan([tiny(), tiny()], CPU, "stack").stacks == [with_twins([tiny()])]


def test_no_stack_has_more_lanes_than_it_may(tiny):
    made = plan(variants(tiny, LANES + 2), CPU, "stack")
    assert [len(s) - 1 for s in made.stacks] == [(LANES + 2) // 2] * 2


def test_stacks_are_cut_to_the_memory_there_is(tiny, monkeypatch):
    exps = variants(tiny, 16)
    whole, one = (memory_estimate.peak_bytes(with_twins(exps[:n]), together=False) for n in (16, 1))
    monkeypatch.setattr(memory_estimate, "free", lambda _: 2 * (whole + one) // 2)
    made = plan(exps, CPU, "stack")
    assert len(made.stacks) > 1
    assert made.peak_bytes <= (whole + one) // 2
    assert [e for s in made.stacks for e in s if e.pruning] == exps


def test_what_torch_keeps_of_an_earlier_sweep_is_free_for_the_next(monkeypatch):
    for name, there in {"mem_get_info": (3, 10), "memory_reserved": 6, "memory_allocated": 2}.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, there=there: there)
    assert memory_estimate.available_bytes(torch.device("cuda")) == 7


def test_processes_share_the_work_evenly():
    exps = [ex.Experiment(epochs=2).replace({"pruning.threshold": 0.1 + i / 100}) for i in range(20)]
    made = plan(exps, CPU, "processes")
    sizes = [sum(len(s) for s in job) for job in made.jobs]
    assert max(sizes) - min(sizes) <= 1
    assert "processes of one thread" in str(made)


def test_auto_takes_processes_only_where_they_pay(monkeypatch):
    """Machine code trains the rows of a stack on all cores as it is."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert plan([ex.Experiment(epochs=20, seed=seed) for seed in (0, 1)], CPU).kind == "stack"
    monkeypatch.setenv(kernel_loader.SWITCH, "0")
    long = [ex.Experiment(epochs=20, pruning={"threshold": t}) for t in (0.5, 0.9)]
    assert plan(long, CPU).kind == "processes"
    assert plan(long[:1], CPU).kind == "stack"
    assert plan([e.replace(epochs=1) for e in long], CPU).kind == "stack"
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert plan(long, CPU).kind == "stack"


def test_what_a_notebook_registered_stays_in_this_process(tiny):
    exps = [tiny(epochs=20_000), tiny(epochs=20_000, seed=1)]
    assert plan(exps, CPU).kind == "stack"
    with pytest.raises(ValueError, match="use plan='stack'"):
        plan(exps, CPU, "processes")


def test_an_unknown_plan_is_refused(tiny):
    with pytest.raises(ValueError, match=r"plan = 'stacks' is not known; did you mean 'stack'\?"):
        ex.sweep(tiny(), {}, plan="stacks")


def frame_of(study):
    return study.frame.drop("hash")


def assert_same(one, two):
    """On one thread to the bit: on a CPU the rows of a stack are computed one by one."""
    assert frame_of(one).equals(frame_of(two))
    for a, b in zip(one.runs, two.runs, strict=True):
        assert torch.equal(a.row, b.row)
        assert torch.equal(a.dense.row, b.dense.row)
        assert a.records.history == b.records.history
    for study in (one, two):
        assert {run.summary["plan"] for run in study.runs} == {study.plan.kind}


GRID = {"pruning.threshold": [0.5, 0.9]}


def test_a_loop_gives_the_same_runs_as_a_stack(tiny):
    assert_same(*(ex.sweep(tiny(), GRID, seeds=2, progress=False, plan=kind) for kind in ("stack", "loop")))


@pytest.mark.slow
def test_processes_give_the_same_runs_as_a_stack():
    exp = ex.Experiment(epochs=1, validation=59_000, batch_size=50)
    here, elsewhere = (ex.sweep(exp, GRID, progress=False, plan=kind) for kind in ("stack", "processes"))
    assert_same(here, elsewhere)
    assert {run.summary["threads"] for run in elsewhere.runs} == {1}


def test_a_process_that_is_done_before_the_others_has_not_failed():
    said, heard = [("steps", 3), ("runs", [])], queue.Queue()
    for words in (said, said[:1]):
        worker._listen(io.BytesIO(b"".join(map(pickle.dumps, words))), 0, heard)
    told = [heard.get_nowait()[1] for _ in range(heard.qsize())]
    assert told == ["steps", "runs", "steps", "end"]


@pytest.mark.slow
def test_what_fails_in_a_process_is_told():
    broken = ex.Experiment(epochs=1, pruning={"granularity": "filter"})  # an MLP has none
    with pytest.raises(RuntimeError, match=r"(?s)a process of the sweep failed.*granularity"):
        worker.train_all([[[broken]]], lambda _: None)


def test_an_interrupted_cell_leaves_a_process_alone():
    from explorer.study import worker

    process = worker._start([])
    try:
        assert os.getpgid(process.pid) != os.getpgrp()  # whose processes Jupyter's signal goes to
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def alive():
    """Bytes of all tensors that this process holds, each storage once."""
    gc.collect()
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
        for t in gc.get_objects()
        if issubclass(type(t), torch.Tensor)
    }
    return sum(storages.values())


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_memory_of_a_stack_is_predicted(tiny, optimizer):
    """The tensors that are alive as it ends: matrices, data set and what is judged; see memory.py for RSS."""
    datasets.load("mnist", CPU)
    exps = with_twins(variants(tiny, 12, optimizer=optimizer, model="lenet-300-100", batch_size=100))
    before = alive()
    trainer = Trainer(exps, "cpu")
    trainer.rewindable = False
    for _ in trainer.run():
        pass
    held = alive() - before
    row = 4 * trainer.network.layout.width
    runs = memory_estimate.AT_THE_END - 1  # not made yet
    expected = row * (memory_estimate.matrices(exps, together=False) - runs * len(exps))
    if optimizer == "sgd":  # each row once more, packed; it is not judged any more
        packed = memory_estimate._machine(exps, trainer.network.layout)
        expected += (
            packed
            - memory_estimate.NUMBA
            - memory_estimate.TRAIN_AND_TEST * memory_estimate.LIT
            - row * len(exps)
        )
    assert held == pytest.approx(expected, rel=0.2)
    assert memory_estimate.peak_bytes(exps, together=False) > expected
