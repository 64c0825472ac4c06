"""Each entry point of the compiled kernels refuses sizes that do not fit: an error, never a crash."""

import numpy as np
import pytest
import torch

from explorer.engine.execution import kernel_calls, numba_kernels
from explorer.engine.execution.kernel_layout import SgdNumbers
from explorer.engine.training.trainer import Trainer

STEPS = 3


@pytest.fixture
def calls(tiny):
    """Arguments that fit, by entry point and name; the size of a batch is 32, images are 500."""
    trainer = Trainer([tiny(pruning={"threshold": 0.5, "begin_epoch": 0}, momentum=0.9)], "cpu")
    for _ in trainer.run():
        if trainer.step:
            break
    trainer.executor.prepare()
    steps, row = trainer.executor.steps, trainer.state.theta[0].numpy().copy()
    shared = {"data": steps.data, "order": np.arange(96), "size": 32, "net": steps.net, "ws": steps.rooms[0]}
    packed, layers = steps.rows[0], steps.net.layers
    numbers = SgdNumbers(np.full(STEPS, 0.1), 0.9, 0.0, 1.0)
    return {
        "nonzero": {"pixels": np.ones((3, 4), np.uint8)},
        "reorder": {"row": row, "packed": packed.weights, "layers": layers, "back": False},
        "evaluate": {**shared, "weights": packed.weights, "answers": np.empty(96, np.int64)},
        "train": {**shared, "row": packed, "numbers": numbers, "log": np.zeros((STEPS, 4), np.float32)},
    }


def field(name, value):
    """Change a field of a named tuple by a function of it."""
    return lambda each: each._replace(**{name: value(getattr(each, name))})


def layer(name, change):
    """Change a field of the last layer."""

    def changed(layers):
        layers = layers.copy()
        layers[name][-1] += change
        return layers

    return changed


def cut(array):
    return array[:-1]


LAYERS = {name: layer(name, 16) for name in ("inputs", "units", "padded_units", "packed")}
IMAGES = {
    **{f"data.{name}": ("data", field(name, cut)) for name in ("starts", "columns", "values", "labels")},
    "data.background": ("data", field("background", cut)),
    "data.pixels": ("data", field("pixels", lambda n: n + 1)),
    "label too high": ("data", field("labels", lambda each: np.full_like(each, 10))),
    "label negative": ("data", field("labels", lambda each: np.full_like(each, -1))),
    "order too high": ("order", lambda each: each + 450),
    "order negative": ("order", lambda each: each - 1),
    "no batch": ("size", lambda _: 0),
    "a larger batch": ("size", lambda n: n + 1),
    "net.activations": ("net", field("activations", cut)),
    "net.outputs": ("net", field("layers", layer("outputs", 16))),
    **{f"net.{name}": ("net", field("layers", change)) for name, change in LAYERS.items()},
    **{f"ws.{name}": ("ws", field(name, cut)) for name in ("pixel_images", "pixel_values", "pixel_counts")},
    **{f"ws.{name}": ("ws", field(name, cut)) for name in ("transposed", "outputs", "output_grad", "blank")},
    **{f"ws.{name}": ("ws", field(name, cut)) for name in ("arange", "ones")},
}
WRONG = {
    "nonzero": {
        "one line": ("pixels", lambda each: each[0]),
        "floats": ("pixels", lambda each: each.astype(np.float32)),
        "too many": ("pixels", lambda _: np.ones((1, 2**16 + 1), np.uint8)),
    },
    "reorder": {
        "row": ("row", lambda each: each[:-1]),
        "packed row": ("packed", cut),
        "weight": ("layers", layer("weight", 10**6)),
        "bias": ("layers", layer("bias", -(10**6))),
        **{name: ("layers", change) for name, change in LAYERS.items()},
    },
    "evaluate": {"weights": ("weights", cut), "answers": ("answers", cut), **IMAGES},
    "train": {
        **{f"row.{name}": ("row", field(name, cut)) for name in ("weights", "grad", "velocity", "mask")},
        "log": ("log", lambda each: each[:, :3]),
        "steps without images": ("order", lambda each: each[:64]),
        "rates": ("numbers", field("lr", cut)),
        **IMAGES,
    },
}


def test_what_fits_runs(calls):
    for name, arguments in calls.items():
        getattr(kernel_calls, name)(**arguments)


@pytest.mark.parametrize(("name", "wrong"), [(n, w) for n, each in WRONG.items() for w in each])
def test_what_does_not_fit_is_an_error(calls, name, wrong):
    argument, change = WRONG[name][wrong]
    arguments = calls[name]
    arguments[argument] = change(arguments[argument])
    with pytest.raises(ValueError, match="sizes do not fit a compiled kernel: "):
        getattr(kernel_calls, name)(**arguments)


def test_every_argument_and_entry_point_is_among_them(calls):
    public = {name for name, each in vars(numba_kernels).items() if getattr(each, "py_func", None)}
    assert {name for name in public if not name.startswith("_")} == set(WRONG) == set(calls)
    for name, arguments in calls.items():
        assert {argument for argument, _ in WRONG[name].values()} == set(arguments) - {"back"}


def test_checks_change_no_number(tiny, monkeypatch):
    def row():
        trainer = Trainer([tiny()], "cpu")
        for _ in trainer.run():
            pass
        return trainer.state.theta

    checked = row()
    for name in WRONG:
        monkeypatch.setattr(kernel_calls, name, getattr(numba_kernels, name))
    assert torch.equal(checked, row())
