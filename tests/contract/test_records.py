"""What a Run records: tidy rows at fixed steps, norms and rates counted by hand, histograms that add up."""

import polars as pl
import pytest
import torch
from helpers import SIZES, steps_of, values_of

import explorer as ex
from explorer.engine.data import datasets
from explorer.engine.data.random import shuffled_indices
from explorer.engine.training.train import train
from explorer.engine.training.trainer import Trainer

WHOLE = {
    "train_loss",
    "val_loss",
    "val_accuracy",
    "test_accuracy",
    "sparsity",
    "grad_norm",
    "clipped_grad_norm",
    "clip_rate",
    "lr",
}
LAYER = {"sparsity", "grad_norm", "weight_norm"}


def test_frames_have_the_contracts_columns(trained):
    run = trained(threshold=0.5)
    assert run.history.columns == ["step", "epoch", "metric", "layer", "value"]
    assert run.histograms.columns == ["step", "layer", "axis", "left", "right", "kept", "pruned", "revived"]
    assert run.events.columns == ["step", "what", "from", "to"]
    assert set(run.history.filter(pl.col("layer").is_null())["metric"]) == WHOLE
    assert set(run.history.filter(pl.col("layer").is_not_null())["metric"]) == LAYER
    assert set(run.history["layer"].drop_nulls()) == set(SIZES)
    assert run.history["value"].is_finite().all()
    assert run.history["epoch"].to_list() == [s / 16 for s in run.history["step"]]
    assert not run.history.select("step", "metric", "layer").is_duplicated().any()


@pytest.mark.parametrize(
    ("begin", "records"),
    [(None, [0, 4, 8, 12, 16]), (0.3, [0, 4, 5, 8, 12, 16]), (0, [0, 4, 8, 12, 16]), (1, [0, 4, 8, 12, 16])],
)
def test_records_fall_at_quarters_events_and_the_end(trained, begin, records):
    run = trained(threshold=0.5, begin_epoch=begin)
    for each in (run, run.dense):
        assert steps_of(each, "val_accuracy") == records
        assert steps_of(each, "sparsity", "fc1") == records
        assert steps_of(each, "train_loss") == [s for s in records if s]
        assert steps_of(each, "grad_norm", "fc2") == [s for s in records if s]
        assert steps_of(each, "test_accuracy") == [16]


@pytest.mark.parametrize(
    ("begin", "epochs", "step"),
    [(None, 1, 8), (None, 3, 24), (0, 1, 0), (0.3, 1, 5), (1, 1, 16), (1.7, 2, 27)],
)
def test_the_event_falls_where_the_spec_says(tiny, begin, epochs, step):
    run = ex.train(tiny(epochs=epochs, pruning={"begin_epoch": begin, "threshold": 0.5}), progress=False)
    assert run.events.rows() == [(step, "prune", 0.0, 0.5)]
    assert run.dense.events.is_empty()
    assert run.status == "done"
    assert run.summary["steps"] == 16 * epochs
    sparsity = values_of(run, "sparsity")
    assert {s: v > 0 for s, v in sparsity.items()} == {s: s >= step for s in sparsity}


@pytest.mark.parametrize("bound", [0.5, 1.0, 1e9, 1e-9])
def test_clip_rate_and_norms_are_what_counting_by_hand_gives(tiny, bound):
    exp = tiny(pruning={"begin_epoch": 0.3, "threshold": 0.5}, clipping={"max_norm": bound}, lr=0.3)
    trainer, norms = Trainer([exp, exp.dense()], "cpu", torch.float64), []
    for record in trainer.run():
        if record is None:
            norms.append(float(trainer.executor.stepper.grad[trainer.lanes[0].row].norm()))  # after clipping
    run = train(exp, progress=False, dtype=torch.float64)
    before, clipped, rate = (values_of(run, m) for m in ("grad_norm", "clipped_grad_norm", "clip_rate"))
    unbound = [norm < bound * (1 - 1e-5) for norm in norms]
    for left, right in zip([0, 4, 5, 8, 12], [4, 5, 8, 12, 16], strict=True):
        assert clipped[right] == pytest.approx(sum(norms[left:right]) / (right - left), rel=1e-9)
        assert rate[right] == 1 - sum(unbound[left:right]) / (right - left)
        assert before[right] >= clipped[right]
    assert run.summary["clip_rate"] == pytest.approx(1 - sum(unbound) / 16, abs=1e-12)
    if bound == 1e9:
        assert before == clipped
        assert run.summary["clip_rate"] == 0


def test_an_unclipped_run_says_that_nothing_was_bound(tiny):
    run = ex.train(tiny(clipping=None, pruning=None), progress=False)
    assert set(values_of(run, "clip_rate").values()) == {0.0}
    assert values_of(run, "grad_norm") == values_of(run, "clipped_grad_norm")


def test_train_loss_is_the_mean_since_the_last_record(tiny):
    exp = tiny(pruning=None)
    whole = values_of(train(exp, progress=False, dtype=torch.float64), "train_loss")
    parts = datasets.split("tiny", torch.device("cpu"), 100).train
    module = train(tiny(pruning=None, lr=1e-30), progress=False, dtype=torch.float64).model()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    losses = []
    order = shuffled_indices(len(parts), exp.seed, 0)
    for x, y in datasets.batches(parts, order, exp.batch_size, normalise=True, dtype=torch.float64):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(x), y)
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    images = [32] * 15 + [20]  # a last batch that is smaller counts less
    for right in (4, 8, 12, 16):
        shares = [losses[i] * images[i] / sum(images[right - 4 : right]) for i in range(right - 4, right)]
        assert whole[right] == pytest.approx(sum(shares), rel=1e-6)


@pytest.mark.parametrize("fields", [{}, {"optimizer": "adam"}])
def test_train_loss_weighs_by_images_on_every_path(tiny, fields):
    """A step that hardly moves: the mean over an epoch is that over its images, however they are cut."""
    exp = tiny(pruning=None, lr=1e-12, **fields)
    train_images = datasets.split("tiny", torch.device("cpu"), 100).train
    for together in (False, True):
        trainer = Trainer([exp, exp.replace(seed=1)], "cpu", together=together)
        x, labels = trainer.setup.inputs(train_images)
        list(trainer.run())
        assert trainer.executor.compiled == (not together and not fields)
        module = train(exp, progress=False).model()
        loss = torch.nn.functional.cross_entropy(module(x), labels).item()
        recorded = [v for _, _, name, _, v in trainer.lanes[0].history.history if name == "train_loss"]
        assert len(recorded) == 4
        weighed = sum(v * n for v, n in zip(recorded, (128, 128, 128, 116), strict=True)) / 500
        assert weighed == pytest.approx(loss, rel=1e-6)
        assert sum(recorded) / 4 != pytest.approx(loss, rel=1e-6)


def test_without_validation_there_are_no_val_rows(tiny):
    run = ex.train(tiny(validation=0), progress=False)
    assert not set(run.history["metric"]) & {"val_loss", "val_accuracy"}
    assert run.summary["val_accuracy"] is None
    assert run.summary["validation_images"] == 0
    assert len(steps_of(run, "test_accuracy")) == 1


@pytest.mark.parametrize(
    "pruning",
    [
        {"threshold": 0.9, "begin_epoch": 0.3},
        {"threshold": 0.4, "granularity": "neuron"},
        {"threshold": 0.01, "unit": "score", "schedule": "every-step"},
        {"threshold": 0.5, "criterion": "random", "begin_epoch": 0},
    ],
    ids=["weights", "neurons", "every-step", "random at start"],
)
def test_histograms_add_up_at_every_record(trained, pruning):
    run = trained(**pruning)
    frame = run.histograms.filter(pl.col("axis") == "weight")
    sums = frame.group_by("step", "layer").agg(pl.col("kept", "pruned", "revived").sum(), pl.len())
    assert sums.height == 2 * len(steps_of(run, "lr"))
    assert set(sums["len"]) == {64}
    for row in sums.iter_rows(named=True):
        assert row["kept"] + row["pruned"] + row["revived"] == SIZES[row["layer"]]
        share = values_of(run, "sparsity", row["layer"])[row["step"]]
        assert row["pruned"] == round(share * SIZES[row["layer"]])
        assert row["revived"] == 0
    edges = frame.group_by("layer").agg(pl.col("left").n_unique(), pl.col("right").n_unique())
    assert set(edges["left"]) == set(edges["right"]) == {64}  # fixed for the whole run
    for layer in SIZES:
        one = frame.filter((pl.col("layer") == layer) & (pl.col("step") == 0))
        assert one["right"].to_list()[:-1] == one["left"].to_list()[1:]
        assert 0.0 in one["left"].to_list()  # no bin crosses zero


def test_a_pruned_weight_is_binned_at_its_value_before_it_fell(tiny):
    """At the event the histogram is that of the dense twin, divided into kept and pruned around ±τ."""
    run = ex.train(tiny(pruning={"threshold": 0.9, "begin_epoch": 0.3}), progress=False)
    mine = run.histograms.filter((pl.col("axis") == "weight") & (pl.col("step") == 5))
    twins = run.dense.histograms.filter((pl.col("axis") == "weight") & (pl.col("step") == 5))
    assert (mine["kept"] + mine["pruned"]).to_list() == twins["kept"].to_list()
    cut = {layer: cutoff for _, layer, cutoff in run.cutoffs.rows()}
    for row in mine.iter_rows(named=True):
        near, far = sorted((abs(row["left"]), abs(row["right"])))
        outermost = abs(row["left"]) == abs(mine["left"].min())
        if far <= cut[row["layer"]] and not outermost:
            assert row["kept"] == 0
        if near >= cut[row["layer"]]:
            assert row["pruned"] == 0
    later = run.histograms.filter((pl.col("axis") == "weight") & (pl.col("step") == 16))
    assert later["pruned"].to_list() == mine["pruned"].to_list()  # where they fell, they stay


def test_score_histograms_and_cutoffs_tell_how_the_event_decided(trained):
    run = trained(threshold=0.8, criterion="gradient", begin_epoch=0.3)
    scores = run.histograms.filter(pl.col("axis") == "score")
    assert set(scores["step"]) == {5}
    sums = dict(scores.group_by("layer").agg(pl.col("kept").sum()).iter_rows())
    assert sums == {n.partition(".")[0]: int(m.sum()) for n, m in run.masks.items()}
    assert [(s, layer) for s, layer, _ in run.cutoffs.rows()] == [(5, "fc1"), (5, "fc2")]
    for row in scores.iter_rows(named=True):
        cut = dict(run.cutoffs.select("layer", "cutoff").iter_rows())[row["layer"]]
        if row["right"] < cut and row["left"] > scores["left"].min():
            assert row["kept"] == 0
        if row["left"] > cut:
            assert row["pruned"] == 0
