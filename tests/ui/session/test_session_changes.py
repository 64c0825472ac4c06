"""Other changes begin anew, and errors reach whoever must know."""

import pytest
from hands import ENDLESS, PATIENCE
from laws import blocked, hold, plain, pruned, same, trained, unpruned, until

# -- other changes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        "after the event",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("before the event", "after the end")),
    ],
)
def test_another_criterion_supersedes(session, tiny, moment):
    experiment = tiny(epochs=4)
    live = session(experiment)
    reached = {"before the event": unpruned, "after the event": pruned}
    if moment in reached:
        hold(live, live.start, reached[moment])
    else:
        live.start()
        live.wait(PATIENCE)
    live.set({"pruning.criterion": "random"})
    same(live.wait(PATIENCE), plain(experiment.replace({"pruning.criterion": "random"})))


def test_another_network_supersedes_a_run_at_once(session, tiny):
    live = session(tiny(epochs=ENDLESS))
    live.start()
    until(live, trained(5))
    free = blocked(live)
    asked = live.call(lambda trainer: (trainer, trainer.step))
    live.set({"seed": 1, "epochs": 2})
    began = live.call(lambda trainer: (trainer.step, trainer.total))
    assert free()
    old, step = asked.result(PATIENCE)
    assert began.result(PATIENCE) == (0, 2 * 63)
    assert old.step == step, "no step of the old run comes after the word"
    same(live.wait(PATIENCE), plain(tiny(seed=1, epochs=2)))


def test_another_model_begins_anew(session, tiny):
    live = session(tiny(epochs=ENDLESS))
    live.start()
    until(live, trained(5))
    live.set({"model": "lenet-300-100", "epochs": 1})
    same(live.wait(PATIENCE), plain(tiny(model="lenet-300-100")))


BAD = [
    ({"pruning.threshold": 1.5}, "threshold = 1.5"),
    ({"clipping.max_norm": -1}, "max_norm = -1"),
    ({"pruning.criterium": "random"}, "did you mean 'criterion'"),
    ({"model": "lenet-300"}, "did you mean 'lenet-300-100'"),
]


def test_bad_changes_are_refused_at_once_and_the_run_goes_on(session, tiny):
    live = session(tiny(epochs=3))
    live.start()
    for changes, told in BAD:
        with pytest.raises(ValueError, match=told):
            live.set(changes)
    same(live.wait(PATIENCE), plain(tiny(epochs=3)))
    assert live.experiment == tiny(epochs=3)


def test_a_change_that_changes_nothing_does_nothing(session, tiny):
    live = session(tiny())
    live.start()
    live.wait(PATIENCE)
    trainer = live.call(id).result()
    live.set({"pruning.threshold": 0.9, "lr": 0.1})
    live.wait(PATIENCE)
    assert (live.status, live.call(id).result()) == ("done", trainer)


def test_changes_before_the_start_only_set(session, tiny):
    live = session(tiny())
    live.prepare()
    live.set({"pruning.threshold": 0.4})
    live.set({"seed": 5})
    assert live.wait(PATIENCE).summary["steps"] == 0
    assert live.status == "idle"
    live.start()
    same(live.wait(PATIENCE), plain(tiny(seed=5, pruning={"threshold": 0.4})))


def test_without_validation_images_there_is_nothing_to_judge(session, tiny):
    frames = []
    live = session(tiny(validation=0), on_frame=frames.append)
    live.start()
    run = live.wait(PATIENCE)
    live.preview(0.5)
    live.wait(PATIENCE)
    assert not [name for name in run.history["metric"] if name.startswith("val_")]
    assert run.summary["test_accuracy"] is not None
    assert [p.accuracy for p in live.points] == [[]] * len(live.points)
    assert {tuple(f.accuracy) for f in frames} == {()}
    assert live.points[-1].lanes[0]["train_loss"] > 0  # which needs no such images
    assert frames[-1].preview == 0.5


# -- errors ----------------------------------------------------------------------------------------------


@pytest.fixture
def broken(tiny, scratch_registry):
    @scratch_registry.register("dataset", "broken")
    def broken():
        """Images that can't be had."""
        raise RuntimeError("the disk is on fire")

    return tiny(dataset="broken")


def test_an_error_of_the_worker_reaches_the_caller_and_the_widget(session, tiny, broken):
    told = []
    live = session(broken, on_error=told.append)
    live.start()
    with pytest.raises(RuntimeError, match="on fire"):
        live.wait(PATIENCE)
    assert [str(error) for error in told] == ["the disk is on fire"]
    assert live.status == "stopped"
    live.start(tiny())  # and the session lives
    same(live.wait(PATIENCE), plain(tiny()))


@pytest.mark.parametrize("what", ["on_frame", "on_error"])
def test_a_callback_that_fails_ends_the_run_and_not_the_session(session, tiny, broken, what):
    failing = [True]

    def callback(_):
        if failing:
            raise RuntimeError("nobody draws")

    live = session(broken if what == "on_error" else tiny(), **{what: callback})
    live.start()
    with pytest.raises(RuntimeError, match=r"nobody draws|on fire"):
        live.wait(PATIENCE)
    failing.clear()
    live.start(tiny())
    same(live.wait(PATIENCE), plain(tiny()))


def test_call_hands_back_the_value_or_the_error(session, tiny):
    live = session(tiny())
    assert live.call(lambda trainer: trainer.total).result(PATIENCE) == 63
    with pytest.raises(ZeroDivisionError):
        live.call(lambda trainer: trainer.step / 0).result(PATIENCE)
    assert live.status == "idle"


def test_a_run_that_diverges_says_so(session, tiny):
    frames = []
    live = session(tiny(lr=1e9, clipping=None, loss="mse", epochs=4), on_frame=frames.append)
    live.start()
    run = live.wait(PATIENCE)
    assert (live.status, run.status, frames[-1].status) == ("diverged", "diverged", "diverged")
    assert "try a learning rate below 1e+09" in frames[-1].advice
