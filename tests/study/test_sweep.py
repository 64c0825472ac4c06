"""Sweeps: many variants as lanes, each as if it had run alone."""

import numpy as np
import polars as pl
import pytest
import torch

import explorer as ex
from explorer import registry
from explorer.engine.training.trainer import Trainer
from explorer.presets import PRESETS, Preset


def test_every_run_of_a_sweep_equals_the_single_run(tiny):
    exp = tiny(epochs=1)
    study = ex.sweep(exp, {"pruning.threshold": [0.5, 0.9]}, seeds=2, progress=False)
    assert [r.experiment.pruning.threshold for r in study.runs] == [0.5, 0.5, 0.9, 0.9]
    assert [r.experiment.seed for r in study.runs] == [0, 1, 0, 1]
    for run in study.runs:
        alone = ex.train(run.experiment, progress=False)
        torch.testing.assert_close(run.row, alone.row, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(run.dense.row, alone.dense.row, rtol=1e-5, atol=1e-6)
        assert run.summary["dense_test_accuracy"] == pytest.approx(
            alone.summary["dense_test_accuracy"], abs=0.01
        )


def test_runs_of_one_seed_share_their_twin(tiny):
    study = ex.sweep(tiny(epochs=1), {"pruning.threshold": [0.5, 0.9]}, progress=False)
    assert study.runs[0].dense is study.runs[1].dense


def test_the_frame_has_one_row_a_run_and_says_what_was_varied(tiny):
    frame = ex.sweep(tiny(epochs=1), {"pruning.threshold": [0.5, 0.9]}, seeds=2, progress=False).frame
    assert frame.height == 4
    assert frame["pruning.threshold"].to_list() == [0.5, 0.5, 0.9, 0.9]
    assert frame["sparsity"].to_list() == pytest.approx([0.5, 0.5, 0.9, 0.9], abs=1e-4)


def test_all_takes_every_method_and_says_why_some_make_no_sense(tiny):
    with pytest.warns(UserWarning, match=r"2 of \d+ combinations are skipped .*'activity'.*granularity"):
        study = ex.sweep(tiny(epochs=1, validation=0), {"pruning.criterion": "all"}, progress=False)
    done = {run.experiment.pruning.criterion for run in study.runs}
    skipped = {changes["pruning.criterion"]: why for changes, why in study.skipped}
    assert done | set(skipped) == set(registry.names("criterion"))
    assert set(skipped) == {"activity", "apoz"}
    assert all("granularity" in why for why in skipped.values())


@pytest.mark.filterwarnings("ignore:.* keep no weight of a whole layer")  # of the last, 10 units, by inputs
def test_what_does_not_fit_the_network_is_skipped_with_the_reason(tiny):
    with pytest.warns(UserWarning, match="2 of 6 combinations are skipped .*prunes filters") as warned:
        study = ex.sweep(tiny(), {"pruning.granularity": "all"}, progress=False)
    assert all(len(str(each.message)) <= 300 and each.filename == __file__ for each in warned)
    assert {run.experiment.pruning.granularity for run in study.runs} == {"weight", "neuron", "input", "n:m"}
    (_, one), (_, other) = study.skipped
    assert "prunes filters of convolutions, and here there are none" in one
    assert "prunes square hidden layers, and here there are none" in other


def test_shares_for_another_number_of_layers_are_refused_before_anything_trains(tiny):
    exp = tiny(pruning={"allocation": "shares", "options": {"shares": (0.2, 0.8)}})
    with pytest.warns(UserWarning, match="1 of 2 combinations are skipped"):
        study = ex.sweep(exp, {"model": ["mlp-784-64-32-10", "mlp-784-128-10"]}, progress=False)
    assert [run.experiment.model for run in study.runs] == ["mlp-784-128-10"]
    ((_, why),) = study.skipped
    assert "has 2 entries, but 3 layers are pruned" in why
    with pytest.raises(ValueError, match="3 layers are pruned"):
        Trainer([exp.replace(model="mlp-784-64-32-10")], "cpu")


def test_each_seed_of_a_grid_is_where_the_seeds_begin(tiny):
    study = ex.sweep(tiny(pruning=None), {"seed": [3, 7]}, seeds=2, progress=False)
    assert study.frame["seed"].to_list() == [3, 4, 7, 8]


def test_a_word_that_is_no_list_is_refused(tiny):
    with pytest.raises(ValueError, match="give a list"):
        ex.sweep(tiny(), {"pruning.criterion": "magnitude"}, progress=False)


def test_a_data_set_of_ones_own_is_swept_and_networks_for_other_images_are_skipped(stripes):
    calls, exp = stripes(), stripes.experiment(lr=0.2, epochs=3)
    with pytest.warns(UserWarning, match="1 of 2 combinations are skipped .*'lenet-5' cannot take"):
        study = ex.sweep(exp, {"model": ["stripes-net", "lenet-5"]}, progress=False)
    assert [run.experiment.model for run in study.runs] == ["stripes-net"]
    assert study.runs[0].summary["steps"] == 3 * 10
    assert study.runs[0].dense.summary["test_accuracy"] > 0.5  # by chance it would be 1/3
    ((changes, why),) = study.skipped
    assert changes == {"model": "lenet-5"}
    assert "model = 'lenet-5' cannot take the 1 × 12 × 12 images of stripes" in why
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("grid", "seeds", "message"),
    [
        ({"pruning.treshold": [0.5]}, 1, "did you mean 'threshold'"),
        ({"pruning.threshold": [0.5], "lrr": [1, 2]}, 1, "none of 2 combinations can be trained.*mean 'lr'"),
        ({"pruning.threshold": []}, 1, "pruning.threshold = .*one value or more"),
        ({"pruning.threshold": 0.5}, 1, "pruning.threshold = 0.5: give a list"),
        ({"pruning.threshold": np.array(0.5)}, 1, "give a list"),
        ({"pruning.threshold": [0.5]}, 0, "seeds = 0"),
    ],
)
def test_a_grid_that_can_train_nothing_is_refused(tiny, grid, seeds, message):
    with pytest.raises(ValueError, match=message):
        ex.sweep(tiny(), grid, seeds, progress=False)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, pl.Series, tuple, iter])
def test_a_grid_takes_arrays_tensors_and_series_for_lists(tiny, kind):
    study = ex.sweep(tiny(epochs=1), {"pruning.threshold": kind([0.25, 0.75])}, progress=False)
    assert [run.experiment.pruning.threshold for run in study.runs] == [0.25, 0.75]
    assert study.frame["pruning.threshold"].to_list() == [0.25, 0.75]


@pytest.mark.parametrize("begin", [ex.train, lambda given: ex.sweep(given, {"seed": [0]})])
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"epochs": 1}, TypeError, "give an ex.Experiment"),
        (None, TypeError, "experiment = None: give an ex.Experiment"),
        ("han-2015-lenet-300", ValueError, "did you mean 'han-2015-lenet-300-100'"),
    ],
)
def test_what_is_no_experiment_is_refused_in_words(begin, given, error, message):
    with pytest.raises(error, match=message):
        begin(given)


def test_a_presets_name_is_its_experiment(tiny, monkeypatch):
    monkeypatch.setitem(PRESETS, "own", Preset(lambda: tiny(epochs=1), "Own", "tried out", "this test"))
    assert ex.train("own", progress=False).experiment == tiny(epochs=1)
    study = ex.sweep("own", {"pruning.threshold": [0.5]}, progress=False)
    assert study.runs[0].experiment == tiny(epochs=1).replace({"pruning.threshold": 0.5})


@pytest.mark.parametrize(
    ("grid", "column"),
    [
        ({"clipping.rule": ["norm", ("norm", "value")]}, ["norm", "norm + value"]),
        ({"clipping.rule": [("norm",), ("norm", "value")]}, [["norm"], ["norm", "value"]]),
        ({"clipping": [None, ex.Clipping(max_norm=0.5)]}, [None, "ex.Clipping(max_norm=0.5)"]),
        ({"pruning.threshold": [0, 0.5]}, [0.0, 0.5]),
    ],
)
def test_every_grid_has_a_frame(tiny, grid, column):
    frame = ex.sweep(tiny(), grid, progress=False).frame
    assert frame[next(iter(grid))].to_list() == column
    assert frame.columns[1:4] == ["seed", "status", "hash"]
    assert frame["test_accuracy"].null_count() == 0
