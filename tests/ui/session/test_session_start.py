"""The laws of a Session: it trains in the background, and leaves what a plain run leaves."""

import threading

import pytest
import torch
from hands import ENDLESS, PATIENCE
from laws import blocked, hold, left, plain, same, trained, until

import explorer as ex
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.session import Session

# -- start, stop, pause ----------------------------------------------------------------------------------


def test_a_session_is_a_run_in_the_background(session, tiny):
    frames = []
    live = session(tiny(), on_frame=lambda _: frames.append(threading.current_thread().name))
    live.start()
    run = live.wait(PATIENCE)
    assert live.status == "done"
    same(run, plain(tiny()))
    assert set(frames) == {"explorer-session"}


def test_the_callers_thread_is_free_while_it_trains(session, tiny):
    live = session(tiny(epochs=ENDLESS))
    free = blocked(live)
    for order in (live.prepare, live.reset, live.start, live.pause, live.resume, live.refresh):
        order()
    live.set({"lr": 0.2})
    live.preview(0.5)
    assert free(), "nobody waited for the worker"
    until(live, trained(20))
    assert live.status == "training"
    with pytest.raises(TimeoutError, match=r"training after 0.02 s; session.stop\(\) ends it"):
        live.wait(0.02)
    assert live.status == "training"  # waiting in vain leaves the run alone


def test_stop_ends_a_run_of_real_size_after_few_steps(session):
    live = session(ex.Experiment(epochs=1000, pruning=ex.Pruning(begin_epoch=0)))
    for steps in (1, 230):  # before and after a record, which judges 5,000 images
        live.start()
        until(live, trained(steps))
        assert live.status == "training"
        live.stop()
        asked = live.call(lambda trainer: trainer.step).result(PATIENCE)  # what it does next is to stop
        run = live.wait(PATIENCE)
        assert run.summary["steps"] == asked, "no step comes after the word to stop"
        assert (run.status, live.status) == ("stopped", "stopped")
        assert steps <= run.summary["steps"] < 1000 * 860
        assert run.summary["test_accuracy"] is None


def test_a_stopped_run_holds_what_there_is(session, tiny):
    live = session(tiny(epochs=ENDLESS))
    live.start()
    until(live, trained(40))
    live.stop()
    run = live.wait(PATIENCE)
    assert run.history["step"].to_list()[-1] <= run.summary["steps"]
    assert {0, 16, 32} <= set(run.history["step"])


@pytest.mark.usefixtures("single_steps")
def test_pause_and_resume_change_nothing(session, tiny):
    experiment = tiny(epochs=3)
    live, go = session(experiment), None
    for steps in (3, 97, 150):  # before and after the prune event at 94
        hold(live, go or live.start, trained(steps))
        go = live.resume
        with pytest.raises(TimeoutError, match="paused"):
            live.wait(0.02)
        assert live.call(lambda trainer: trainer.step).result(PATIENCE) == steps
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


# -- the end ---------------------------------------------------------------------------------------------


def test_close_ends_the_thread_also_in_mid_run(session, tiny):
    before = set(threading.enumerate())
    live = session(tiny(epochs=ENDLESS))
    live.start()
    until(live, trained(5))
    [worker] = [t for t in set(threading.enumerate()) - before if t.name == "explorer-session"]
    live.close()
    worker.join(PATIENCE)
    assert not worker.is_alive()
    live.close()  # twice is fine


def test_who_waits_is_told_that_the_session_is_closed(session, tiny):
    live, told = session(tiny(epochs=ENDLESS)), []

    def wait():
        with pytest.raises(RuntimeError, match="the session is closed"):
            live.wait(PATIENCE)
        told.append(True)

    live.start()
    until(live, trained(5))
    waiting = threading.Thread(target=wait)
    waiting.start()
    live.close()
    waiting.join(PATIENCE / 4)
    assert told


def test_many_sessions_leave_no_threads(tiny):
    before = set(threading.enumerate())
    for _ in range(8):
        live = Session(tiny(epochs=ENDLESS), "cpu")
        live.start()
        live.preview(0.4)
        live.close()
    assert left(before) == []


def test_a_look_at_a_closed_session_does_not_wake_it(session, tiny):
    live = session(tiny())
    live.prepare()
    live.call(id).result(PATIENCE)
    live.close()
    before = set(threading.enumerate())
    live.refresh()
    assert set(threading.enumerate()) <= before


def test_a_closed_session_begins_no_thread(session, tiny):
    live = session(tiny())
    live.start()
    live.wait(PATIENCE)
    before = threading.active_count()
    live.close()
    with pytest.raises(RuntimeError, match="the session is closed; make a new one"):
        live.set({"seed": 1})
    assert threading.active_count() < before
