"""On a GPU no step and no record makes the host wait, and all tensors are on one device.

Tensors without values stand in for those of a GPU: torch refuses to mix them with others, and to tell a
number of them. What a GPU would compute is not seen here.
"""

from dataclasses import replace

import pytest
import torch
from chosen import some
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from explorer import registry
from explorer.engine.data.datasets import Images, Split
from explorer.engine.execution.cuda_graphs import CudaGraphSteps
from explorer.engine.training.trainer import Trainer

GPU = torch.device("cuda")
FEEDBACK = {"error_feedback": True}
FIELDS = (
    {
        "the defaults": {},
        "every term": {"momentum": 0.9, "weight_decay": 1e-3, "l1": 1e-5, "lr_decay": "cosine"},
        "adam": {"optimizer": "adam", "lr": 1e-3},
        "a chain of rules": {"clipping": {"rule": ("autoclip", "agc", "top-k"), "options": FEEDBACK}},
        "batch norm": {"model": "normed"},
        "quadratic": {"loss": "mse"},
        "a rate": {"clipping": {"rule": "threshold", "options": {"rate": 1.0, **FEEDBACK}}},
    }
    | {f"model {name}": {"model": name} for name in registry.names("model") if name != "binary-digit"}
    | {f"rule {name}": {"clipping": {"rule": name}} for name in registry.names("rule")}
)


def there(tensor):
    """A tensor as this one on a GPU, without values."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=GPU)


def moved(images):
    return Images(there(images.pixels), there(images.labels), images.mean, images.std)


@pytest.fixture
def gpu(monkeypatch):
    """Moves a trainer to a GPU that is not there; what its records send is kept in a list."""
    parcels = []
    monkeypatch.setattr("explorer.engine.training.recorder.HostCopy", parcels.append)
    monkeypatch.setattr(CudaGraphSteps, "_capture", lambda _: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    # autograd's own threads need a real GPU
    monkeypatch.setattr(
        torch.autograd, "grad", lambda _out, leaves, *_, **__: [*map(torch.zeros_like, leaves)]
    )

    def move(trainer, *, pruned):
        trainer.device, trainer.rewindable = GPU, False
        split = Split(*map(moved, (trainer.split.train, trainer.split.validation, trainer.split.test)))
        trainer.setup = trainer.executor.setup = replace(trainer.setup, device=GPU, split=split)
        trainer.executor.in_chunks = not trainer.network.stochastic
        trainer.observer.validation = trainer.setup.inputs(split.validation)
        trainer.observer.edges = {name: edges.tolist() for name, edges in trainer.observer.edges.items()}
        state = trainer.state.map(there)
        state.diverged = None
        if pruned:
            state.mask, state.pruned_values = there(state.theta), there(state.theta)
            state.pruned = frozenset(range(len(state.theta)))
        trainer._load(state)
        return parcels

    return move


@pytest.mark.usefixtures("normed")
@pytest.mark.parametrize("fields", some(FIELDS, "the defaults", "adam", "a chain of rules", "batch norm"))
@pytest.mark.parametrize("pruned", some({"pruned": True, "dense": False}, "pruned"))
def test_steps_and_records_do_not_wait_for_the_host(tiny, gpu, fields, pruned):
    stack = [tiny(pruning=None, seed=seed, **fields) for seed in (0, 1)]
    trainer = Trainer([*stack, stack[0].replace(clipping=None)], "cpu", together=True)
    with FakeTensorMode():
        parcels = gpu(trainer, pruned=pruned)
        assert trainer.records_async
        trainer._take(trainer.executor.advance(0, 3, keep_gradient=False))  # as a program
        trainer.steer({"lr": 0.05})
        trainer.executor.in_chunks = False
        trainer._advance()  # and one by one
        assert trainer.timetable.is_recorded(trainer.step, trainer.lanes)
        trainer.recorder.request(trainer.step, trainer.lanes, trainer.executor, trainer.gradient)
    (sent,) = parcels
    assert {"answers", "measures", "counts", "losses", "diverged", "log"} == set(sent)
    assert {tensor.device.type for tensor in sent.values()} == {"cuda"}
    assert sent["log"].shape[::2] == (4, 3)  # steps and lanes
    assert sent["measures"].shape == (3, len(trainer.network.layout.layers), 3)


def test_who_asks_a_number_of_the_gpu_would_be_found(tiny, gpu):
    trainer = Trainer([tiny(pruning=None)], "cpu", together=True)
    with FakeTensorMode():
        gpu(trainer, pruned=True)
        with pytest.raises(DataDependentOutputException):
            trainer.sparsity(trainer.lanes[0])
        with pytest.raises(RuntimeError, match="same device"):
            trainer.state.theta + torch.ones(1, 1)
