"""Sliders act between two steps, leave a trace, and going back equals starting afresh."""

import pytest
import torch
from chosen import some

from explorer.engine.training.train import run_of
from explorer.engine.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("single_steps")  # they stop at certain ones


def finish(trainer):
    for _ in trainer.run():
        pass
    return trainer


def pair(exp):
    return Trainer([exp, exp.dense()], "cpu")


def frames(lane):
    h = lane.history
    return h.history, h.histograms, h.events, h.cutoffs


def assert_same(one, two):
    for a, b in zip(one.lanes, two.lanes, strict=True):
        assert a.experiment == b.experiment
        assert torch.equal(one.view(a).row, two.view(b).row)
        for left, right in zip(frames(a), frames(b), strict=True):
            assert left == right
        assert a.steered == b.steered


PRUNINGS = {
    "aligned": {"threshold": 0.9},
    "between records": {"threshold": 0.9, "begin_epoch": 0.3},
    "at initialisation": {"threshold": 0.9, "begin_epoch": 0},
    "at the end": {"threshold": 0.9, "begin_epoch": 1},
    "neurons": {"threshold": 0.5, "granularity": "neuron", "criterion": "activity"},
    "random": {"threshold": 0.5, "criterion": "random"},
}


@pytest.mark.parametrize(
    "fields", [{"momentum": 0.9}, {"optimizer": "adam", "lr": 1e-3}], ids=["sgd", "adam"]
)
def test_going_back_works_with_every_optimizer(tiny, fields):
    assert_going_back(tiny(pruning=PRUNINGS["between records"], **fields))


@pytest.mark.parametrize("pruning", some(PRUNINGS, "aligned", "at initialisation", "neurons"))
def test_going_back_with_another_threshold_equals_a_fresh_run(tiny, pruning):
    assert_going_back(tiny(pruning=pruning))


def assert_going_back(exp):
    other = exp.replace({"pruning.threshold": 0.25})
    trainer = finish(pair(exp))
    trainer.rewind_and_prune(other)
    assert_same(finish(trainer), finish(pair(other)))
    trainer.rewind_and_prune(exp)  # and back again: the checkpoint itself has not changed
    assert_same(finish(trainer), finish(pair(exp)))


def test_going_back_again_and_again_without_a_twin(tiny):
    """Nothing forks here, so that training on the checkpoint itself would show."""
    exp = tiny(momentum=0.9, pruning={"threshold": 0.9})
    trainer, fresh = finish(Trainer([exp], "cpu")), finish(Trainer([exp], "cpu"))
    for _ in range(2):
        trainer.rewind_and_prune(exp)
        assert_same(finish(trainer), fresh)


@pytest.mark.parametrize("at", some({n: n for n in (4, 5, 7, 8, 15, 16)}, 4, 7, 16))
def test_going_back_at_any_moment_equals_a_fresh_run(tiny, at):
    exp = tiny(pruning={"threshold": 0.9, "begin_epoch": 0.25})
    other = exp.replace({"pruning.threshold": 0.5})
    trainer, gone_back = pair(exp), False
    for _ in trainer.run():
        if trainer.step == at and trainer.checkpoint and not gone_back:
            trainer.rewind_and_prune(other)
            gone_back = True
    assert gone_back
    assert_same(trainer, finish(pair(other)))


def test_going_back_from_the_very_record_of_the_event(tiny):
    exp = tiny(pruning={"threshold": 0.9, "begin_epoch": 0.3})
    other = exp.replace({"pruning.threshold": 0.5})
    trainer = pair(exp)
    for record in trainer.run():
        if record is not None and trainer.step == 5 and trainer.lanes[0].experiment == exp:
            trainer.rewind_and_prune(other)
    assert_same(trainer, finish(pair(other)))


def test_going_back_forgets_what_was_steered_afterwards(tiny):
    exp = tiny(pruning={"threshold": 0.9})
    other = exp.replace({"pruning.threshold": 0.5})
    trainer = pair(exp)
    for _ in trainer.run():
        if trainer.step == 12 and trainer.lanes[0].experiment.lr == exp.lr:
            trainer.steer({"lr": 0.01})
    trainer.rewind_and_prune(other)
    assert_same(finish(trainer), finish(pair(other)))


def test_going_back_with_a_steered_rate_says_so(tiny):
    """The rate was not in force before the checkpoint: without an event the record would be wrong."""
    exp = tiny(pruning={"threshold": 0.9})
    trainer = finish(pair(exp))
    trainer.rewind_and_prune(exp.replace({"pruning.threshold": 0.5, "clipping.max_norm": 0.25}, lr=0.02))
    finish(trainer)
    for lane in trainer.lanes:
        moves = [event for event in lane.history.events if event[1] != "prune"]
        assert sorted(moves) == [(8, "lr", 0.1, 0.02), (8, "max_norm", 1.0, 0.25)]
        assert lane.steered
        assert lane.experiment.lr == 0.02
        assert {r[0]: r[4] for r in lane.history.history if r[2] == "lr"} == {
            0: 0.1,
            4: 0.1,
            8: 0.02,
            12: 0.02,
            16: 0.02,
        }


def test_going_back_keeps_what_was_steered_before(tiny):
    exp = tiny(pruning={"threshold": 0.9})
    trainer = pair(exp)
    for _ in trainer.run():
        if trainer.step in (3, 8) and len(trainer.lanes[0].history.events) < trainer.step // 3:
            trainer.steer({"lr": 0.1 / trainer.step})
    before = [frames(lane) for lane in trainer.lanes]
    assert [e[:2] for e in before[0][2]] == [(3, "lr"), (8, "lr"), (8, "prune")]
    trainer.rewind_and_prune(trainer.lanes[0].experiment)
    finish(trainer)
    assert [frames(lane) for lane in trainer.lanes] == before


def run_with(trainer, at, changes):
    """Trains to the end and moves sliders when that step is reached; returns the rows before and after."""
    rows = {}
    for _ in trainer.run():
        rows[trainer.step] = trainer.state.theta[0].clone()
        if trainer.step == at and changes:
            trainer.steer(changes)
            changes = {}
    return rows


def test_the_learning_rate_acts_from_the_next_step(tiny):
    exp = tiny(pruning=None, clipping=None)
    plain = run_with(Trainer([exp], "cpu", torch.float64), -1, {})
    trainer = Trainer([exp], "cpu", torch.float64)
    steered = run_with(trainer, 5, {"lr": 0.05})
    assert torch.equal(plain[5], steered[5])
    torch.testing.assert_close(
        steered[6] - steered[5], (plain[6] - plain[5]) / 2, rtol=1e-9, atol=1e-14
    )  # half the rate, half the step
    lane = trainer.lanes[0]
    assert lane.history.events == [(5, "lr", 0.1, 0.05)]
    assert lane.experiment.lr == 0.05
    run = run_of(trainer, "done")
    assert run.summary["steered"] is True
    assert run.experiment == exp.replace(lr=0.05)
    rates = {r[0]: r[4] for r in lane.history.history if r[2] == "lr"}
    assert rates == {0: 0.1, 4: 0.1, 8: 0.05, 12: 0.05, 16: 0.05}


def test_the_clip_norm_acts_from_the_next_step(tiny):
    exp = tiny(pruning=None, clipping={"max_norm": 1e3})
    trainer = Trainer([exp], "cpu", torch.float64)
    rows = run_with(trainer, 5, {"clipping.max_norm": 1e-3})
    moved = [float((rows[i + 1] - rows[i]).norm()) for i in range(16)]
    assert moved[5:] == pytest.approx([1e-4] * 11, rel=1e-2)  # rate × clip norm
    assert min(moved[:5]) > 1e-3
    assert trainer.lanes[0].history.events == [(5, "max_norm", 1e3, 1e-3)]


def test_a_threshold_moved_before_the_event_is_simply_used(tiny):
    exp = tiny(pruning={"threshold": 0.9})
    trainer = Trainer([exp], "cpu")
    run_with(trainer, 5, {"pruning.threshold": 0.5})
    fresh = finish(Trainer([exp.replace({"pruning.threshold": 0.5})], "cpu"))
    assert torch.equal(trainer.state.theta, fresh.state.theta)
    assert trainer.lanes[0].history.events[0] == (5, "threshold", 0.9, 0.5)


def test_every_step_follows_the_threshold_as_it_runs(tiny):
    exp = tiny(pruning={"schedule": "every-step", "unit": "score", "threshold": 0.005, "end_epoch": 1})
    trainer, sparsities = Trainer([exp], "cpu"), {}
    for _ in trainer.run():
        sparsities[trainer.step] = trainer.sparsity(trainer.lanes[0])
        if trainer.step == 6 and not trainer.lanes[0].steered:
            trainer.steer({"pruning.threshold": 0.02})
    assert sparsities[6] < 0.3
    assert sparsities[8] > 0.5


@pytest.mark.parametrize("at_record", [True, False])
def test_a_threshold_raised_after_the_last_event_prunes_at_the_next_step(tiny, at_record):
    exp = tiny(pruning={"schedule": "every-step", "unit": "score", "threshold": 0.005, "end_epoch": 0.5})
    trainer = Trainer([exp], "cpu")
    for record in trainer.run():
        if trainer.step == 12 and (record is not None) == at_record and not trainer.lanes[0].steered:
            before = trainer.sparsity(trainer.lanes[0])
            trainer.steer({"pruning.threshold": 0.02})
    assert trainer.sparsity(trainer.lanes[0]) > before + 0.2


def test_every_lane_is_steered_and_what_a_lane_lacks_is_passed_over(tiny):
    exp = tiny(pruning={"threshold": 0.9})
    trainer = pair(exp)
    trainer.steer({"lr": 0.05, "pruning.threshold": 0.5})
    pruned, dense = trainer.lanes
    assert pruned.experiment == exp.replace({"pruning.threshold": 0.5}, lr=0.05)
    assert dense.experiment == exp.dense().replace(lr=0.05)
    assert [e[1] for e in dense.history.events] == ["lr"]


def test_a_slider_that_does_not_move_is_no_event(tiny):
    trainer = Trainer([tiny()], "cpu")
    trainer.steer({"lr": 0.1, "clipping.max_norm": 1.0})
    assert trainer.lanes[0].history.events == []
    assert not trainer.lanes[0].steered


def test_bad_moves_are_refused_and_change_nothing(tiny):
    trainer = pair(tiny())
    with pytest.raises(ValueError, match="slider = 'momentum' is not known"):
        trainer.steer({"momentum": 0.5})
    with pytest.raises(ValueError, match="lr = -1"):
        trainer.steer({"lr": -1.0})
    with pytest.raises(ValueError, match="threshold = 1"):
        trainer.steer({"pruning.threshold": 1.0})
    for lane in trainer.lanes:
        assert lane.experiment.lr == 0.1
        assert not lane.history.events
        assert not lane.steered
