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
def stripes(scratch_registry):
    """A data set of a user's own: 300 images of 12 × 12 pixels and 3 classes, and a model for it.

    `stripes(**traits)` registers both and returns a list that grows as images are loaded;
    `stripes.experiment(**fields)` makes an Experiment.
    """
    import torch
    from torch import nn

    import explorer as ex
    from explorer.engine.data.datasets import Images

    def register(train=240, **traits):
        calls = []

        @scratch_registry.register("dataset", "stripes", **traits)
        def stripes():
            """A bright stripe in a dim picture, in one of three places."""
            calls.append(train)
            generator = torch.Generator().manual_seed(3)
            labels = torch.randint(3, (train + 60,), generator=generator)
            pixels = torch.randint(-90, 90, (train + 60, 1, 12, 12), generator=generator).clamp(min=0)
            for image, label in zip(pixels, labels, strict=True):
                image[0, 4 * int(label) : 4 * int(label) + 2] += 100
            images = Images(pixels.to(torch.uint8), labels, 0.2, 0.2)
            return images[:train], images[train:]

        @scratch_registry.register("model", "stripes-net")
        def net():
            """A convolution and a hidden layer, for 12 × 12 pixels and three classes."""
            parts = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 16), nn.ReLU()]
            return nn.Sequential(*parts, nn.Linear(16, 3))

        return calls

    def experiment(**fields):
        few = {"dataset": "stripes", "model": "stripes-net", "batch_size": 20, "validation": 40, "epochs": 1}
        return ex.Experiment(**(few | fields))

    register.experiment = experiment
    return register


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
