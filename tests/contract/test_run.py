"""How a Run ends, and what it leaves: a model, a summary that is true, and advice where it went wrong."""

import pytest
import torch
from helpers import steps_of, values_of

import explorer as ex
from explorer.engine.data import datasets
from explorer.engine.execution.executor import StepExecutor
from explorer.engine.training.trainer import Trainer


def test_the_model_is_ordinary_and_reproduces_the_test_accuracy(trained):
    run = trained(threshold=0.5)
    model = run.model()
    assert type(model) is torch.nn.Sequential
    assert not model.training
    test = datasets.split("tiny", torch.device("cpu"), 100).test
    with torch.no_grad():
        right = model(datasets.normalised(test.pixels, True, torch.float32)).argmax(1) == test.labels
    assert run.summary["test_accuracy"] == int(right.sum()) / 200
    assert run.summary["test_accuracy"] > 0.5  # it has learned
    for name, mask in run.masks.items():
        assert torch.equal(model.get_parameter(name) != 0, mask)
    with torch.no_grad():
        model.fc1.weight.zero_()
    assert run.model().fc1.weight.any()  # a copy, not the run itself


def test_the_summary_has_what_the_contract_names(trained):
    run = trained(threshold=0.5)
    summary = run.summary
    assert summary["hash"] == run.experiment.hash
    assert summary["dense_test_accuracy"] == run.dense.summary["test_accuracy"]
    assert summary["stack"] == [run.experiment.hash, run.dense.experiment.hash]
    assert summary["threads"] == torch.get_num_threads()
    assert summary["device"] == "cpu"
    assert summary["versions"]["torch"] == torch.__version__
    assert (summary["test_images"], summary["validation_images"]) == (200, 100)
    assert summary["steered"] is False
    assert summary["seconds"] > 0
    assert summary["val_accuracy"] == values_of(run, "val_accuracy")[16]


@pytest.mark.parametrize(("unit", "threshold"), [("sparsity", 0.5), ("score", 0.02)])
def test_no_twin_unless_asked_for(tiny, unit, threshold):
    exp = tiny(pruning={"unit": unit, "threshold": threshold})
    run = ex.train(exp, progress=False, twin=False)
    assert run.dense is None
    assert run.summary["dense_test_accuracy"] is None


FATAL = {"lr": 1e6, "clipping": None}


@pytest.mark.parametrize(
    "fields",
    [
        FATAL,
        {**FATAL, "lr": 1e30},
        {**FATAL, "loss": "mse"},
        {**FATAL, "loss": "mse", "lr": 1e20, "momentum": 0.9},
        {**FATAL, "weight_decay": 1.0},
    ],
    ids=["sgd", "huge", "mse", "mse-momentum", "decay"],
)
@pytest.mark.parametrize("begin", [0, 0.5])
def test_a_run_that_diverges_stops_with_its_last_good_weights_and_advice(tiny, fields, begin):
    run = ex.train(tiny(pruning={"threshold": 0.5, "begin_epoch": begin}, epochs=2, **fields), progress=False)
    assert run.status == "diverged"
    assert run.row.isfinite().all()
    assert "at step " in run.summary["advice"]
    assert f"a learning rate below {fields['lr']:g}" in run.summary["advice"]
    assert "not finite either" not in run.summary["advice"]
    assert run.summary["steps"] < 32
    assert run.dense.status == "diverged"
    assert all(p.isfinite().all() for p in run.model().parameters())


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"lr": 9, "clipping": None, "loss": "mse"}, "try a clip norm of 1, or a learning rate below 9"),
        (
            {"weight_decay": 1e6},
            "try a weight decay below 10, as this one makes weights grow, or a learning rate below 0.1",
        ),
        ({"lr": 1e30, "optimizer": "adam", "clipping": None}, "try a learning rate below 1e+30"),
        (
            {"lr": 1e300},
            "try a learning rate below 1e+300. The weights are not finite either: begin anew",
        ),
    ],
)
@pytest.mark.usefixtures("single_steps")
def test_advice_is_what_could_help(tiny, fields, advice):
    run = ex.train(tiny(pruning=None, epochs=4, **fields), "cpu", progress=False)
    assert run.status == "diverged"
    assert run.summary["advice"].partition("): ")[2] == advice
    assert bool(run.row.isfinite().all()) == ("not finite either" not in advice)


@pytest.mark.parametrize("begin", [1 / 16, 2 / 16, 3 / 16])
def test_divergence_is_never_an_exception_whenever_the_event_falls(tiny, begin):
    """The scoring set may be the first to meet a loss that is not finite."""
    pruning = {"criterion": "gradient", "threshold": 0.5, "begin_epoch": begin}
    run = ex.train(tiny(pruning=pruning, lr=1e15, clipping=None, loss="mse"), progress=False)
    assert run.status == "diverged"
    assert run.row.isfinite().all()


def test_a_lane_that_diverges_leaves_its_neighbours_alone(tiny):
    good, bad = tiny(pruning=None), tiny(pruning=None, lr=1e20, clipping={"max_norm": 1e20})
    trainer = Trainer([good, bad], "cpu", torch.float32)
    for _ in trainer.run():
        pass
    alone = ex.train(good, progress=False)
    assert trainer.lanes[1].diverged
    assert not trainer.lanes[0].diverged
    torch.testing.assert_close(trainer.view(trainer.lanes[0]).row, alone.row, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("single_steps")
@pytest.mark.parametrize("at", [0, 3, 8, 15])
def test_ctrl_c_returns_what_there_is(tiny, monkeypatch, at):
    original = StepExecutor.advance

    def interrupted(self, step, stop, *, keep_gradient):
        if step == at:
            raise KeyboardInterrupt
        return original(self, step, stop, keep_gradient=keep_gradient)

    monkeypatch.setattr(StepExecutor, "advance", interrupted)
    run = ex.train(tiny(pruning={"threshold": 0.5}), progress=False)
    assert run.status == "stopped"
    assert run.summary["steps"] == at
    assert steps_of(run, "lr") == [s for s in (0, 4, 8, 12) if s <= at]
    assert run.summary["test_accuracy"] is None
    assert run.summary["sparsity"] == (0.5 if at >= 8 else 0)
    assert run.model()(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_devices_are_checked():
    with pytest.raises(ValueError, match="device = 'gpu' is not known"):
        ex.train(ex.Experiment(), device="gpu", progress=False)


def test_the_progress_bar_counts_every_step(tiny, capsys):
    ex.train(tiny(pruning={"threshold": 0.5}), progress=True)
    shown = capsys.readouterr().err
    assert "mlp-784-128-10: 100%" in shown
    assert "epoch 1.00, accuracy " in shown
    assert "sparsity 50.0%" in shown
