"""What each validation image was answered is kept with every record, and costs no look of its own."""

import pytest
import torch

from explorer.engine.data import datasets
from explorer.engine.network import forward_backward
from explorer.engine.training.train import run_of, with_twin
from explorer.engine.training.trainer import Trainer


def trained(experiment, *, rewindable=True):
    trainer = Trainer(with_twin(experiment, twin=True), "cpu")
    trainer.rewindable = rewindable
    for _ in trainer.run():
        pass
    return trainer


def plain(trainer, run):
    """The answers of a run's own module, image by image, without the engine."""
    x = datasets.normalised(trainer.split.validation.pixels, True, torch.float32)
    with torch.no_grad():
        return run.model()(x)


@pytest.mark.parametrize("model", ["mlp-784-128-10", "small-cnn"])
def test_the_last_record_has_what_the_networks_answer(tiny, model):
    trainer = trained(tiny(model=model))
    run = run_of(trainer, "done")
    for lane, each in zip(trainer.lanes, (run, run.dense), strict=True):
        assert lane.answers[trainer.total].tolist() == plain(trainer, each).argmax(1).tolist()


def test_one_output_is_answered_by_its_sign(tiny):
    trainer = trained(tiny(model="binary-digit", model_options={"digit": 3}))
    found = plain(trainer, run_of(trainer, "done")).squeeze(1) > 0
    assert trainer.lanes[0].answers[trainer.total].bool().equal(found)


def test_every_record_has_answers_that_give_its_accuracy(tiny):
    trainer = trained(tiny(epochs=2))
    truth = trainer.split.validation.labels
    for lane in trainer.lanes:
        recorded = {row[0]: row[4] for row in lane.history.history if row[2] == "val_accuracy"}
        told = {step: float((found == truth).float().mean()) for step, found in lane.answers.items()}
        assert told == pytest.approx(recorded)


def test_a_run_that_cannot_go_back_keeps_the_last_ones_alone(tiny):
    trainer = trained(tiny(), rewindable=False)
    assert [list(lane.answers) for lane in trainer.lanes] == [[trainer.total]] * 2


def test_a_snapshot_does_not_know_what_was_answered_later(tiny):
    trainer = Trainer(with_twin(tiny(), twin=True), "cpu")
    points = [trainer.snapshot() for record in trainer.run() if record is not None]
    steps = sorted(trainer.record_steps)
    assert [list(point.lanes[0].answers) for point in points] == [steps[: i + 1] for i in range(len(steps))]
    trainer.return_to(points[1])
    assert list(trainer.lanes[0].answers) == steps[:2]


def test_without_validation_images_there_are_none(tiny):
    trainer = trained(tiny(validation=0))
    assert all(not len(found) for found in trainer.lanes[0].answers.values())


def test_how_many_images_go_at_once_does_not_matter(tiny, monkeypatch):
    trainer = trained(tiny(model="small-cnn"))
    view = trainer.view(trainer.lanes[0])
    found = []
    for size in (100, 7):
        monkeypatch.setattr(forward_backward, "CPU_IMAGES", size)
        into = trainer.observer.empty_answers()
        found.append((trainer.observer.evaluate(view, into), into))
    assert found[0][0] == pytest.approx(found[1][0])
    assert found[0][1].equal(found[1][1])
