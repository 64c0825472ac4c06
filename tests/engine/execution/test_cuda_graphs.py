"""A program's steps are the stack's own: what a GPU replays is run here step by step on a CPU."""

import gc
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from chosen import some

from explorer import registry
from explorer.engine.execution import cuda_graphs
from explorer.engine.training.trainer import Trainer

FIELDS = {
    "one seed": [{}, {"pruning": None}, {"lr": 0.05}],
    "own seeds": [{}, {"seed": 1}, {"seed": 1, "pruning": None}],
    "decay and momentum": [{"momentum": 0.9, "lr_decay": "cosine", "weight_decay": 1e-3}],
    "adam": [{"optimizer": "adam", "lr": 1e-3}],
    "batch norm": [{"model": "normed"}, {"model": "normed", "seed": 1}],
    "sparse": [{"clipping": {"rule": "top-k", "options": {"k": 0.1, "error_feedback": True}}}],
    "iterative": [{"pruning": {"schedule": "iterative", "begin_epoch": 0.2}}],
}


def trained(stack, *, programs):
    trainer = Trainer(stack, "cpu", torch.float64, together=True)
    trainer.executor.in_chunks, steps, longest = programs, [], 0
    for item in trainer.run():
        if item is None:
            longest = max(longest, trainer.step - (steps[-1] if steps else 0))
            steps.append(trainer.step)
    assert (longest > 1) == programs
    return trainer


@pytest.mark.usefixtures("normed")
@pytest.mark.parametrize("fields", some(FIELDS, "own seeds", "decay and momentum", "batch norm"))
def test_a_program_trains_as_single_steps_do(tiny, fields):
    stack = [tiny(epochs=2, **each) for each in fields]
    one, two = (trained(stack, programs=programs) for programs in (False, True))
    torch.testing.assert_close(two.state.theta, one.state.theta, rtol=1e-10, atol=1e-12)
    assert len(one.flush()) == len(two.flush()) == one.total
    for a, b in zip(one.flush(), two.flush(), strict=True):
        assert list(b) == [pytest.approx(row, rel=1e-9) for row in a]
    for a, b in zip(one.lanes, two.lanes, strict=True):
        assert [row[:4] for row in a.history.history] == [row[:4] for row in b.history.history]
        assert [row[4] for row in b.history.history] == pytest.approx(
            [row[4] for row in a.history.history], rel=1e-8, abs=1e-10
        )


def test_sliders_act_on_a_program(tiny):
    """They write into the tensors that captured steps read: nothing is captured anew."""
    trainers = []
    for programs in (False, True):
        trainer = Trainer([tiny(pruning=None, epochs=2)], "cpu", torch.float64, together=True)
        trainer.executor.in_chunks = programs
        for item in trainer.run():
            if item is not None and trainer.step == 8:
                captured = trainer.executor.steps
                trainer.steer({"lr": 0.01, "clipping.max_norm": 0.2})
        assert trainer.executor.steps is captured
        trainers.append(trainer)
    one, two = trainers
    torch.testing.assert_close(two.state.theta, one.state.theta, rtol=1e-10, atol=1e-12)
    assert two.lanes[0].steered


def test_a_program_freezes_what_diverges_and_tells_the_step(tiny):
    wild, calm = tiny(lr=1e30, clipping=None, pruning=None), tiny(lr=0.1, clipping=None, pruning=None)
    trainer = trained([wild, calm], programs=True)
    assert "is not finite at step" in trainer.lanes[0].diverged
    assert trainer.view(trainer.lanes[0]).row.isfinite().all()
    assert not trainer.lanes[1].diverged


@pytest.mark.parametrize("programs", some({"chunks": True, "single steps": False}, "chunks"))
@pytest.mark.parametrize("rule", registry.names("rule"))
def test_a_gradient_of_nan_leaves_the_last_good_weights_whatever_clips_it(tiny, rule, programs):
    stack = [tiny(pruning=None, clipping={"rule": rule}, seed=seed) for seed in (0, 1)]
    trainer = Trainer(stack, "cpu", together=True)
    trainer.executor.in_chunks, steps, gradient = programs, [], trainer.network.gradient

    def breaks_at_the_third(views, grads, *rest):
        steps.append(gradient(views, grads, *rest))
        if len(steps) == 3:
            grads["fc1.weight"][0, 0, 0] = torch.nan
        return steps[-1]

    trainer.network.gradient = breaks_at_the_third
    for _ in trainer.run():
        pass
    assert "step 3" in trainer.lanes[0].diverged
    assert not trainer.lanes[1].diverged
    assert trainer.state.theta.isfinite().all()


@pytest.fixture
def captures(monkeypatch):
    """Captures without a GPU: what comes before them is done; of each is told with which pool and how."""
    told, stream = [], SimpleNamespace(wait_stream=lambda _: None)

    def graph(step, times, *, stream, pool):  # noqa: ARG001
        told.append((times, pool, gc.isenabled(), cuda_graphs._ONE_AT_A_TIME.locked()))
        return step

    stubs = {"current_stream": lambda _: stream, "stream": lambda _: nullcontext()}
    for name, stub in {**stubs, "graph_pool_handle": object}.items():
        monkeypatch.setattr(torch.cuda, name, stub)
    monkeypatch.setattr(cuda_graphs, "_side_stream", lambda _: stream)
    monkeypatch.setattr(cuda_graphs, "_graph", graph)
    return told


def made(experiment):
    trainer = Trainer([experiment], "cpu", together=True)
    return trainer.executor.graph_steps()


def values(steps):
    return [tensor.clone() for tensor in steps._changing()]


def same(steps, before):
    return all(map(torch.equal, steps._changing(), before))


def test_a_capture_leaves_no_trace_though_an_epoch_has_only_one_batch(tiny, captures):
    """On a GPU to ask for an image behind the last is the end of all that the process does there."""
    steps = made(tiny(pruning=None, batch_size=500))
    before = values(steps)
    steps._capture()
    assert same(steps, before)
    assert [times for times, *_ in captures] == [1, cuda_graphs.REPLAYED, 1]


def test_one_thread_captures_at_a_time_and_no_garbage_is_collected_meanwhile(tiny, captures):
    made(tiny(pruning=None))._capture()
    assert len({pool for _, pool, *_ in captures}) == 1
    assert {(collects, alone) for *_, collects, alone in captures} == {(False, True)}
    assert gc.isenabled()
    assert not cuda_graphs._ONE_AT_A_TIME.locked()


@pytest.mark.usefixtures("normed")
def test_what_is_put_back_after_a_capture_is_what_steps_change(tiny):
    pruning = {"criterion": "movement", "schedule": "rewind", "options": {"rewind_epoch": 0.1}}
    residuals = {"rule": ("autoclip", "top-k"), "options": {"error_feedback": True}}
    exp = tiny(model="normed", momentum=0.9, pruning=pruning, clipping=residuals)
    trainer = Trainer([exp, exp.replace(lr=1e30)], "cpu", together=True)
    for _ in trainer.run():
        pass
    steps, state = trainer.executor.graph_steps(), trainer.state
    state.diverged.zero_()
    before = [tensor.clone() for tensor in state.tensors()]
    steps.run(list(trainer.executor.orders(0).values()), 0, 0, 3)
    pairs = zip(state.tensors(), before, strict=True)
    changed = {now.data_ptr() for now, was in pairs if not torch.equal(now.nan_to_num(), was.nan_to_num())}
    put_back = {tensor.data_ptr() for tensor in steps._changing()}
    assert changed < put_back
    assert not put_back & {
        t.data_ptr() for t in (state.mask, state.pruned_values, state.criterion_memory["early"])
    }


@pytest.mark.usefixtures("captures")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_capture_that_ends_early_leaves_no_trace_either(tiny, monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(cuda_graphs, "_graph", fails)
    steps = made(tiny(pruning=None))
    before = values(steps)
    with pytest.warns(match="one by one") if error is RuntimeError else pytest.raises(error):
        steps._capture()
    assert same(steps, before)
    assert gc.isenabled()
