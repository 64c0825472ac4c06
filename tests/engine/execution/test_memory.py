"""What a run held is free as soon as nobody holds the run: no cycle waits for the garbage collector."""

import gc

import pytest
import torch

from explorer.engine.training.train import with_twin
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.session import Session


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def live_tensors():
    return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())


def start(experiment, steps=20):
    trainer = Trainer(with_twin(experiment, twin=True), "cpu")
    for _, _ in zip(range(steps), trainer.run(), strict=False):
        pass


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_twenty_restarts_leave_no_tensors(tiny, optimizer):
    experiment = tiny(optimizer=optimizer)
    start(experiment)
    before = live_tensors()
    for seed in range(20):
        start(experiment.replace({"seed": seed}))
    assert live_tensors() <= before


def test_runs_share_their_prepared_images(tiny):
    one, other = (Trainer([tiny(seed=seed)], "cpu").setup for seed in (1, 2))
    assert one.inputs(one.split.validation)[0] is other.inputs(other.split.validation)[0]
    plain = Trainer([tiny(normalise=False)], "cpu").setup
    assert plain.inputs(plain.split.validation)[0] is not one.inputs(one.split.validation)[0]


@pytest.mark.usefixtures("no_collector")
def test_twenty_restarts_of_a_session_leave_no_tensors(tiny):
    session = Session(tiny(epochs=1000), "cpu")

    def restart():
        session.start()
        while session.call(lambda trainer: trainer.step).result() < 20:
            pass

    try:
        restart()
        session.stop()
        before = session.call(lambda _: live_tensors()).result()
        for _ in range(20):
            restart()
        session.stop()
        after = session.call(lambda _: live_tensors()).result()
    finally:
        session.close()
    assert after <= before + 10, "snapshots and predictions of one run"
