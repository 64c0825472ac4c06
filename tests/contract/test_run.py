"""What a Run leaves behind: records at fixed steps, histograms that add up, and a summary that is true."""

import math

import polars as pl
import pytest
import torch

import explorer as ex
from explorer.engine import data
from explorer.engine.train import train
from explorer.engine.trainer import Trainer

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
SIZES = {"fc1": 784 * 128, "fc2": 128 * 10}


def steps_of(run, metric, layer=None):
    same = pl.col("layer").is_null() if layer is None else pl.col("layer") == layer
    return run.history.filter((pl.col("metric") == metric) & same)["step"].to_list()


def values_of(run, metric, layer=None):
    same = pl.col("layer").is_null() if layer is None else pl.col("layer") == layer
    found = run.history.filter((pl.col("metric") == metric) & same)
    return dict(zip(found["step"], found["value"], strict=True))


@pytest.fixture
def trained(tiny):
    def make(**pruning):
        return ex.train(tiny(pruning=pruning), progress=False)

    return make


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


def test_pruning_at_initialisation_prunes_the_initial_weights(tiny):
    exp = tiny(pruning={"begin_epoch": 0, "threshold": 0.9})
    run = ex.train(exp, progress=False)
    module = ex.train(tiny(pruning=None, lr=1e-30), progress=False).model()
    for name, mask in ex.prune(module, exp.pruning).items():
        assert torch.equal(run.masks[name], mask)


def test_pruning_at_the_end_is_the_dense_run_with_zeros(tiny):
    exp = tiny(pruning={"begin_epoch": 1, "threshold": 0.9})
    run = ex.train(exp, progress=False)
    module = run.dense.model()
    ex.prune(module, exp.pruning)
    for ours, theirs in zip(run.model().parameters(), module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_every_step_only_shrinks_masks_and_ends_at_its_end(tiny):
    pruning = {"schedule": "every-step", "unit": "score", "threshold": 0.01, "begin_epoch": 0.25}
    trainer = Trainer([tiny(pruning=pruning)], "cpu")
    last, counts = None, {}
    for _ in trainer.run():
        mask = trainer.state.mask
        if mask is not None:
            if last is not None:
                assert not (mask > last).any()
            last = mask.clone()
            counts[trainer.step] = int(mask.sum())
    assert min(counts) == 4
    assert counts[5] > counts[12]  # it goes on pruning
    assert len({counts[s] for s in range(12, 17)}) == 1  # default end: three quarters


def test_every_step_with_a_count_prunes_exactly_that(tiny):
    pruning = {"schedule": "every-step", "threshold": 0.75, "options": {"every": 3}}
    run = ex.train(tiny(pruning=pruning), progress=False)
    assert set(values_of(run, "sparsity").values()) == {0.75}


def test_a_schedule_without_a_single_event_is_refused(tiny):
    """Begin after the default end: it would train densely under the name of pruning."""
    with pytest.raises(ValueError, match=r"every-step.*begin_epoch.*end_epoch"):
        tiny(pruning={"schedule": "every-step", "begin_epoch": 0.9})
    with pytest.raises(ValueError, match=r"every-step.*begin_epoch.*end_epoch"):
        tiny(pruning={"schedule": "every-step", "end_epoch": 0})


@pytest.mark.parametrize("granularity", ["weight", "neuron"])
def test_sparsity_and_compression_count_prunable_weights(trained, granularity):
    run = trained(threshold=0.9, granularity=granularity)
    pruned = sum(int((~m).sum()) for m in run.masks.values())
    total = sum(SIZES.values())
    assert {n: m.shape for n, m in run.masks.items()} == {
        "fc1.weight": (128, 784),
        "fc2.weight": (10, 128),
    }
    assert run.summary["sparsity"] == pytest.approx(pruned / total, abs=1e-12)
    assert run.summary["compression"] == pytest.approx(total / (total - pruned), rel=1e-12)
    assert values_of(run, "sparsity")[16] == pytest.approx(pruned / total, abs=1e-12)
    for name, mask in run.masks.items():
        layer = name.partition(".")[0]
        share = float((~mask).double().mean())
        assert values_of(run, "sparsity", layer)[16] == pytest.approx(share, abs=1e-12)
    if granularity == "weight":
        assert pruned == round(0.9 * total)


def test_dense_runs_have_no_sparsity(tiny):
    run = ex.train(tiny(pruning=None), progress=False)
    assert run.dense is None
    assert run.summary["sparsity"] == 0
    assert run.summary["compression"] == 1
    assert all(mask.all() for mask in run.masks.values())
    assert run.summary["dense_test_accuracy"] == run.summary["test_accuracy"]


def test_pruning_everything_leaves_biases_and_says_so(trained):
    run = trained(threshold=1e3, unit="score")
    assert run.summary["sparsity"] == 1
    assert run.summary["compression"] == math.inf
    assert run.status == "done"
    model = run.model()
    assert not model.fc1.weight.any()
    assert model.fc2.bias.any()


def test_whole_neurons_lose_row_bias_and_outgoing_column(trained):
    run = trained(threshold=0.25, granularity="neuron")
    model, masks = run.model(), run.masks
    dead = ~masks["fc1.weight"].any(1)
    assert int(dead.sum()) == round(0.25 * 128)  # of the hidden neurons, not of the classes
    assert torch.equal(masks["fc1.weight"], ~dead.unsqueeze(1).expand(128, 784))
    assert torch.equal(masks["fc2.weight"], ~dead.unsqueeze(0).expand(10, 128))
    assert not model.fc1.weight[dead].any()
    assert not model.fc1.bias[dead].any()
    assert not model.fc2.weight[:, dead].any()
    assert model.fc1.bias[~dead].all()
    assert model.fc2.bias.all()


def test_neurons_of_two_hidden_layers(tiny):
    pruning = {"threshold": 0.5, "granularity": "neuron", "allocation": "uniform"}
    run = ex.train(tiny(model="lenet-300-100", pruning=pruning), progress=False)
    masks = run.masks
    dead1, dead2 = ~masks["fc1.weight"].any(1), ~masks["fc2.weight"].any(1)
    assert (int(dead1.sum()), int(dead2.sum())) == (150, 50)
    keep = ~dead2.unsqueeze(1) & ~dead1.unsqueeze(0)
    assert torch.equal(masks["fc2.weight"], keep)
    assert torch.equal(masks["fc3.weight"], ~dead2.unsqueeze(0).expand(10, 100))
    pruned = sum(int((~m).sum()) for m in masks.values())
    assert run.summary["sparsity"] == pytest.approx(pruned / (784 * 300 + 300 * 100 + 100 * 10), abs=1e-12)


@pytest.mark.parametrize("bound", [0.5, 1.0, 1e9, 1e-9])
def test_clip_rate_and_norms_are_what_counting_by_hand_gives(tiny, bound):
    exp = tiny(pruning={"begin_epoch": 0.3, "threshold": 0.5}, clipping={"max_norm": bound}, lr=0.3)
    trainer, norms = Trainer([exp, exp.dense()], "cpu", torch.float64), []
    for record in trainer.run():
        if record is None:
            norms.append(float(trainer.stepper.grad[trainer.lanes[0].row].norm()))  # after clipping
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
    parts = data.split("tiny", torch.device("cpu"), 100).train
    module = train(tiny(pruning=None, lr=1e-30), progress=False, dtype=torch.float64).model()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    losses = []
    for x, y in data.batches(parts, exp, 0, skip=0, dtype=torch.float64):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(x), y)
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    for right in (4, 8, 12, 16):
        assert whole[right] == pytest.approx(sum(losses[right - 4 : right]) / 4, rel=1e-6)


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


def test_the_model_is_ordinary_and_reproduces_the_test_accuracy(trained):
    run = trained(threshold=0.5)
    model = run.model()
    assert type(model) is torch.nn.Sequential
    assert not model.training
    test = data.split("tiny", torch.device("cpu"), 100).test
    with torch.no_grad():
        right = model(data.normalised(test.pixels, True, torch.float32)).argmax(1) == test.labels
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
    assert "clip norm" in run.summary["advice"]
    assert run.summary["steps"] < 32
    assert run.dense.status == "diverged"
    assert all(p.isfinite().all() for p in run.model().parameters())


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


@pytest.mark.parametrize("at", [0, 3, 8, 15])
def test_ctrl_c_returns_what_there_is(tiny, monkeypatch, at):
    original = Trainer._step

    def interrupted(self, batch):
        if self.step == at:
            raise KeyboardInterrupt
        original(self, batch)

    monkeypatch.setattr(Trainer, "_step", interrupted)
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
