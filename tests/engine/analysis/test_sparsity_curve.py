"""What if: each point of the curve is what trying its threshold out would have said."""

import pytest
import torch
from chosen import some

from explorer import registry
from explorer.engine.analysis import sparsity_curve
from explorer.engine.training.trainer import Trainer

STEPS = 12  # of 16: one run is looked at before its prune event, one after it
WAYS = {
    "magnitude": {},
    "uniform": {"allocation": "uniform"},
    "erk": {"allocation": "erk", "criterion": "taylor"},
    "shares": {"allocation": "shares", "options": {"shares": (0.2, 0.8)}},
    "neurons": {"granularity": "neuron"},
    "activity": {"granularity": "neuron", "criterion": "activity"},
    "inputs": {"granularity": "input"},
    "blocks": {"granularity": "n:m"},
    "random": {"criterion": "random"},
    "movement, a score": {"criterion": "movement", "unit": "score", "threshold": 0.0},
    "a score": {"unit": "score", "threshold": 0.02},
    "deviations": {"unit": "std", "threshold": 1.0},
    "means, neurons": {"unit": "mean", "threshold": 1.0, "granularity": "neuron"},
    "splicing": {"schedule": "splicing", "end_epoch": 0.5},
    "every step": {"schedule": "every-step", "unit": "std", "threshold": 0.2, "end_epoch": 0.7},
    "gradual": {"schedule": "gradual", "end_epoch": 0.6},
}

FIRST = list(WAYS)[::3]


def trained(exp, steps=STEPS):
    trainer = Trainer([exp], "cpu", torch.float64)
    for _ in trainer.run():
        if trainer.step == steps:
            break
    return trainer


def few(trainer, count=7):
    return sparsity_curve.CurveResolution(sparsity_curve.shares(count), len(trainer.observer.validation[1]))


def curve_of(trainer, exp, resolution=None):
    """All points of a curve, from the densest to the sparsest."""
    return [p for p in sparsity_curve.evaluate_curve(trainer, exp, resolution) if p is not None][::-1]


def tried_out(trainer, exp, threshold):
    """What dragging the slider there says."""
    view, step = trainer.prune_base()
    if registry.get("granularity", exp.pruning.granularity).traits.threshold:
        decision = trainer.pruner.decide(view, exp, step, threshold=threshold)  # no slider there
        view = decision.apply_to(view)
    else:
        view, _ = trainer.preview(exp.replace({"pruning.threshold": threshold}))
    return trainer.observer.sparsity(view), trainer.observer.evaluate(view)


@pytest.mark.parametrize(
    "begin",
    some({"after the event": 0.5, "before the event": 1}, "after the event"),
)
@pytest.mark.parametrize("pruning", some(WAYS, *FIRST))
def test_each_point_is_what_trying_it_out_says(tiny, pruning, begin):
    begin = min(begin, pruning.get("end_epoch", 1) / 2) if "end_epoch" in pruning else begin
    exp = tiny(lr=0.3, pruning={"threshold": 0.9, "begin_epoch": begin, **pruning})
    trainer = trained(exp)
    before = trainer.state.theta.clone()
    curve = curve_of(trainer, exp, few(trainer))
    assert exp.pruning.threshold in [point.threshold for point in curve]
    for point in curve:
        sparsity, judged = tried_out(trainer, exp, point.threshold)
        assert point.sparsity == sparsity
        assert point.accuracy == judged["val_accuracy"]
        assert point.loss == pytest.approx(judged["val_loss"], rel=1e-10)
    assert torch.equal(trainer.state.theta, before)


@pytest.mark.usefixtures("normed")
@pytest.mark.parametrize(
    "model",
    [
        "lenet-5",
        "normed",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("deep-sigmoid", "binary-digit")),
    ],
)
def test_other_networks(tiny, model):
    exp = tiny(model=model, batch_size=128, pruning={"threshold": 0.5, "begin_epoch": 1})
    trainer = trained(exp, 1)
    for point in curve_of(trainer, exp, few(trainer, 3)):
        sparsity, judged = tried_out(trainer, exp, point.threshold)
        assert (point.sparsity, point.accuracy) == (sparsity, judged["val_accuracy"])


def test_whole_layers_become_the_identity(tiny):
    options = {"depth": 3, "width": 8}
    exp = tiny(
        model="deep-sigmoid", model_options=options, pruning={"granularity": "layer", "threshold": 0.5}
    )
    trainer = trained(exp)
    for point in curve_of(trainer, exp, few(trainer)):
        sparsity, judged = tried_out(trainer, exp, point.threshold)
        assert (point.sparsity, point.accuracy) == (sparsity, judged["val_accuracy"])


@pytest.mark.slow
def test_rounds_take_one_path(tiny):
    """Its stations prune as much as a run would, and nearly the same; the first round is a run's own."""
    exp = tiny(lr=0.3, pruning={"criterion": "synflow", "threshold": 0.75})
    trainer = trained(exp)
    curve = curve_of(trainer, exp, few(trainer, 16))
    for point in curve:
        sparsity, judged = tried_out(trainer, exp, point.threshold)
        assert point.sparsity == pytest.approx(sparsity, abs=1e-12)
        if sparsity < 0.9:
            assert point.accuracy == pytest.approx(judged["val_accuracy"], abs=0.1)
    assert curve[0].sparsity == 0


def test_it_runs_from_all_to_a_256th_and_training_may_go_on_between_points(tiny):
    exp = tiny(pruning={"begin_epoch": 1})
    trainer = trained(exp)
    expected = curve_of(trainer, exp)
    steps, found = trainer.run(), []
    for point in sparsity_curve.evaluate_curve(trainer, exp):
        found += [] if point is None else [point]
        if trainer.step < 15:
            next(steps)
    assert found[::-1] == expected
    assert len(expected) == sparsity_curve.POINTS + 1
    assert (expected[0].sparsity, expected[0].compression) == (0, 1)
    assert expected[-1].compression == pytest.approx(256, rel=1e-3)
    kept = [1 - share for share in sparsity_curve.shares(9)]
    assert kept == pytest.approx([2.0**-i for i in range(9)])


def test_without_validation_images_there_is_nothing_to_judge_by(tiny):
    exp = tiny(validation=0)
    assert curve_of(trained(exp), exp) == []


def test_a_costly_network_gets_fewer_points_and_images(tiny):
    conv, chain = (trained(tiny(model=model), 0) for model in ("lenet-5", "mlp-784-128-10"))
    assert (
        len(sparsity_curve.default_resolution(conv).shares)
        == sparsity_curve.FEW_POINTS
        < len(sparsity_curve.default_resolution(chain).shares)
    )
