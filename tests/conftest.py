"""Shared by all tests: one thread for torch, and a data set small enough to train on in a blink."""

from collections import OrderedDict
from functools import partial

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whole files to a process, and all stories of the page to one: they share a server and a kernel.

    The stories and the notebooks come first, as nothing takes longer; then the files with the most tests.
    """
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "browser" if nodeid.startswith("tests/browser/") else super()._split_scope(nodeid)

        def _assign_work_unit(self, node):
            long = (unit for unit in self.workqueue if unit == "browser" or unit.startswith("notebooks/"))
            if first := next(long, None):
                self.workqueue.move_to_end(first, last=False)
            super()._assign_work_unit(node)

    return Files(config, log)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Two cores are shared with a browser and a kernel; threads that spin cost more than they bring."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def scratch_registry(monkeypatch):
    """A registry of this test's own: what the test registers is gone afterwards."""
    from explorer import registry

    methods = {axis: {m.name: m for m in registry.methods(axis)} for axis in registry.HOMES}
    monkeypatch.setattr(registry, "_METHODS", methods)
    return registry


@pytest.fixture
def tiny(scratch_registry):
    """Experiments on 500 training, 100 validation and 200 test images: 16 steps an epoch, the last of 20."""
    import torch

    import explorer as ex
    from explorer.engine.data import datasets

    @scratch_registry.register("dataset", "tiny")
    def few():
        """The first images of MNIST."""
        train, test = datasets.load("mnist", torch.device("cpu"))
        return train[slice(600)], test[slice(200)]

    def make(**fields):
        small = {"dataset": "tiny", "batch_size": 32, "validation": 100, "epochs": 1}
        return ex.Experiment(**(small | fields))

    return make


@pytest.fixture
def normed(tiny, scratch_registry):
    """Experiments of a network as `small-cnn` is, batch normalisation included, on images of 7 × 7 pixels."""
    from torch import nn

    @scratch_registry.register("model", "normed")
    def normed():
        """Two convolutions with batch normalisation and one linear layer, of few pixels.

        Reference: none
        """
        parts = [
            ("shrink", nn.AvgPool2d(4)),
            *(("conv1", nn.Conv2d(1, 8, 3, bias=False)), ("bn1", nn.BatchNorm2d(8)), ("relu1", nn.ReLU())),
            *(("conv2", nn.Conv2d(8, 16, 3, bias=False)), ("bn2", nn.BatchNorm2d(16)), ("relu2", nn.ReLU())),
            *(("flatten", nn.Flatten()), ("fc", nn.Linear(144, 10))),
        ]
        return nn.Sequential(OrderedDict(parts))

    return partial(tiny, model="normed")


@pytest.fixture
def single_steps(monkeypatch):
    """Chunks of one step, for stories that stop at a certain one."""
    from explorer.engine.execution import numba_steps

    monkeypatch.setattr(numba_steps, "FIRST", 1)
    monkeypatch.setattr(numba_steps, "MOST", 1)
