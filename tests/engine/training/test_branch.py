"""Branches: unchanged they are the run that went on, to the bit; changed they say so."""

import pytest
import torch
from chosen import some
from test_sliders import assert_same, finish, frames, pair

from explorer.engine.training.branch import branch, diff, resume
from explorer.engine.training.train import run_of
from explorer.engine.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("single_steps")  # they stop at certain ones

RUNS = {
    "momentum": {"momentum": 0.9},
    "adam": {"optimizer": "adam", "lr": 1e-3},
    "iterative": {"pruning": {"schedule": "iterative"}, "epochs": 2},
    "every step": {"pruning": {"schedule": "every-step", "threshold": 0.5, "unit": "std"}},
    "splicing": {"pruning": {"schedule": "splicing"}},
    "rigl": {"pruning": {"schedule": "rigl", "options": {"every": 4}}},
    "rewind": {"pruning": {"schedule": "rewind"}},
    "movement": {"pruning": {"criterion": "movement"}},
    "autoclip": {"clipping": {"rule": "autoclip"}},
    "residuals": {"clipping": {"rule": "top-k", "options": {"error_feedback": True}}},
    "dense": {"pruning": None},
}
FIRST = ("momentum", "iterative", "rigl")


def snapshots(trainer):
    """A finished run, and what it was like at each record and in between."""
    found = {}
    for _ in trainer.run():
        if trainer.step not in found or trainer.step in trainer.record_steps:
            found[trainer.step] = trainer.snapshot()
    return found


def unbranched(trainer):
    for lane in trainer.lanes:
        lane.history.events = [event for event in lane.history.events if event[1] != "branch"]
    return trainer


def with_twin(exp):
    return [exp, exp.dense()] if exp.pruning else [exp]


@pytest.mark.parametrize("fields", some(RUNS, *FIRST))
def test_a_branch_without_changes_is_the_run_that_went_on(tiny, fields):
    exp = tiny(**fields)
    whole = Trainer(with_twin(exp), "cpu")
    points = snapshots(whole)
    for step in (0, 5, whole.total // 2, whole.total - 1):
        other = finish(branch(points[step], with_twin(exp), "cpu"))
        assert (step, "branch", None, None) in other.lanes[0].history.events
        assert_same(unbranched(other), whole)
        assert other.flush() == whole.flush()


@pytest.mark.parametrize("at", [0, 4, 8, 11, 16])
def test_returning_in_place_changes_nothing(tiny, at):
    exp = tiny(momentum=0.9)
    whole = pair(exp)
    points = snapshots(whole)
    then = whole.snapshot()
    trainer = pair(exp)
    trainer.return_to(points[at])
    assert_same(finish(trainer), whole)
    trainer.return_to(points[at])  # the snapshot itself has not changed
    assert_same(finish(trainer), whole)
    trainer.return_to(then)
    assert trainer.done
    assert_same(trainer, whole)


def test_going_back_while_a_record_is_looked_at(tiny):
    whole, point, trainer = finish(pair(tiny())), None, pair(tiny())
    for record in trainer.run():
        if record and trainer.step == 4:
            point = trainer.snapshot()
        if record and trainer.step == 12 and point:
            trainer.return_to(point)
            point = None
    assert_same(trainer, whole)


def test_a_run_that_was_left_comes_back_as_it_was(tiny):
    whole = finish(pair(tiny()))
    again = resume(whole.snapshot(), "cpu")
    assert_same(again, whole)
    first, second = run_of(whole, "done"), run_of(again, "done")
    assert first.summary == second.summary
    other = tiny().replace({"pruning.threshold": 0.5})
    again.rewind_and_prune(other)  # to just before the prune event
    assert_same(finish(again), finish(pair(other)))


def test_other_settings_act_from_there_and_are_told(tiny):
    exp = tiny()
    whole = pair(exp)
    point = snapshots(whole)[12]
    changes = {"lr": 0.2, "clipping.rule": "value", "pruning.threshold": 0.95, "weight_decay": 1e-3}
    other = exp.replace(changes)
    run = run_of(finish(branch(point, with_twin(other), "cpu")), "done")
    assert run.summary["steered"]
    assert run.dense.summary["steered"]
    assert run.experiment == other
    assert run.summary["sparsity"] == pytest.approx(0.95, abs=1e-4)
    told = [row[1:] for row in run.events.iter_rows() if row[0] == 12]
    assert told[0] == ("branch", None, None)
    assert ("lr", 0.1, 0.2) in told
    assert ("threshold", 0.9, 0.95) in told
    assert ("rule norm → value", None, None) in told
    before = run.history.filter(run.history["step"] <= 12)
    assert before.rows() == [row for row in whole.lanes[0].history.history if row[0] <= 12]


def test_a_branch_before_the_event_prunes_as_planned_now(tiny):
    exp = tiny()
    point = snapshots(pair(exp))[4]
    other = exp.replace({"pruning.threshold": 0.5, "pruning.begin_epoch": 0.75})
    trainer = finish(branch(point, with_twin(other), "cpu"))
    fresh = finish(pair(other))
    assert torch.equal(trainer.view(trainer.lanes[0]).row, fresh.view(fresh.lanes[0]).row)
    assert frames(trainer.lanes[0])[0] == frames(fresh.lanes[0])[0]


def test_more_epochs_continue_a_run_that_is_done(tiny):
    exp = tiny(clipping={"rule": "autoclip"})
    whole = finish(pair(exp))
    longer = exp.replace(epochs=2)
    trainer = finish(branch(whole.snapshot(), with_twin(longer), "cpu"))
    assert trainer.step == 32
    assert sum(what == "prune" for _, what, *_ in trainer.lanes[0].history.events) == 1


def test_a_dense_run_can_branch_into_a_pruned_one_and_its_twin(tiny):
    dense = tiny(pruning=None)
    point = snapshots(Trainer([dense], "cpu"))[12]
    pruned = dense.replace({"pruning.threshold": 0.8})
    trainer = finish(branch(point, with_twin(pruned), "cpu"))
    run = run_of(trainer, "done")
    assert run.summary["sparsity"] == pytest.approx(0.8, abs=1e-4)
    whole = finish(Trainer([dense], "cpu"))
    assert torch.equal(run.dense.row, whole.view(whole.lanes[0]).row)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch_size": 64}, "batch_size = 64, but this run has 32"),
        ({"model": "lenet-300-100"}, "press Train"),
        ({"pruning": None}, "stays pruned"),
        ({"pruning.criterion": "movement"}, "movement was not followed"),
        ({"pruning.schedule": "rewind", "pruning.end_epoch": 1}, "rewind was not followed"),
    ],
)
def test_what_cannot_go_on_is_refused(tiny, changes, told):
    exp = tiny()
    point = snapshots(pair(exp))[4]
    with pytest.raises(ValueError, match=told):
        branch(point, with_twin(exp.replace(changes)), "cpu")


def test_nothing_goes_on_beyond_the_end(tiny):
    with pytest.raises(ValueError, match="give more epochs"):
        branch(finish(pair(tiny())).snapshot(), with_twin(tiny()), "cpu")


def test_differences_name_what_differs(tiny):
    one = tiny()
    two = one.replace({"pruning.schedule": "iterative", "pruning.options.rounds": 3, "lr": 0.2})
    assert diff(one, one) == {}
    assert diff(one, two) == {
        "lr": (0.1, 0.2),
        "pruning.schedule": ("one-shot", "iterative"),
        "pruning.options.rounds": (None, 3),
    }
    unclipped = {"clipping.rule": ("norm", "none"), "clipping.max_norm": (1.0, None)}
    assert diff(one, one.replace(clipping=None)) == unclipped


def test_layers_that_a_branch_replaces_do_not_decay(tiny):
    deep = tiny(model="deep-sigmoid", model_options={"depth": 3}, weight_decay=0.5, epochs=2, lr=0.5)
    exp = deep.replace({"pruning.threshold": 0.1, "pruning.begin_epoch": 0.5})
    point = next(s for step, s in snapshots(Trainer([exp], "cpu")).items() if step > 12)
    other = deep.replace({"pruning.granularity": "layer", "pruning.begin_epoch": 1.0})
    trainer = finish(branch(point, [other], "cpu"))
    fill = trainer.state.fill
    assert fill.any()
    assert (trainer.state.theta[fill != 0] == 1).all()
