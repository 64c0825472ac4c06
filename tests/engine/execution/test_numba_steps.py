"""Machine code does what torch does, whatever is trained beside it and wherever its chunks are cut."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from chosen import some
from torch import nn

from explorer import registry
from explorer.engine.execution import kernel_loader, numba_kernels, numba_steps
from explorer.engine.execution.numba_steps import NumbaSteps
from explorer.engine.training.train import train
from explorer.engine.training.trainer import Trainer

FIELDS = {
    "the defaults": {},
    "no clip rule": {"clipping": None},
    "raw pixels": {"normalise": False},
    "quadratic": {"loss": "mse", "lr": 0.02},
    "momentum": {"momentum": 0.9, "lr": 0.02},
    "weight decay": {"weight_decay": 0.01},
    "both, falling": {"momentum": 0.9, "weight_decay": 0.01, "lr": 0.02, "lr_decay": "cosine"},
    "two hidden layers": {"model": "mlp-784-64-32-10"},
    "sigmoid": {"model": "deep-sigmoid"},
    "tanh": {"model": "tanh"},
    "a batch at a time": {"batch_size": 500},
    "single images": {"batch_size": 1},
    "gradual": {"pruning": {"threshold": 0.9, "schedule": "gradual"}},
    "every step": {"pruning": {"threshold": 0.02, "unit": "score", "schedule": "every-step"}},
    "regrown": {"pruning": {"threshold": 0.9, "schedule": "rigl", "options": {"every": 3}}},
    "rewound": {"pruning": {"threshold": 0.9, "schedule": "rewind"}},
    "units": {"pruning": {"threshold": 0.5, "granularity": "neuron"}},
}

FIRST = ("the defaults", "both, falling", "two hidden layers", "single images", "regrown", "units")


@pytest.fixture
def networks(scratch_registry):
    @scratch_registry.register("model", "tanh")
    def tanh():
        """Odd widths, and tanh.

        Reference: this test
        """
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 37), nn.Tanh(), nn.Linear(37, 21), nn.Tanh(), nn.Linear(21, 10)
        )


def finished(stack, *, allowed=True, until=None):
    trainer = Trainer(stack, "cpu")
    trainer.executor.in_chunks = allowed
    for _ in trainer.run():
        if until is not None and trainer.step >= until:
            break
    return trainer


def numbers(trainer):
    return [row[4] for lane in trainer.lanes for row in lane.history.history]


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize("fields", some(FIELDS, *FIRST))
def test_machine_code_trains_as_torch_does(tiny, fields):
    """To the rounding of float32: over few steps, as any difference grows from step to step."""
    experiment = tiny(**fields)
    if experiment.batch_size == 1:
        experiment = experiment.replace(lr=0.01)
    stack = [experiment, experiment.dense()]
    ours, torchs = (finished(stack, allowed=allowed, until=20) for allowed in (True, False))
    assert ours.executor.compiled
    assert not torchs.executor.compiled
    for mine, theirs in zip(ours.flush()[:8], torchs.flush()[:8], strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert a == pytest.approx(b, rel=2e-4, abs=1e-6)


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize("name", ["the defaults", "both, falling", "gradual", "regrown", "tanh"])
def test_the_end_is_the_same_where_nothing_is_chaotic(tiny, name):
    """A whole epoch: weights, masks and records."""
    experiment = tiny(**({"lr": 0.02} | FIELDS[name]))
    ours, torchs = (finished([experiment, experiment.dense()], allowed=allowed) for allowed in (True, False))
    torch.testing.assert_close(ours.state.theta, torchs.state.theta, rtol=1e-3, atol=2e-4)
    differ = (ours.state.mask != torchs.state.mask).float().mean()
    assert differ < 1e-4  # two weights may be as small as each other to the last digit
    assert ours.lanes[0].history.events == torchs.lanes[0].history.events
    assert numbers(ours) == pytest.approx(numbers(torchs), rel=2e-2, abs=2e-2)


def test_the_gradient_is_torchs(tiny):
    """The very gradient of a batch, entry by entry, through a mask."""
    trainer = finished([tiny(pruning={"threshold": 0.6, "begin_epoch": 0})], until=1)
    trainer.executor.prepare()
    machine, order = trainer.executor.steps, torch.arange(32)
    assert isinstance(machine, NumbaSteps)
    before = trainer.state.theta[0].clone()
    machine.run([order], trainer.step, 0, 1)
    module = trainer.network.layout.load(trainer.network.module, before)
    train_images = trainer.split.train
    loss = nn.functional.cross_entropy(
        module(train_images.inputs(True, torch.float32, order)), train_images.labels[order]
    )
    grads = torch.autograd.grad(loss, list(module.parameters()))
    expected = torch.cat([g.flatten() for g in grads]) * trainer.state.mask[0]
    torch.testing.assert_close(machine.gradient()[0], expected, rtol=1e-4, atol=1e-7)
    assert (machine.gradient()[0][trainer.state.mask[0] == 0] == 0).all()


def test_a_row_does_not_hang_on_its_neighbours_threads_or_chunks(tiny, monkeypatch):
    """To the bit."""
    experiment = tiny(pruning={"threshold": 0.8})
    alone = finished([experiment])
    others = [experiment.replace(lr=0.3), experiment.replace(momentum=0.9), experiment.dense()]
    beside = finished([experiment, *others])
    assert torch.equal(alone.state.theta[0], beside.state.theta[beside.lanes[0].row])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    threaded = finished([experiment, experiment.dense()])
    assert torch.equal(alone.state.theta[0], threaded.state.theta[threaded.lanes[0].row])
    assert numbers(threaded)[: len(numbers(alone))] == numbers(alone)
    monkeypatch.setattr(numba_steps, "FIRST", 1)
    monkeypatch.setattr(numba_steps, "MOST", 1)
    cut = finished([experiment])
    assert torch.equal(alone.state.theta, cut.state.theta)
    assert alone.flush() == cut.flush()


def test_what_diverges_stops_where_torch_stops_it(tiny):
    wild, calm = tiny(lr=1e6, clipping=None, pruning=None), tiny(lr=0.1, clipping=None, pruning=None)
    ours, torchs = (finished([wild, calm], allowed=allowed) for allowed in (True, False))
    assert ours.lanes[0].diverged == torchs.lanes[0].diverged
    assert "is not finite at step" in ours.lanes[0].diverged
    assert ours.view(ours.lanes[0]).row.isfinite().all()
    assert not ours.lanes[1].diverged
    for mine, theirs in zip(ours.flush(), torchs.flush(), strict=True):
        assert [np.isfinite(m[0]) for m in mine] == [np.isfinite(t[0]) for t in theirs]
    alone = finished([wild])
    assert alone.step == finished([wild], allowed=False).step  # nobody goes on


def test_lanes_with_and_without_a_clip_rule_are_one_stack(tiny):
    stack = [tiny(clipping=clipping, pruning=None) for clipping in ({"max_norm": 0.2}, None)]
    both = finished(stack)
    assert both.executor.compiled
    for lane, experiment in zip(both.lanes, stack, strict=True):
        assert torch.equal(both.view(lane).row, finished([experiment]).state.theta[0])
    assert not torch.equal(*both.state.theta)


def test_what_is_judged_is_what_torch_sees(tiny):
    trainer = finished([tiny(pruning={"threshold": 0.7}), tiny(seed=1, pruning=None)])
    images, answers = trainer.split.test, torch.empty(2, 200, dtype=torch.long)
    rows = trainer.state.theta
    trainer.executor.prepare()
    found = trainer.executor.steps.evaluate(rows, images, answers)
    trainer.executor.in_chunks, trainer.executor.steps = False, None
    expected = torch.empty_like(answers)
    for mine, theirs in zip(found, trainer.executor.evaluate(rows, images, expected).tolist(), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    assert torch.equal(answers, expected)


BEYOND = {
    "another optimizer": {"optimizer": "adam", "lr": 1e-3},
    "another rule": {"clipping": {"rule": "value", "max_norm": 0.01}},
    "l1": {"l1": 1e-4},
    "a convolution": {"model": "normed"},
    "one output": {"model": "binary-digit"},
    "movement": {"pruning": {"threshold": 0.5, "criterion": "movement"}},
    "splicing": {"pruning": {"threshold": 0.02, "unit": "score", "schedule": "splicing"}},
}


@pytest.mark.usefixtures("normed")
@pytest.mark.parametrize("fields", BEYOND.values(), ids=BEYOND)
def test_what_it_does_not_know_is_left_to_torch(tiny, fields):
    assert not numba_steps.supports_experiment(tiny(**fields))
    run = train(tiny(**fields), "cpu", progress=False)
    assert not run.summary["compiled"]


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_what_it_knows_is_told_beforehand(tiny, fields):
    assert numba_steps.supports_experiment(tiny(**fields))


def test_the_summary_says_so_and_a_variable_turns_it_off(tiny, monkeypatch):
    experiment = tiny()
    assert train(experiment, "cpu", progress=False).summary["compiled"]
    assert not train(experiment, "cpu", progress=False, dtype=torch.float64).summary["compiled"]
    monkeypatch.setenv(kernel_loader.SWITCH, "0")
    assert not train(experiment, "cpu", progress=False).summary["compiled"]


@pytest.fixture
def _python_handles_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # other tests leave their own
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_python_handles_ctrl_c")
def test_ctrl_c_waits_for_the_end_of_a_chunk(tiny, monkeypatch):
    original, at = NumbaSteps._train, []

    def interrupted(self, *arguments):
        done = original(self, *arguments)
        if not at:
            at.append(done)
            signal.raise_signal(signal.SIGINT)
        return done

    with monkeypatch.context() as patched:
        patched.setattr(NumbaSteps, "_train", interrupted)
        run = train(tiny(pruning={"threshold": 0.5, "begin_epoch": 0}), "cpu", progress=False)
    assert run.status == "stopped"
    assert run.summary["steps"] == run.dense.summary["steps"] == at[0] < 16
    monkeypatch.setattr(numba_steps, "FIRST", at[0])
    whole = finished([tiny(pruning={"threshold": 0.5, "begin_epoch": 0})], until=at[0])
    assert whole.step == at[0]
    assert torch.equal(run.row, whole.state.theta[0])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("setting", ["0", "1"])
def test_torch_takes_the_steps_where_numba_is_to_compile_nothing(setting):
    """A process of its own, as numba reads the variable when it is imported."""
    code = """
import explorer as ex
from explorer.engine.data.datasets import load
import torch
train, test = load("mnist", torch.device("cpu"))
ex.registry.register("dataset", "few")(lambda: (train[slice(200)], test[slice(50)]))
run = ex.train(ex.Experiment(dataset="few", validation=50, epochs=1), progress=False)
assert run.status == "done", run.status
print(run.summary["compiled"])
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": setting}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.returncode) == (str(setting == "0"), 0), run.stderr


def test_lit_pixels_are_where_they_are_and_nowhere_else():
    pixels = torch.tensor([[0, 7, 0, 255], [0, 0, 0, 0], [1, 2, 3, 4]], dtype=torch.uint8).view(3, 1, 2, 2)
    starts, columns, values = kernel_loader.kernels().nonzero(pixels.flatten(1).numpy())
    assert starts.tolist() == [0, 2, 2, 6]
    assert columns.tolist() == [1, 3, 0, 1, 2, 3]
    assert values.tolist() == [7, 255, 1, 2, 3, 4]


@pytest.mark.parametrize("width", [16, 48, 144, 272])
def test_rows_are_added_up_whatever_their_width(width):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(9, width)).astype(np.float32)
    index, value = rng.integers(0, 9, 12).astype(np.uint16), rng.normal(size=12).astype(np.float32)
    out = np.ones(width, np.float32)
    _add_rows(out, table, index, value)
    np.testing.assert_allclose(out, 1 + value[2:11] @ table[index[2:11]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 16), (8, 5, 16), (9, 3, 32), (19, 7, 48), (3, 11, 80)])
def test_products_are_numpys(m, k, n):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, k + 2)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    out, other = np.ones((m, n), np.float32), np.ones((m, n), np.float32)
    _multiply(out, a, b, False)
    np.testing.assert_allclose(out, 1 + a[:, :k] @ b, rtol=1e-5, atol=1e-5)
    transposed = np.zeros((k, m + 3), np.float32)
    transposed[:, :m] = a[:, :k].T
    _multiply(other, transposed, b, True)
    np.testing.assert_allclose(other, out, rtol=1e-5, atol=1e-5)


@numba_kernels.compiled
def _add_rows(out, table, index, value):
    numba_kernels.add_rows(out, table, index, value, 2, 11)


@numba_kernels.compiled
def _multiply(out, a, b, transpose):
    numba_kernels.multiply(out, a, b, transpose)


def test_every_activation_of_a_chain_is_known():
    from explorer.engine.network.forward_backward import ACTIVATIONS

    assert set(numba_steps.ACTIVATIONS) == {"", *ACTIVATIONS.values()}
    assert {registry.get("loss", name).function for name in registry.names("loss")} >= set(numba_steps.LOSSES)


@pytest.mark.slow  # it compiles everything
def test_where_nothing_can_be_written_it_is_compiled_for_this_process():
    code = """
from numba.core import caching
for name in ("InTreeCacheLocator", "InTreeCacheLocatorFsAgnostic", "UserWideCacheLocator"):
    locator = getattr(caching, name)
    locator.from_function = classmethod(lambda cls, function, file: None)
from explorer.engine.execution import kernel_loader
assert "pruning-explorer-" in kernel_loader.kernels().numba_kernels.nonzero.stats.cache_path
"""
    subprocess.run([sys.executable, "-c", code], check=True)
