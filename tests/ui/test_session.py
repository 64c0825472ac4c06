"""The laws of a Session: it trains in the background, obeys at once, and leaves what a plain run leaves."""

import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
import torch

import explorer as ex
from explorer.engine.trainer import Trainer
from explorer.ui import session as sessions
from explorer.ui.session import Session

PATIENCE = 60  # seconds; whatever takes this long has failed


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    """The worker leaves one core to the page; with two it trains on one thread, as these tests do."""
    monkeypatch.setattr(sessions, "os", SimpleNamespace(cpu_count=lambda: 2))


@pytest.fixture
def tiny(tiny):
    """63 steps an epoch: many steps, and few records, which cost more."""
    return partial(tiny, batch_size=8)


@pytest.fixture
def session():
    """Returns a function that makes a Session; all of them are closed after the test, and leave no thread."""
    before, made = set(threading.enumerate()), []

    def make(experiment, **how):
        made.append(Session(experiment, "cpu", **how))
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert [t.name for t in set(threading.enumerate()) - before if t.name == "explorer-session"] == []


def plain(experiment):
    return ex.train(experiment, device="cpu", progress=False)


def same(run, other):
    """Two runs equal to the bit, twins included: records, events, histograms, masks and weights."""
    for name in ("history", "histograms", "events", "cutoffs"):
        assert getattr(run, name).equals(getattr(other, name)), name
    assert torch.equal(run.row, other.row)
    assert all(torch.equal(mask, other.masks[name]) for name, mask in run.masks.items())
    assert (run.experiment, run.status) == (other.experiment, other.status)
    assert (run.dense is None) == (other.dense is None)
    return run.dense is None or same(run.dense, other.dense)


def until(session, reached):
    """Waits for a condition on the trainer, asked between two steps; the asking is the waiting."""
    deadline = time.perf_counter() + PATIENCE
    while not session.call(reached).result(PATIENCE):
        assert time.perf_counter() < deadline, "never reached"


def hold(session, reached):
    """Pauses at the step at which a condition on the trainer is seen to be met."""

    def seen(trainer):
        met = reached(trainer)
        if met:
            session.pause()  # comes before the next step
        return met

    until(session, seen)
    session.call(id).result(PATIENCE)
    assert session.status == "paused", "the run ended before anyone looked"


def trained(steps):
    return lambda trainer: trainer.step >= steps


def pruned(trainer):
    return trainer.checkpoint is not None and trainer.step > trainer.checkpoint.step


def unpruned(trainer):
    return trainer.checkpoint is None


# -- start, stop, pause -------------------------------------------------------------------------------


def test_a_session_is_a_run_in_the_background(session, tiny):
    frames = []
    live = session(tiny(), on_frame=lambda _: frames.append(threading.current_thread().name))
    live.start()
    run = live.wait(PATIENCE)
    assert live.status == "done"
    same(run, plain(tiny()))
    assert set(frames) == {"explorer-session"}


def test_the_callers_thread_is_free_while_it_trains(session, tiny):
    live = session(tiny(epochs=100_000))
    started = time.perf_counter()
    live.start()
    assert time.perf_counter() - started < 0.1
    until(live, trained(20))
    assert live.status == "training"
    with pytest.raises(TimeoutError, match=r"training after 0.02 s; session.stop\(\) ends it"):
        live.wait(0.02)
    assert live.status == "training"  # waiting in vain leaves the run alone


def test_stop_ends_a_run_of_real_size_within_200_ms(session):
    live = session(ex.Experiment(epochs=1000, pruning=ex.Pruning(begin_epoch=0)))
    for steps in (0, 1, 230, 300):  # before, at and after a record, which judges 5,000 images
        live.start()
        until(live, trained(steps))
        assert live.status == "training"
        asked = time.perf_counter()
        live.stop()
        run = live.wait(PATIENCE)
        assert time.perf_counter() - asked < 0.2
        assert (run.status, live.status) == ("stopped", "stopped")
        assert steps <= run.summary["steps"] < 1000 * 860
        assert run.summary["test_accuracy"] is None


def test_a_stopped_run_holds_what_there_is(session, tiny):
    live = session(tiny(epochs=100_000))
    live.start()
    until(live, trained(40))
    live.stop()
    run = live.wait(PATIENCE)
    assert run.history["step"].to_list()[-1] <= run.summary["steps"]
    assert {0, 16, 32} <= set(run.history["step"])


def test_pause_and_resume_change_nothing(session, tiny):
    experiment = tiny(epochs=3)
    live = session(experiment)
    live.start()
    for steps in (3, 97, 150):  # before and after the prune event at 94
        hold(live, trained(steps))
        here = live.call(lambda trainer: trainer.step).result()
        with pytest.raises(TimeoutError, match="paused"):
            live.wait(0.02)
        assert live.call(lambda trainer: trainer.step).result() == here
        live.resume()
    same(live.wait(PATIENCE), plain(experiment))


def test_start_is_a_new_beginning(session, tiny):
    live = session(tiny())
    live.start()
    first = live.wait(PATIENCE)
    live.start()
    same(live.wait(PATIENCE), first)
    live.start(tiny(lr=0.02))
    same(live.wait(PATIENCE), plain(tiny(lr=0.02)))


def test_reset_is_an_untrained_network(session, tiny):
    live = session(tiny())
    live.start()
    live.wait(PATIENCE)
    live.reset(tiny(seed=3))
    run = live.wait(PATIENCE)
    assert (live.status, run.summary["steps"], live.experiment) == ("idle", 0, tiny(seed=3))
    assert torch.equal(run.row, Trainer([tiny(seed=3)], "cpu").state.theta[0])


def test_stop_and_pause_of_nothing_are_nothing(session, tiny):
    live = session(tiny())
    for order in (live.stop, live.pause, live.resume, live.stop):
        order()
    assert live.wait(PATIENCE).summary["steps"] == 0
    assert live.status == "idle"


# -- sliders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "event", "to"), [("lr", "lr", 0.02), ("clipping.max_norm", "max_norm", 0.3)]
)
def test_rates_act_from_the_next_step_and_are_events(session, tiny, name, event, to):
    live = session(tiny(epochs=3))
    live.start()
    live.pause()
    here = live.call(lambda trainer: trainer.step).result()
    live.set({name: to})
    live.resume()
    run = live.wait(PATIENCE)
    moves = run.events.filter(run.events["what"] == event)
    before = tiny().lr if name == "lr" else tiny().clipping.max_norm
    assert moves.rows() == [(here, event, before, to)]
    assert run.summary["steered"]
    assert run.dense.summary["steered"]  # the twin is told as well, or they would not be twins
    assert run.experiment == tiny(epochs=3).replace({name: to})
    assert not plain(tiny()).summary["steered"]


def test_a_smaller_clip_norm_in_mid_run_bounds_the_steps_that_follow(session, tiny):
    live = session(tiny(epochs=3, clipping={"max_norm": 1e6}))
    live.start()
    live.pause()
    here = live.call(lambda trainer: trainer.step).result()
    live.set({"clipping.max_norm": 0.01})
    live.resume()
    live.wait(PATIENCE)
    log = live.call(lambda trainer: trainer.flush()).result()
    bound = [step[3][0] for step in log]
    assert bound == [0.0] * here + [1.0] * (len(log) - here)
    assert max(step[2][0] for step in log[here:]) <= 0.01 * (1 + 1e-5)


def test_a_threshold_before_the_event_is_simply_used(session, tiny):
    live = session(tiny(epochs=3))
    live.start()
    hold(live, unpruned)
    live.set({"pruning.threshold": 0.6})
    live.resume()
    run = live.wait(PATIENCE)
    same(run, plain(tiny(epochs=3, pruning={"threshold": 0.6})))
    assert not run.summary["steered"]


@pytest.mark.parametrize("moment", ["after the event", "after the end"])
def test_a_threshold_after_the_event_goes_back_to_it(session, tiny, moment):
    experiment = tiny(epochs=4)
    live = session(experiment)
    live.start()
    hold(live, pruned) if moment == "after the event" else live.wait(PATIENCE)
    seen = []
    live.call(lambda trainer: seen.append(trainer.checkpoint.step)).result()
    live.set({"pruning.threshold": 0.5})
    run = live.wait(PATIENCE)
    same(run, plain(experiment.replace({"pruning.threshold": 0.5})))
    assert seen == [126]
    assert run.summary["sparsity"] == pytest.approx(0.5, abs=1e-5)


def test_the_training_before_the_event_is_not_done_again(session, tiny):
    live = session(tiny(epochs=4))
    live.start()
    live.wait(PATIENCE)
    before = live.call(lambda trainer: (id(trainer), trainer.seconds)).result()
    live.set({"pruning.threshold": 0.5})
    live.wait(PATIENCE)
    after = live.call(lambda trainer: (id(trainer), trainer.seconds)).result()
    assert after[0] == before[0]  # the same trainer went on
    assert after[1] > before[1]


def test_going_back_twice_equals_going_there_at_once(session, tiny):
    live = session(tiny(epochs=4))
    live.start()
    live.wait(PATIENCE)
    for threshold in (0.3, 0.99, 0.7):
        live.set({"pruning.threshold": threshold})
    same(live.wait(PATIENCE), plain(tiny(epochs=4, pruning={"threshold": 0.7})))


def test_a_threshold_while_pruning_at_every_step_is_a_move(session, tiny):
    pruning = {
        "schedule": "every-step",
        "unit": "score",
        "threshold": 0.005,
        "end_epoch": 3,
        "options": {"every": 8},
    }
    live = session(tiny(epochs=3, pruning=pruning))
    live.start()
    live.pause()
    live.call(lambda trainer: trainer.step).result()
    live.set({"pruning.threshold": 0.02})
    live.resume()
    run = live.wait(PATIENCE)
    assert [row[1:] for row in run.events.filter(run.events["what"] == "threshold").rows()] == [
        ("threshold", 0.005, 0.02)
    ]
    assert run.summary["sparsity"] > plain(tiny(epochs=3, pruning=pruning)).summary["sparsity"]


# -- other changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before the event", "after the event", "after the end"])
def test_another_criterion_supersedes(session, tiny, moment):
    experiment = tiny(epochs=4)
    live = session(experiment)
    live.start()
    reached = {"before the event": unpruned, "after the event": pruned}
    hold(live, reached[moment]) if moment in reached else live.wait(PATIENCE)
    live.set({"pruning.criterion": "random"})
    same(live.wait(PATIENCE), plain(experiment.replace({"pruning.criterion": "random"})))


def test_another_network_supersedes_a_run_at_once(session, tiny):
    live = session(tiny(epochs=100_000))
    live.start()
    until(live, trained(5))
    asked = time.perf_counter()
    live.set({"seed": 1, "epochs": 2})
    steps = live.call(lambda trainer: trainer.total).result(PATIENCE)
    assert time.perf_counter() - asked < 0.1
    assert steps == 2 * 63
    same(live.wait(PATIENCE), plain(tiny(seed=1, epochs=2)))


def test_another_model_begins_anew(session, tiny):
    live = session(tiny(epochs=100_000))
    live.start()
    until(live, trained(5))
    live.set({"model": "lenet-300-100", "epochs": 1})
    same(live.wait(PATIENCE), plain(tiny(model="lenet-300-100")))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pruning.threshold": 1.5}, "threshold = 1.5"),
        ({"clipping.max_norm": -1}, "max_norm = -1"),
        ({"pruning.criterium": "random"}, "did you mean 'criterion'"),
        ({"model": "lenet-300"}, "did you mean 'lenet-300-100'"),
    ],
)
def test_a_bad_change_is_refused_at_once_and_the_run_goes_on(session, tiny, changes, told):
    live = session(tiny(epochs=3))
    live.start()
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
    assert (live.points, {tuple(f.accuracy) for f in frames}) == ([], {()})
    assert frames[-1].preview == 0.5


# -- errors -------------------------------------------------------------------------------------------


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
    assert "clip norm" in frames[-1].advice


# -- previews -----------------------------------------------------------------------------------------


def test_of_many_previews_only_the_newest_is_tried_out(session, tiny):
    frames, gate = [], threading.Event()
    live = session(tiny(), on_frame=frames.append)
    live.prepare()
    live.call(lambda _: gate.wait(PATIENCE))  # the worker is busy while the slider moves
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5):
        live.preview(threshold)
    gate.set()
    live.wait(PATIENCE)
    tried = [frame for frame in frames if frame.preview is not None]
    assert [frame.preview for frame in tried] == [0.5]
    assert tried[0].sparsity == pytest.approx(0.5, abs=1e-5)
    assert live.experiment == tiny()  # trying is not setting


def test_previews_change_nothing_in_the_run(session, tiny):
    live = session(tiny(epochs=3))
    live.start()
    for steps, threshold in ((2, 0.3), (90, 0.99), (100, 0.1), (170, 0.7)):
        until(live, trained(steps))
        live.preview(threshold)
    same(live.wait(PATIENCE), plain(tiny(epochs=3)))


def test_after_the_event_a_preview_is_of_the_weights_before_it(session, tiny):
    frames = []
    live = session(tiny(epochs=4), on_frame=frames.append)
    live.start()
    live.wait(PATIENCE)
    live.preview(0.5)
    live.wait(PATIENCE)
    kept = frames[-1].view
    source = live.call(lambda trainer: trainer.checkpoint.state.theta[0].clone()).result()
    assert torch.equal(kept.row, source * kept.mask)
    assert (frames[-1].preview, frames[-1].status) == (0.5, "done")


# -- the end ------------------------------------------------------------------------------------------


def test_close_ends_the_thread_also_in_mid_run(session, tiny):
    before = set(threading.enumerate())
    live = session(tiny(epochs=100_000))
    live.start()
    until(live, trained(5))
    [worker] = [t for t in set(threading.enumerate()) - before if t.name == "explorer-session"]
    live.close()
    assert not worker.is_alive()
    live.close()  # twice is fine


def test_many_sessions_leave_no_threads(tiny):
    before = threading.active_count()
    for _ in range(8):
        live = Session(tiny(epochs=100_000), "cpu")
        live.start()
        live.preview(0.4)
        live.close()
    assert threading.active_count() == before
