"""Laws of training that hold whatever the numbers: zeros stay, lanes do not meet, pauses change nothing."""

import pytest
import torch
from chosen import some
from torch import nn

import explorer as ex
from explorer.engine.training.train import run_of, train
from explorer.engine.training.trainer import Trainer

TRAININGS = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "adam": {"optimizer": "adam", "lr": 1e-3},
    "decay": {"momentum": 0.9, "weight_decay": 1e-2},
    "l1": {"momentum": 0.9, "l1": 1e-3},
    "adam-decay-l1": {"optimizer": "adam", "lr": 1e-3, "weight_decay": 1e-2, "l1": 1e-3},
    "value-clip": {"momentum": 0.9, "clipping": {"rule": "value", "max_norm": 1e-3}},
}


def finish(trainer):
    for _ in trainer.run():
        pass
    return trainer


def frames(lane_or_run):
    records = getattr(lane_or_run, "records", None) or lane_or_run.history
    return records.history, records.histograms, records.events, records.cutoffs


@pytest.mark.usefixtures("single_steps")
@pytest.mark.parametrize("fields", TRAININGS.values(), ids=TRAININGS)
def test_pruned_weights_are_exactly_zero_at_every_step(tiny, fields):
    granularity = "neuron" if "weight_decay" in fields else "weight"
    pruning = {"threshold": 0.7, "begin_epoch": 0.5, "granularity": granularity}
    trainer = Trainer([tiny(pruning=pruning, **fields)], "cpu")
    layout, checked = trainer.network.layout, 0
    for _ in trainer.run():
        decision = trainer.lanes[0].decision
        if decision is not None:
            fallen = trainer.state.theta[0][~decision.keep]
            assert len(fallen)
            assert not fallen.any()
            checked += 1
    assert checked > trainer.per_epoch / 2
    kept = trainer.state.theta[0][decision.keep]
    assert float((kept != 0).float().mean()) > 0.99  # zeros are not everywhere
    assert layout.width == len(decision.keep)


@pytest.mark.parametrize("schedule", ["one-shot", "every-step"])
def test_the_same_experiment_gives_the_same_history_to_the_bit(tiny, schedule):
    exp = tiny(momentum=0.9, pruning={"schedule": schedule, "threshold": 0.6, "criterion": "gradient"})
    torch.manual_seed(1)
    one = ex.train(exp, progress=False)
    torch.manual_seed(2)
    two = ex.train(exp, progress=False)
    for a, b in ((one, two), (one.dense, two.dense)):
        assert torch.equal(a.row, b.row)
        assert frames(a) == frames(b)
        for frame in ("history", "histograms", "events", "cutoffs"):
            assert getattr(a, frame).equals(getattr(b, frame))


def test_another_seed_gives_other_weights_and_another_order(tiny):
    one, two = (Trainer([tiny(seed=seed, pruning=None)], "cpu") for seed in (0, 1))
    assert not torch.equal(one.state.theta, two.state.theta)
    assert not torch.equal(one.executor.orders(0)[0], two.executor.orders(0)[1])


def test_initial_values_have_torchs_default_distribution(tiny):
    """Uniform between ±1/√fan-in, weights and biases alike: its deviation is that bound over √3."""
    trainer = Trainer([tiny(pruning=None)], "cpu", torch.float64)
    fan_in = {"fc1.weight": 784, "fc1.bias": 784, "fc2.weight": 128, "fc2.bias": 128}
    for name, slot in trainer.network.layout.slices.items():
        values, bound = slot.of(trainer.state.theta[0]), fan_in[name] ** -0.5
        assert values.abs().max() <= bound
        rough = 0.02 if name.endswith("weight") else 0.4  # there are only ten biases in the last layer
        assert float(values.std()) == pytest.approx(bound / 3**0.5, rel=rough)


def test_training_leaves_torchs_own_random_numbers_alone(tiny):
    state = torch.get_rng_state()
    ex.train(tiny(pruning={"criterion": "random"}), progress=False)
    assert torch.equal(torch.get_rng_state(), state)


def by_key(run):
    return {row[:4]: row[4] for row in run.records.history}


@pytest.mark.parametrize(
    "fields", [{}, {"momentum": 0.9, "weight_decay": 1e-2}, {"optimizer": "adam", "lr": 1e-3}]
)
def test_a_lane_of_a_stack_equals_the_single_run(tiny, fields):
    exp = tiny(pruning={"threshold": 0.8, "begin_epoch": 0.3}, epochs=2, **fields)
    with_twin = train(exp, progress=False, dtype=torch.float64)
    alone = train(exp, progress=False, dtype=torch.float64, twin=False)
    torch.testing.assert_close(with_twin.row, alone.row, rtol=0, atol=1e-12)
    assert torch.equal(with_twin.keep, alone.keep)
    a, b = by_key(with_twin), by_key(alone)
    assert a.keys() == b.keys()
    assert list(a.values()) == pytest.approx(list(b.values()), abs=1e-9)


def test_the_twin_equals_a_dense_training(tiny):
    exp = tiny(momentum=0.9, pruning={"threshold": 0.9, "begin_epoch": 0.5}, epochs=2)
    twin = train(exp, progress=False, dtype=torch.float64).dense
    dense = train(exp.dense(), progress=False, dtype=torch.float64)
    assert twin.experiment == dense.experiment
    torch.testing.assert_close(twin.row, dense.row, rtol=0, atol=1e-12)
    a, b = by_key(twin), by_key(dense)
    assert a.keys() == b.keys()
    assert list(a.values()) == pytest.approx(list(b.values()), abs=1e-9)
    assert dense.dense is None


@pytest.mark.parametrize("fields", some({"plain": {}, "momentum": {"momentum": 0.9}}, "momentum"))
def test_lanes_with_different_pruning_do_not_disturb_each_other(tiny, fields):
    prunings = [
        {"threshold": 0.5, "begin_epoch": 0.25},
        {"threshold": 0.9, "begin_epoch": 0.75, "criterion": "gradient"},
        {"threshold": 0.02, "unit": "score", "schedule": "every-step"},
        {"threshold": 0.3, "begin_epoch": 0.25, "granularity": "neuron", "criterion": "activity"},
        None,
    ]
    stack = [tiny(pruning=p, **fields) for p in prunings]
    together = finish(Trainer(stack, "cpu", torch.float64))
    for lane, exp in zip(together.lanes, stack, strict=True):
        single = finish(Trainer([exp], "cpu", torch.float64))
        torch.testing.assert_close(together.view(lane).row, single.state.theta[0], rtol=0, atol=1e-12)
        assert together.sparsity(lane) == pytest.approx(single.sparsity(single.lanes[0]), abs=1e-15)
        assert [e[0] for e in lane.history.events] == [e[0] for e in single.lanes[0].history.events]


def test_lanes_with_differentseeds_and_rates_train_apart(tiny):
    stack = [
        tiny(pruning=None),
        tiny(pruning=None, seed=0, lr=0.01),
        tiny(pruning=None, clipping={"max_norm": 0.1}),
    ]
    together = finish(Trainer(stack, "cpu", torch.float64))
    for lane, exp in zip(together.lanes, stack, strict=True):
        single = finish(Trainer([exp], "cpu", torch.float64))
        torch.testing.assert_close(together.view(lane).row, single.state.theta[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        {"batch_size": 16},
        {"epochs": 2},
        {"model": "lenet-300-100"},
        {"optimizer": "adam"},
        {"normalise": False},
    ],
    ids=lambda o: next(iter(o)),
)
def test_lanes_that_cannot_share_a_stack_are_refused_not_mistrained(tiny, other):
    """One model and one clock serve the whole stack."""
    with pytest.raises(ValueError, match=next(iter(other))):
        Trainer([tiny(), tiny(**other)], "cpu")


def test_pruned_and_dense_are_identical_before_the_event(tiny):
    trainer = Trainer([e := tiny(pruning={"begin_epoch": 0.5}), e.dense()], "cpu")
    pruned, dense = trainer.lanes
    for _ in trainer.run():
        same = torch.equal(trainer.view(pruned).row, trainer.view(dense).row)
        assert same == (trainer.step < 8 or not pruned.history.events)
    before = [r for r in pruned.history.history if r[0] < 8]
    assert before == [r for r in dense.history.history if r[0] < 8]
    assert len({r[0] for r in before}) == 2


@pytest.mark.parametrize("sizes", [(1,), (9,), (3, 7, 2)])
def test_pausing_changes_nothing(tiny, sizes):
    exp = tiny(momentum=0.9, pruning={"criterion": "random", "threshold": 0.5})
    straight = finish(Trainer([exp, exp.dense()], "cpu"))
    paused = Trainer([exp, exp.dense()], "cpu")
    steps, i = paused.run(), 0
    while not paused.done:
        for _ in range(sizes[i % len(sizes)]):
            next(steps, None)
        i += 1
        torch.rand(13)  # whatever else happens in the kernel meanwhile
        torch.manual_seed(i)
    assert torch.equal(straight.state.theta, paused.state.theta)
    for a, b in zip(straight.lanes, paused.lanes, strict=True):
        assert frames(a) == frames(b)


def test_a_new_iterator_goes_on_where_the_old_one_stopped(tiny):
    exp = tiny(pruning={"threshold": 0.5, "begin_epoch": 0.75})
    straight = finish(Trainer([exp], "cpu"))
    broken = Trainer([exp], "cpu")
    for _ in broken.run():
        if broken.step == 6:
            break
    finish(broken)
    assert torch.equal(straight.state.theta, broken.state.theta)
    assert frames(straight.lanes[0]) == frames(broken.lanes[0])


def test_run_of_leaves_the_trainer_free_to_go_on(tiny):
    trainer = Trainer([tiny()], "cpu")
    steps = trainer.run()
    for _ in range(6):
        next(steps)
    early = run_of(trainer, "stopped")
    rows, row = len(early.records.history), early.row.clone()
    for _ in steps:
        pass
    assert len(early.records.history) == rows
    assert torch.equal(early.row, row)
    assert early.summary["test_accuracy"] is None


TOGETHER = {
    "chain": {"momentum": 0.9, "weight_decay": 1e-3, "l1": 1e-5},
    "adam": {"optimizer": "adam", "lr": 1e-3, "lr_decay": "cosine"},
    "batch norm": {"model": "normed"},
    "value clipping": {"clipping": {"rule": ("value", "norm"), "max_norm": 0.05}},
    "error feedback": {"clipping": {"rule": "top-k", "options": {"k": 0.1, "error_feedback": True}}},
    "splicing": {"pruning": {"schedule": "splicing", "threshold": 0.6, "options": {"every": 4}}},
}


def test_a_last_batch_of_one_image_trains_rows_together_as_any_other(tiny):
    stack = [tiny(pruning=None, batch_size=499), tiny(pruning=None, batch_size=499, lr=0.05)]
    one, two = (finish(Trainer(stack, "cpu", torch.float64, together=both)) for both in (True, False))
    torch.testing.assert_close(one.state.theta, two.state.theta, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("normed")
@pytest.mark.parametrize("fields", some(TOGETHER, "chain", "batch norm", "error feedback"))
def test_rows_together_equal_rows_alone(tiny, fields):
    """The way of a GPU, all rows in one product, on a CPU in float64; seeds differ, and so do batches."""
    stack = [tiny(**fields), tiny(**fields, seed=1), tiny(**{**fields, "pruning": None})]
    alone, together = (
        finish(Trainer(stack, "cpu", torch.float64, together=together)) for together in (False, True)
    )
    for one, two in zip(alone.lanes, together.lanes, strict=True):
        torch.testing.assert_close(together.view(two).row, alone.view(one).row, rtol=1e-7, atol=1e-9)
        for a, b in zip(frames(one)[0], frames(two)[0], strict=True):
            assert a[:4] == b[:4]
            assert a[4] == pytest.approx(b[4], rel=1e-6, abs=1e-8)


def test_together_a_row_whose_mask_changes_is_masked_anew_beside_one_whose_weights_come_back(tiny):
    splicing, iterative = (tiny(pruning={"schedule": name}) for name in ("splicing", "iterative"))
    stack = [splicing, iterative.replace(seed=1)]
    trainers = [finish(Trainer(stack, "cpu", torch.float64, together=both)) for both in (True, False)]
    one, two = (trainer.view(trainer.lanes[1]).row for trainer in trainers)
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)
    assert not one[~trainers[0].lanes[1].decision.keep].any()


def test_together_a_row_that_diverges_is_frozen_and_leaves_its_neighbours_alone(tiny):
    wild, calm = tiny(lr=1e30, clipping=None, pruning=None), tiny(lr=0.1, clipping=None, pruning=None)
    trainer = finish(Trainer([wild, calm], "cpu", together=True))
    alone = finish(Trainer([calm], "cpu"))
    assert "is not finite at step" in trainer.lanes[0].diverged
    assert trainer.view(trainer.lanes[0]).row.isfinite().all()
    assert not trainer.lanes[1].diverged
    torch.testing.assert_close(trainer.view(trainer.lanes[1]).row, alone.state.theta[0], rtol=1e-4, atol=1e-5)


def test_lanes_that_draw_random_numbers_share_a_stack_only_with_their_seed(tiny, scratch_registry):
    @scratch_registry.register("model", "dropping")
    def dropping():
        """Drops half of what it sees."""
        parts = torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(784, 10)
        return torch.nn.Sequential(*parts)

    with pytest.raises(ValueError, match="seed = 0 and 1"):
        Trainer([tiny(model="dropping"), tiny(model="dropping", seed=1)], "cpu")


class PartlyFrozen(nn.Sequential):
    """A frozen layer, a convolution or a Linear, before one that learns."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self[0 if isinstance(parts[0], nn.Conv2d) else 1].requires_grad_(requires_grad=False)


FROZEN = {
    "a linear layer": lambda: PartlyFrozen(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 10)),
    "a convolution": lambda: PartlyFrozen(nn.Conv2d(1, 2, 5, 5), nn.ReLU(), nn.Flatten(), nn.Linear(50, 10)),
}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", FROZEN)
def test_frozen_parameters_stay(tiny, scratch_registry, name, optimizer, together):
    scratch_registry.register("model", "own")(lambda: FROZEN[name]())  # noqa: PLW0108  a function of its own
    fields = {"optimizer": optimizer, "weight_decay": 0.1, "l1": 0.01, "clipping": {"max_norm": 1}}
    trainer = Trainer([tiny(model="own", pruning=None, **fields)], "cpu", together=together)
    before = trainer.state.theta.clone()
    for _ in trainer.run():
        pass
    after, slices = trainer.state.theta, trainer.network.layout.slices.values()
    changed = [not torch.equal(slot.of(before), slot.of(after)) for slot in slices]
    assert changed == [False, False, True, True]
