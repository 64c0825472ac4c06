"""A record that is told late is the record that it would have been: nothing later shows in it."""

import pytest
import torch
from chosen import some

from explorer.engine.training.recorder import HostCopy
from explorer.engine.training.train import runs_of
from explorer.engine.training.trainer import Trainer

STACKS = {
    "one event": [{}, {"pruning": None}],
    "many events": [{"pruning": {"schedule": "iterative", "begin_epoch": 0.2}}],
    "all the while": [{"pruning": {"schedule": "every-step"}}],
    "batch norm": [{"model": "normed", "pruning": {"schedule": "gradual", "begin_epoch": 0.1}}],
    "sparse": [{"clipping": {"rule": "top-k", "options": {"k": 0.1}}}],
    "no validation": [{"validation": 0}],
    "one diverges": [{"lr": 1e30, "clipping": None, "pruning": None}, {"clipping": None, "pruning": None}],
}


class Slow(HostCopy):
    """Numbers that are never there before somebody waits for them."""

    ready = False


class Late(Trainer):
    """As on a GPU where nobody looks in between."""

    records_async = True


def trained(stack, kind):
    trainer = kind(stack, "cpu", torch.float64, together=True)
    trainer.rewindable = False
    told = [(record, trainer.step) for record in trainer.run() if record is not None]
    return trainer, told


@pytest.mark.usefixtures("normed")
@pytest.mark.parametrize("fields", some(STACKS, "one event", "all the while", "one diverges"))
def test_late_records_are_the_same(tiny, monkeypatch, fields):
    stack = [tiny(epochs=2, **each) for each in fields]
    soon, records = trained(stack, Trainer)
    monkeypatch.setattr("explorer.engine.training.recorder.HostCopy", Slow)
    late, later = trained(stack, Late)
    assert all(at == record.step for record, at in records)
    assert any(at > record.step for record, at in later)
    if not any(lane.diverged for lane in soon.lanes):  # what diverged is noticed with the next record
        assert repr([record for record, _ in later]) == repr([record for record, _ in records])
    for a, b in zip(soon.lanes, late.lanes, strict=True):
        assert b.diverged == a.diverged
        assert repr(b.history) == repr(a.history)  # repr: nan is nan
        assert {n: t.tolist() for n, t in b.answers.items()} == {n: t.tolist() for n, t in a.answers.items()}
        assert late.view(b).row.equal(soon.view(a).row)


def test_who_stops_has_the_record_that_was_on_its_way(tiny, monkeypatch):
    monkeypatch.setattr("explorer.engine.training.recorder.HostCopy", Slow)
    trainer = Late([tiny(pruning=None)], "cpu", together=True)
    for _ in trainer.run():
        if trainer.step > 8:  # its record is not told yet
            break
    before = trainer.lanes[0].history.history[-1][0]
    (run,) = runs_of(trainer, "stopped")
    assert (before, run.history["step"].max()) == (4, 8)
    assert trainer.recorder.pending is None


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_a_parcel_has_what_was_sent_whatever_happens_then(device):
    sent = {"a": torch.arange(6.0, device=device).view(2, 3), "b": torch.tensor([True], device=device)}
    parcel = HostCopy({name: tensor.clone() for name, tensor in sent.items()})
    found = parcel.wait()
    assert parcel.ready
    assert all(found[n].device.type == "cpu" and found[n].equal(sent[n].cpu()) for n in sent)
