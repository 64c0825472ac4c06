"""Batch norm's statistics: each lane has its own, and they are right after pruning."""

import pytest
import torch
from chosen import some
from torch import nn
from torch.nn import functional as F  # noqa: N812  the field's own name for it

import explorer as ex
from explorer.engine.data import datasets
from explorer.engine.data.random import generator, shuffled_indices
from explorer.engine.network import batch_norm, models
from explorer.engine.training.trainer import Trainer

STATISTICS = ("bn1.running_mean", "bn1.running_var", "bn2.running_mean", "bn2.running_var")


def finish(trainer):
    for _ in trainer.run():
        pass
    return trainer


def test_training_is_torchs_own_buffers_included(tiny):
    exp = tiny(model="small-cnn", pruning=None, momentum=0.9, clipping=None)
    trainer = finish(Trainer([exp], "cpu", torch.float64))
    module = models.initialised(exp, generator(exp.seed, 0)).double().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    parts = datasets.split("tiny", torch.device("cpu"), 100)
    order = shuffled_indices(len(parts.train), exp.seed, 0)
    for x, y in datasets.batches(
        parts.train, order, exp.batch_size, normalise=exp.normalise, dtype=torch.float64
    ):
        optimizer.zero_grad()
        F.cross_entropy(module(x), y).backward()
        optimizer.step()
    row = torch.cat([p.detach().flatten() for p in module.parameters()])
    torch.testing.assert_close(trainer.state.theta[0], row, rtol=1e-9, atol=1e-11)
    for name, buffer in module.named_buffers():
        torch.testing.assert_close(trainer.state.buffers[name][0], buffer, rtol=1e-9, atol=1e-11)
    assert int(trainer.state.buffers["bn1.num_batches_tracked"][0]) == 16


def test_models_without_buffers_keep_none(tiny):
    trainer = finish(Trainer([tiny()], "cpu"))
    assert trainer.state.buffers == {}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.7), nn.Dropout(0.9), nn.Flatten())


@pytest.mark.parametrize("chunk", [1000, 7])
def test_calibrated_statistics_are_those_of_the_whole_set(chunk, monkeypatch):
    monkeypatch.setattr(batch_norm, "CHUNK", chunk)
    module = net().double()
    x = torch.randn(28, 1, 6, 6, dtype=torch.float64)
    buffers = {n: b + 5 for n, b in module.named_buffers()}
    before = {n: b.clone() for n, b in buffers.items()}
    fresh = batch_norm.recalibrated(module.eval(), dict(module.named_parameters()), buffers, x)
    with torch.no_grad():
        maps = module[0](x)
    torch.testing.assert_close(fresh["1.running_mean"], maps.mean((0, 2, 3)), rtol=1e-12, atol=1e-14)
    parts = [part.var((0, 2, 3)) for part in maps.split(chunk)]
    torch.testing.assert_close(fresh["1.running_var"], torch.stack(parts).mean(0), rtol=1e-12, atol=0)
    assert int(fresh["1.num_batches_tracked"]) == 5
    assert all(torch.equal(b, before[n]) for n, b in buffers.items())
    assert (module[1].momentum, module[1].training) == (0.7, False)


def test_after_pruning_the_statistics_are_those_of_the_pruned_weights(normed):
    exp = normed(pruning={"threshold": 0.6, "begin_epoch": 0.5})
    trainer = Trainer([exp, exp.dense()], "cpu", torch.float64)
    steps = trainer.run()
    while not trainer.lanes[0].history.events:
        next(steps)
    pruned, dense = (trainer.view(lane) for lane in trainer.lanes)
    x = trainer.split.train.inputs(True, torch.float64)
    parameters = trainer.network.layout.views(pruned.row[None])
    expected = batch_norm.recalibrated(trainer.network.module, parameters, pruned.buffers, x)
    for name in STATISTICS:
        torch.testing.assert_close(pruned.buffers[name], expected[name], rtol=1e-12, atol=1e-14)
        assert not torch.allclose(pruned.buffers[name], dense.buffers[name])
    recorded = [r[4] for r in trainer.lanes[0].history.history if r[0] == 8 and r[2] == "val_accuracy"]
    assert recorded == [trainer.observer.evaluate(pruned)["val_accuracy"]]


def test_before_the_first_step_the_set_itself_is_the_batch_and_nothing_is_kept(normed):
    exp = normed(pruning={"criterion": "gradient", "threshold": 0.5, "begin_epoch": 0})
    trainer = Trainer([exp], "cpu", torch.float64)
    view = trainer.state.view(0)
    scene = trainer.pruner.scoring_context(view, exp, 0)
    taken = batch_norm.recalibrated(trainer.network.module, scene.parameters, view.buffers, scene.x)
    assert all(torch.equal(scene.buffers[n], taken[n]) for n in STATISTICS)
    next(trainer.run())
    assert trainer.lanes[0].history.events
    assert float(trainer.state.buffers["bn1.running_mean"].abs().max()) == 0
    assert set(trainer.state.buffers["bn1.running_var"].flatten().tolist()) == {1.0}


def test_a_preview_says_what_the_event_will_record(normed):
    exp = normed(pruning={"threshold": 0.7, "begin_epoch": 0.5})
    trainer = Trainer([exp], "cpu", torch.float64)
    steps = trainer.run()
    while trainer.step < 8:
        next(steps)
    promised = trainer.observer.evaluate(trainer.preview(exp)[0])
    next(steps)
    assert trainer.observer.evaluate(trainer.view(trainer.lanes[0])) == pytest.approx(promised, rel=1e-12)


def test_going_back_takes_the_statistics_along(normed):
    exp = normed(pruning={"threshold": 0.7, "begin_epoch": 0.5})
    trainer = finish(Trainer([exp, exp.dense()], "cpu", torch.float64))
    trainer.rewind_and_prune(exp.replace({"pruning.threshold": 0.3}))
    fresh = exp.replace({"pruning.threshold": 0.3})
    expected = finish(Trainer([fresh, fresh.dense()], "cpu", torch.float64))
    finish(trainer)
    torch.testing.assert_close(trainer.state.theta, expected.state.theta, rtol=0, atol=1e-12)
    for name, buffer in expected.state.buffers.items():
        torch.testing.assert_close(trainer.state.buffers[name], buffer, rtol=0, atol=1e-12)


@pytest.mark.parametrize("fields", [{"lr": 1e30, "clipping": None}, {"lr": 1e6, "clipping": None}])
def test_a_network_with_statistics_that_diverges_keeps_good_ones(normed, fields):
    run = ex.train(normed(pruning=None, loss="mse", **fields), progress=False)
    assert run.status == "diverged"
    model = run.model()
    assert all(p.isfinite().all() for p in model.parameters())


CRITERIA = ["gradient", "class-gradient", "fisher", "synflow", "grasp", "activity"]
CASES = {f"{name} at {begin}": (name, begin) for begin in (0, 0.5) for name in CRITERIA}


EACH_ONCE = [f"{name} at {(0, 0.5)[i % 2]}" for i, name in enumerate(CRITERIA)]


@pytest.mark.parametrize("case", some(CASES, *EACH_ONCE))
def test_criteria_score_a_network_with_statistics(normed, case, monkeypatch):
    from explorer.engine.pruning import pruner

    criterion, begin = case
    monkeypatch.setattr(pruner, "SCORING_IMAGES", 60)
    granularity = "filter" if criterion == "activity" else "weight"
    pruning = {"criterion": criterion, "begin_epoch": begin, "threshold": 0.5, "granularity": granularity}
    run = ex.train(normed(pruning=pruning), progress=False, twin=False)
    assert run.status == "done"
    if granularity == "weight":
        assert run.summary["sparsity"] == pytest.approx(0.5, abs=1e-4)


def test_class_gradients_add_up_with_statistics_before_the_first_step(normed):
    from explorer.engine.pruning import score_inputs

    exp = normed(pruning=None)
    trainer = Trainer([exp], "cpu", torch.float64)
    scene = trainer.pruner.scoring_context(trainer.state.view(0), exp, 0)
    whole, parts = score_inputs.grad(scene), score_inputs.class_grads(scene)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name].sum(0), gradient, rtol=1e-9, atol=1e-14)
