"""How session tests wait, and what they hold a session to."""

import time

import torch

import explorer as ex

PATIENCE = 60  # seconds; whatever takes this long has failed


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
