"""Clip rules in a run: chains, memories, lanes, checkpoints, pruned weights, and the bytes sent."""

import pytest
import torch
from chosen import some
from torch import nn

import explorer as ex
from explorer import registry
from explorer.engine.execution.clipping import Chain, Clip
from explorer.engine.network.layout import Layout
from explorer.engine.network.state import State
from explorer.engine.training.train import run_of, runs_of
from explorer.engine.training.trainer import Trainer
from explorer.traits import OFFERED

ALONE = {name: {"rule": name} for name in registry.names("rule")}
MORE = {
    "top-k with feedback": {"rule": "top-k", "options": {"error_feedback": True, "k": 0.05}},
    "rate with feedback": {"rule": "threshold", "options": {"error_feedback": True, "rate": 2.0}},
    "chain": {"rule": ("autoclip", "norm", "top-k"), "max_norm": 0.5, "options": {"error_feedback": True}},
}
RULES = ALONE | MORE
SPARSE = [name for name, fields in RULES.items() if {"top-k", "threshold"} & {*ex.Clipping(**fields).rules}]
each = pytest.mark.parametrize("clipping", RULES.values(), ids=RULES)
FIRST = {"norm", "chain"}  # a single one, and three in a row, one with a memory
each_kind = pytest.mark.parametrize("clipping", some(RULES, *FIRST))


def finish(trainer):
    for _ in trainer.run():
        pass
    return trainer


def frames(lane):
    h = lane.history
    return h.history, h.histograms, h.events, h.cutoffs


def chain(clipping, grad, *, theta=None, steps=4):
    """The rules of a 2-2-1 net, 9 columns, bound to a gradient; and the state that remembers."""
    layout = Layout(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)))
    state = State(torch.ones_like(grad) if theta is None else theta)
    return Clip(Chain(ex.Clipping(**clipping), layout, state, steps), state, grad), state


@each_kind
def test_training_works_and_pruned_weights_stay_zero(tiny, clipping):
    fields = {"momentum": 0.9, "weight_decay": 1e-3}
    exp = tiny(clipping=clipping, pruning={"threshold": 0.8}, **fields)
    trainer = Trainer([exp, exp.dense()], "cpu")
    start = trainer.state.theta[0].clone()
    for _ in trainer.run():
        decision = trainer.lanes[0].decision
        if decision is not None:
            row = trainer.lanes[0].row
            assert not trainer.state.theta[row][~decision.keep].any()
            assert all(not m[row][~decision.keep].any() for m in trainer.state.memory.values())
    run = run_of(trainer, "done")
    assert run.status == "done"
    assert run.summary["sparsity"] == pytest.approx(0.8, abs=1e-5)
    assert not torch.equal(run.row[run.keep], start[run.keep])
    assert 0 <= run.summary["clip_rate"] <= 1


@each_kind
def test_a_stack_equals_the_loop_over_its_lanes(tiny, clipping):
    prunings = [{"threshold": 0.5, "begin_epoch": 0.25}, {"threshold": 0.9, "begin_epoch": 0.75}, None]
    stack = [tiny(pruning=p, clipping=clipping, momentum=0.9) for p in prunings]
    together = finish(Trainer(stack, "cpu", torch.float64))
    for lane, exp in zip(together.lanes, stack, strict=True):
        single = finish(Trainer([exp], "cpu", torch.float64))
        torch.testing.assert_close(together.view(lane).row, single.state.theta[0], rtol=0, atol=1e-12)
        for ours, alone in zip(frames(lane)[0], frames(single.lanes[0])[0], strict=True):
            assert ours == pytest.approx(alone, abs=1e-9)


@pytest.mark.parametrize("together", some({"in one product": True, "row by row": False}, "in one product"))
def test_lanes_of_a_stack_may_differ_in_their_rule(tiny, together):
    pruning = {"threshold": 0.8, "begin_epoch": 0.25}
    rules = ["norm", "agc", "autoclip", "top-k with feedback", "chain"] if together else RULES
    clippings = [*(RULES[name] for name in rules), None]
    stack = [tiny(pruning=pruning, clipping=clipping, momentum=0.9) for clipping in clippings]
    whole = finish(Trainer(stack, "cpu", torch.float64, together=together))
    assert len(whole.state.theta) == len(stack)
    for lane, run, exp in zip(whole.lanes, runs_of(whole, "done"), stack, strict=True):
        alike = finish(Trainer([exp, exp.replace(lr=0.05)], "cpu", torch.float64, together=together))
        torch.testing.assert_close(whole.view(lane).row, alike.state.theta[0], rtol=0, atol=1e-12)
        for ours, theirs in zip(frames(lane)[0], frames(alike.lanes[0])[0], strict=True):
            assert ours == pytest.approx(theirs, abs=1e-9)
        sent, by_its_like = (each.summary.get("bytes_per_step") for each in (run, runs_of(alike, "done")[0]))
        assert sent == by_its_like


@pytest.mark.parametrize("clipping", some(RULES, "norm", "top-k with feedback"))
def test_going_back_to_a_checkpoint_equals_a_fresh_run(tiny, clipping):
    exp = tiny(clipping=clipping, pruning={"threshold": 0.9, "begin_epoch": 0.3}, momentum=0.9)
    other = exp.replace({"pruning.threshold": 0.25})
    trainer = finish(Trainer([exp, exp.dense()], "cpu"))
    for again in (other, exp):  # and back: the checkpoint itself has not changed
        trainer.rewind_and_prune(again)
        finish(trainer)
        fresh = finish(Trainer([again, again.dense()], "cpu"))
        for a, b in zip(trainer.lanes, fresh.lanes, strict=True):
            assert torch.equal(trainer.view(a).row, fresh.view(b).row)
            assert frames(a) == frames(b)
        assert run_of(trainer, "done").summary.get("bytes_per_step") == run_of(fresh, "done").summary.get(
            "bytes_per_step"
        )


@each
def test_a_lane_counts_as_bound_where_its_gradient_changed(tiny, clipping, monkeypatch):
    clip, changed = Clip.__call__, []

    def watched(self, norms, max_norm, mask):
        before = self.grad.clone()
        found = clip(self, norms, max_norm, mask)
        changed.append(not torch.equal(self.grad, before))
        torch.testing.assert_close(found.norm, self.grad.norm(dim=1), rtol=1e-9, atol=0)
        return found

    monkeypatch.setattr(Clip, "__call__", watched)
    trainer = finish(Trainer([tiny(clipping=clipping, pruning=None)], "cpu", torch.float64))
    assert [bool(step[3][0]) for step in trainer.flush()] == changed
    assert len(changed) == 16


def test_clip_norms_of_their_own_for_each_lane():
    """Lanes of one stack may differ in the clip norm, whatever the rules."""
    grad = torch.full((2, 9), 2.0)
    rules, _ = chain({"rule": ("value", "norm")}, grad)
    clipped = rules(grad.norm(dim=1), torch.tensor([1.0, 100.0]), None)
    assert grad.norm(dim=1).tolist() == pytest.approx([1.0, 6.0])
    assert clipped.bound.tolist() == [True, False]


# -- chains -------------------------------------------------------------------------------------------


def test_the_order_of_a_chain_matters():
    start = torch.tensor([[3.0, 4.0] + [0.0] * 7], dtype=torch.float64)
    found = {}
    for order in (("norm", "value"), ("value", "norm")):
        grad = start.clone()
        rules, _ = chain({"rule": order}, grad)
        clipped = rules(grad.norm(dim=1), torch.ones(1, dtype=torch.float64), None)
        found[order] = grad[0, :2].tolist()
        assert clipped.bound.tolist() == [True]
        assert clipped.norm.tolist() == pytest.approx([1.0])
    assert found["norm", "value"] == pytest.approx([0.6, 0.8])
    assert found["value", "norm"] == pytest.approx([0.5**0.5, 0.5**0.5])


def test_each_rule_finds_the_norm_that_the_one_before_left():
    grad = torch.tensor([[3.0, 4.0] + [0.0] * 7], dtype=torch.float64)
    rules, _ = chain({"rule": ("top-k", "norm"), "max_norm": 2.0, "options": {"k": 0.1}}, grad)
    clipped = rules(grad.norm(dim=1), torch.full((1,), 2.0, dtype=torch.float64), None)
    assert grad[0, :2].tolist() == pytest.approx([0.0, 2.0])  # by the norm before, 1.6
    assert clipped.sent[0].tolist() == [1]


def test_a_chain_binds_where_any_of_its_rules_does():
    grad = torch.tensor([[0.1] * 9, [1.0] * 9])
    rules, _ = chain({"rule": ("norm", "threshold"), "options": {"tau": 0.2}}, grad)
    assert rules(grad.norm(dim=1), torch.full((2,), 2.0), None).bound.tolist() == [True, True]
    assert rules(grad.norm(dim=1), torch.full((2,), 2.1), None).bound.tolist() == [False, False]


def test_options_are_shared_out_by_name():
    grad = torch.ones(1, 9)
    options = {"k": 0.5, "percentile": 20.0, "error_feedback": True, "tau": 0.5}
    rules, state = chain({"rule": ("autoclip", "top-k", "threshold"), "options": options}, grad)
    assert [options for _, _, options, _ in rules._calls] == [
        {"percentile": 20.0},
        {"k": 0.5, "error_feedback": True},
        {"error_feedback": True, "tau": 0.5},
    ]
    assert {name: tuple(t.shape) for name, t in state.clip_history.items()} == {"rule 0": (1, 4)}
    assert {name: tuple(t.shape) for name, t in state.memory.items()} == {"rule 1": (1, 9), "rule 2": (1, 9)}


def test_the_last_layer_is_spared_by_agc():
    grad = torch.ones(1, 9)
    rules, _ = chain({"rule": "agc"}, grad)
    rules(grad.norm(dim=1), torch.ones(1), None)
    assert grad[0, :4].tolist() == pytest.approx([0.01] * 4)  # two rows of two, ‖w‖ = ‖g‖
    assert grad[0, 4:6].tolist() == pytest.approx([0.01] * 2)
    assert grad[0, 6:].tolist() == [1.0] * 3


def test_a_rule_may_ask_only_for_what_there_is(scratch_registry):
    with pytest.raises(ValueError, match=r"'gradnorm' is not known; did you mean 'grad_norm'\?"):
        scratch_registry.register("rule", "greedy")(lambda grad, gradnorm: grad * gradnorm)


def test_a_rule_may_ask_for_all_that_is_offered(tiny, scratch_registry):
    calls = []

    @scratch_registry.register("rule", "greedy", memory="weight")
    def greedy(grad, grad_norm, max_norm, theta, grads, weights, last, mask, memory):  # noqa: PLR0917  one a name
        """Has all."""
        calls.append((grad, grads, theta, weights, last, mask, memory))
        return grad_norm > max_norm, grad_norm

    assert scratch_registry.get("rule", "greedy").needs == OFFERED["rule"]
    run = ex.train(tiny(clipping={"rule": "greedy"}, pruning=None), progress=False)
    assert (run.status, len(calls)) == ("done", 16)


# -- memories -----------------------------------------------------------------------------------------


def test_no_memory_without_error_feedback():
    rules, state = chain({"rule": ("top-k", "threshold", "norm")}, torch.ones(1, 9))
    assert (state.memory, state.clip_history) == ({}, {})
    assert rules.sparse


def test_a_state_copies_its_memories_and_prunes_only_the_residuals():
    grad = torch.arange(9.0)[None]
    options = {"k": 0.1, "error_feedback": True}
    rules, state = chain({"rule": ("autoclip", "top-k"), "options": options}, grad)
    rules(grad.norm(dim=1), torch.ones(1), None)
    copy, fork = state.clone(), state.fork([0])
    keep = torch.arange(9) % 2 == 0
    state.prune(0, keep)
    assert state.memory["rule 1"][0].tolist() == [0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 6.0, 0.0, 0.0]
    assert copy.memory["rule 1"][0].tolist() == [*map(float, range(8)), 0.0]
    assert fork.memory["rule 1"].tolist() == copy.memory["rule 1"].tolist() * 2
    for past in (
        state.clip_history["rule 0"][0],
        copy.clip_history["rule 0"][0],
        *fork.clip_history["rule 0"],
    ):
        assert past.tolist()[0] == pytest.approx(204**0.5)
        assert past[1:].isnan().all()


def test_autoclip_remembers_every_norm_of_a_run(tiny):
    trainer = finish(Trainer([tiny(pruning=None, clipping={"rule": "autoclip"})], "cpu"))
    norms = sorted(step[1][0] for step in trainer.flush())
    assert trainer.state.clip_history["rule 0"][0].tolist() == norms
    assert len(norms) == trainer.total


def test_in_a_run_error_feedback_loses_nothing(tiny):
    """With plain SGD at rate 1, weights moved plus what waits is the sum of all gradients."""
    exp = tiny(lr=1.0, pruning=None, clipping=RULES["top-k with feedback"])
    trainer = Trainer([exp], "cpu", torch.float64)
    (part,) = trainer.executor.stepper.groups
    start, backward, total = trainer.state.theta.clone(), part.backward, 0

    def watched(*args):
        nonlocal total
        found = backward(*args)
        total = total + trainer.executor.stepper.grad.clone()
        return found

    part.backward = watched
    finish(trainer)
    moved = start - trainer.state.theta
    waiting = trainer.state.memory["rule 0"]
    assert float(waiting.norm()) > 0.1
    torch.testing.assert_close(moved + waiting, total, rtol=0, atol=1e-12)


# -- bytes --------------------------------------------------------------------------------------------


def test_bytes_are_reported_where_a_rule_sends_less(tiny):
    run = ex.train(
        tiny(clipping={"rule": "top-k", "options": {"k": 0.01}}, pruning={"threshold": 0.5}), progress=False
    )
    width = 784 * 128 + 128 + 1280 + 10
    for one in (run, run.dense):
        assert one.summary["bytes_per_step"] == 8 * round(0.01 * width)
        assert one.summary["dense_bytes_per_step"] == 4 * width
    assert run.summary["clip_rate"] == 1


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")
@pytest.mark.parametrize("name", SPARSE)
def test_what_is_pruned_is_never_sent(tiny, name):
    pruning = {"threshold": 0.995, "begin_epoch": 0}
    run = ex.train(tiny(clipping=RULES[name], pruning=pruning), progress=False)
    alive = int(run.keep.sum())
    assert 0 < run.summary["bytes_per_step"] <= 8 * alive


def test_bytes_are_a_mean_over_steps(tiny):
    exp = tiny(clipping={"rule": "threshold", "options": {"tau": 0.01}}, pruning=None)
    trainer = finish(Trainer([exp], "cpu"))
    sent = [step[4][0] for step in trainer.flush()]
    assert len(set(sent)) > 1
    run = run_of(trainer, "done")
    assert run.summary["bytes_per_step"] == pytest.approx(8 * sum(sent) / 16)


@pytest.mark.parametrize("clipping", [None, {"rule": "norm"}, {"rule": ("value", "agc")}])
def test_no_bytes_where_all_is_sent(tiny, clipping):
    run = ex.train(tiny(clipping=clipping), progress=False)
    assert not [name for name in run.summary if "bytes" in name]
