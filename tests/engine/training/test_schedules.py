"""Schedules: their plans worked by hand, and what the engine makes of them."""

import math
from itertools import pairwise

import pytest
import torch

import explorer as ex
from explorer import registry
from explorer.engine.training.trainer import Trainer


def plan(name, begin, end, unit="sparsity", threshold=0.9, **options):
    return registry.get("schedule", name)(begin, end, unit, threshold, **options)


def through(exp, look):
    """What `look` says of the first lane after each step."""
    trainer = Trainer([exp], "cpu")
    found = {}
    for item in trainer.run():
        if item is None:
            found[trainer.step] = look(trainer)
    return found


def mask_of(trainer):
    return trainer.state.mask[0].clone() if trainer.state.mask is not None else None


def test_iterative_takes_the_same_share_of_what_is_left():
    events = plan("iterative", 0, 100, threshold=0.875, rounds=3)
    assert [e.step for e in events] == [33, 67, 100]
    assert [e.threshold for e in events] == pytest.approx([0.5, 0.75, 0.875])


def test_a_cut_off_grows_evenly_over_the_rounds():
    assert [e.threshold for e in plan("iterative", 0, 90, "score", 0.3, rounds=3)] == pytest.approx(
        [0.1, 0.2, 0.3]
    )


def test_gradual_follows_the_cube_and_ends_on_the_threshold():
    events = plan("gradual", 100, 300, threshold=0.8, every=100)
    assert [(e.step, e.threshold) for e in events] == [(200, pytest.approx(0.8 * 7 / 8)), (300, 0.8)]


def test_rigl_drops_less_and_less_and_set_always_the_same():
    drops = [e.drop for e in plan("rigl", 0, 400, every=100, drop=0.3)]
    assert drops == pytest.approx([0, *(0.15 * (1 + math.cos(math.pi * t)) for t in (0.25, 0.5, 0.75))])
    assert [e.drop for e in plan("set", 0, 300, every=100, drop=0.2)] == [0, 0.2, 0.2]


@pytest.mark.parametrize("span", [(0.001, 0.002), (0.99, 1.0)])
@pytest.mark.parametrize("name", [m.name for m in registry.methods("schedule") if m.traits.spans])
def test_a_span_shorter_than_a_step_still_prunes(tiny, name, span):
    begin, end = span
    exp = tiny(pruning={"schedule": name, "begin_epoch": begin, "end_epoch": end})
    run = ex.train(exp, progress=False, twin=False)
    assert run.summary["sparsity"] == pytest.approx(0.9, abs=1e-4)


def test_iterative_only_shrinks_and_meets_the_threshold(tiny):
    exp = tiny(epochs=2, pruning={"schedule": "iterative", "threshold": 0.875, "options": {"rounds": 3}})
    run = ex.train(exp, progress=False, twin=False)
    n = sum(m.numel() for m in run.masks.values())
    counts = [round(n * share) for share in (0.5, 0.75, 0.875)]
    assert [round(n * to) for to in run.events["to"]] == counts
    masks = list(through(exp, mask_of).values())
    kept = [m for m in masks if m is not None]
    assert all((later <= earlier).all() for earlier, later in pairwise(kept))


def test_iterative_ends_where_accuracy_fell_too_far(tiny):
    options = {"rounds": 4, "tolerance": 0.0}
    pruning = {"schedule": "iterative", "threshold": 0.999, "criterion": "random", "options": options}
    run = ex.train(tiny(epochs=4, lr=0.05, pruning=pruning), progress=False, twin=False)
    stops = run.events.filter(what="tolerance")
    assert stops.height == 1
    assert stops["to"][0] < stops["from"][0]
    assert run.summary["sparsity"] < 0.999
    assert run.events["step"].max() == stops["step"][0], "nothing is pruned afterwards"


def test_a_tolerance_needs_validation_images(tiny):
    with pytest.raises(ValueError, match="validation = 0"):
        tiny(validation=0, pruning={"schedule": "iterative", "options": {"tolerance": 0.01}})


def test_rewinding_puts_the_kept_weights_back_and_forgets_momentum(tiny):
    pruning = {"schedule": "rewind", "threshold": 0.75, "options": {"rounds": 2}}
    trainer = Trainer([tiny(momentum=0.9, pruning=pruning)], "cpu")
    initial = trainer.state.theta[0].clone()
    first = min(trainer.lanes[0].plan)
    for item in trainer.run():
        if item is not None and trainer.step == first:
            state = trainer.state
            assert torch.equal(state.theta[0], initial * state.mask[0])
            assert not state.memory["velocity"].any()
            assert trainer.sparsity(trainer.lanes[0]) == 0.5
            return
    pytest.fail("no record at the first event")


@pytest.mark.parametrize("optimizer", registry.names("optimizer"))
def test_after_a_rewind_the_optimizer_starts_anew(tiny, optimizer):
    pruning = {"schedule": "rewind", "threshold": 0.75, "options": {"rounds": 2}}
    momentum = 0.9 if optimizer == "sgd" else 0
    trainer = Trainer([tiny(optimizer=optimizer, momentum=momentum, pruning=pruning)], "cpu")
    first = min(trainer.lanes[0].plan)
    for item in trainer.run():
        if item is not None and trainer.step == first:
            memory = trainer.state.memory
            assert memory
            assert not any(each[0].any() for each in memory.values())
            return
    pytest.fail("no record at the first event")


def test_rewinding_to_an_early_epoch_takes_the_weights_of_then(tiny):
    options = {"rounds": 1, "rewind_epoch": 0.25}
    trainer = Trainer([tiny(pruning={"schedule": "rewind", "threshold": 0.5, "options": options})], "cpu")
    event, early = min(trainer.lanes[0].plan), round(0.25 * trainer.per_epoch)
    then = None
    for item in trainer.run():
        if item is None and trainer.step == early:
            then = trainer.state.theta[0].clone()
        if item is not None and trainer.step == event:
            assert torch.equal(trainer.state.theta[0], then * trainer.state.mask[0])
            return
    pytest.fail("no record at the event")


@pytest.mark.parametrize("schedule", ["rigl", "set"])
def test_regrowth_keeps_each_layers_sparsity_and_moves_weights(tiny, schedule):
    pruning = {"schedule": schedule, "criterion": "random", "threshold": 0.8, "options": {"every": 3}}
    exp = tiny(momentum=0.9, pruning=pruning)
    layers = Trainer([exp], "cpu").network.layout.layers
    masks = list(through(exp, mask_of).values())
    for layer in layers:
        kept = [int(layer.weight.of(m).sum()) for m in masks]
        assert len(set(kept)) == 1
    assert not torch.equal(masks[0], masks[-1])
    revived = (masks[0] == 0) & (masks[-1] > 0)
    assert revived.any()


def test_regrown_weights_start_at_zero_without_momentum(tiny):
    pruning = {"schedule": "rigl", "threshold": 0.8, "options": {"every": 4}}
    trainer = Trainer([tiny(momentum=0.9, pruning=pruning)], "cpu")
    before = None
    for item in trainer.run():
        if item is not None and trainer.step == 4:
            grown = (trainer.state.mask[0] > 0) & (before == 0)
            assert grown.any()
            assert not trainer.state.theta[0][grown].any()
            assert not trainer.state.memory["velocity"][0][grown].any()
            return
        before = mask_of(trainer)
    pytest.fail("no record at the event")


def test_rigl_grows_where_the_dense_gradient_is_largest(tiny):
    exp = tiny(pruning={"schedule": "rigl", "threshold": 0.8, "options": {"every": 4, "drop": 0.5}})
    trainer = Trainer([exp], "cpu")
    steps = trainer.run()
    while trainer.step < 4:
        next(steps)
    view = trainer.view(trainer.lanes[0])
    event = trainer.lanes[0].plan[4]
    keep, grown = trainer.pruner.regrowth(view, exp, 4, event)
    layer = trainer.network.layout.layers[0]
    images = trainer.pruner.scoring_context(view, exp, 4)
    row = view.row.clone().requires_grad_()
    logits = torch.func.functional_call(
        trainer.network.module, trainer.network.layout.views(row[None]), (images.x,)
    )
    torch.nn.functional.cross_entropy(logits, images.labels).backward()
    columns = slice(layer.weight.start, layer.weight.stop)
    pull = row.grad[columns].abs()
    assert pull[grown[columns]].min() >= pull[~grown[columns] & ~keep[columns]].max() - 1e-7


def test_spliced_weights_learn_unseen_and_come_back(tiny):
    pruning = {"schedule": "splicing", "threshold": 0.8, "end_epoch": 1.0, "options": {"every": 1}}
    exp = tiny(lr=0.5, pruning=pruning)
    run = ex.train(exp, progress=False, twin=False)
    assert run.histograms.filter(axis="weight")["revived"].sum() > 0
    assert run.summary["sparsity"] == pytest.approx(0.8, abs=1e-5)
    state = run.model().state_dict()
    assert all((state[name][~mask] == 0).all() for name, mask in run.masks.items())
    masks = list(through(exp, mask_of).values())
    assert ((masks[0] == 0) & (masks[-1] > 0)).any()


def test_the_forward_pass_of_a_spliced_run_sees_only_kept_weights(tiny):
    exp = tiny(pruning={"schedule": "splicing", "threshold": 0.8, "options": {"every": 5}})
    trainer = Trainer([exp], "cpu", torch.float64)
    steps = trainer.run()
    while trainer.step < 3:
        next(steps)
    state = trainer.state
    assert state.theta[0][state.mask[0] == 0].any(), "shadow weights stay"
    assert torch.equal(trainer.view(trainer.lanes[0]).row, state.theta[0] * state.mask[0])
    next(steps)
    assert trainer.executor.stepper.grad[0][state.mask[0] == 0].any(), "and go on learning"


@pytest.mark.parametrize("unit", ["std", "mean"])
def test_every_step_takes_its_statistics_once(tiny, unit):
    pruning = {"schedule": "every-step", "unit": unit, "threshold": 0.3, "end_epoch": 1.0}
    exp = tiny(pruning=pruning)
    cutoffs = through(exp, lambda trainer: trainer.lanes[0].decision.cutoffs)
    assert len({tuple(c) for c in cutoffs.values()}) == 1


@pytest.mark.parametrize("name", registry.names("schedule"))
def test_every_schedule_ends_at_the_threshold_beside_an_untouched_twin(tiny, name):
    exp = tiny(pruning={"schedule": name, "threshold": 0.6})
    run = ex.train(exp, progress=False)
    assert run.status == "done"
    assert run.summary["sparsity"] == pytest.approx(0.6, abs=1e-4)
    dense = ex.train(exp.dense(), progress=False)
    torch.testing.assert_close(run.dense.row, dense.row, rtol=1e-5, atol=1e-6)
