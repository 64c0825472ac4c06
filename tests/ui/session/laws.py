"""How session tests wait, and what they hold a session to."""

import threading
import time

import torch
from hands import PATIENCE

import explorer as ex


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


def hold(session, go, reached):
    """Lets it go, and pauses before the first step at which a condition on the trainer is met.

    The worker itself looks, before each step: however busy the machine is, no step comes in between.
    """
    thread, held = session._thread, threading.Event()
    advance = thread.work

    def look():
        if not reached(session._worker.trainer):
            return advance()
        thread.work = advance
        session.pause()  # comes before the next step
        held.set()
        return True

    thread.work = look
    go()
    assert held.wait(PATIENCE), "never reached"
    session.call(id).result(PATIENCE)
    assert session.status == "paused"


def blocked(session):
    """Keeps the worker busy; returns a function that frees it and says whether it was held until then."""
    gate = threading.Event()
    held = session.call(lambda _: gate.wait(PATIENCE))

    def free():
        gate.set()
        return held.result(PATIENCE)

    return free


def left(before):
    """The sessions' threads that have come since and do not end, though they are given time."""
    new = [t for t in set(threading.enumerate()) - set(before) if t.name == "explorer-session"]
    for thread in new:
        thread.join(PATIENCE)
    return [t for t in new if t.is_alive()]


def trained(steps):
    return lambda trainer: trainer.step >= steps


def pruned(trainer):
    return trainer.checkpoint is not None and trainer.step > trainer.checkpoint.step


def unpruned(trainer):
    return trainer.checkpoint is None
