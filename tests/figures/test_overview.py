"""The overview of a run: all that there is to see of it, and nothing that would be empty."""

import numpy as np
import pytest

import explorer as ex
from explorer import figures
from explorer.figures.provenance import of_specs

pytestmark = pytest.mark.slow


def trained(tiny, **fields):
    return ex.train(tiny(**fields), device="cpu", progress=False)


def titles(chart):
    """The titles of an overview's charts, in the order of reading."""
    spec = chart.to_dict(validate=False)
    grid = spec.get("vconcat", [spec])
    parts = [part for each in grid for part in each.get("concat", [each])]
    return [part["title"] if isinstance(part["title"], str) else part["title"]["text"] for part in parts]


ALWAYS = ["Validation accuracy", "Loss"]
NORMS = "Gradient norm and clipping"
LAYERS = ["fc1 weights", "fc2 weights"]


def test_a_pruned_run_with_its_twin_shows_everything(tiny):
    run = trained(tiny, lr=0.3)
    assert titles(figures.overview(run)) == [
        *ALWAYS,
        "Accuracy shift: pruned − dense",
        "Sparsity",
        NORMS,
        "Clipped steps",
        "Gradient norm of each layer",
        "Answers that flipped",
        *LAYERS,
    ]


def test_what_would_be_empty_is_left_out(tiny):
    dense = trained(tiny, pruning=None, clipping=None)
    assert titles(figures.overview(dense)) == [*ALWAYS, NORMS, "Gradient norm of each layer", *LAYERS]
    one = trained(tiny, model="binary-digit", clipping=None)
    assert titles(figures.overview(one)) == [
        *ALWAYS,
        *("Accuracy shift: pruned − dense", "Sparsity", NORMS, "Answers that flipped", "fc1 weights"),
    ]
    blind = trained(tiny, validation=0)
    assert "Answers that flipped" not in titles(figures.overview(blind))


def test_a_trade_off_stands_below_with_its_own_data_and_recipe(tiny):
    run = trained(tiny)
    curve = {"compression": [1.0, 10.0], "error": [5.0, 9.0], "accuracy": [95.0, 91.0], "sparsity": [0, 90.0]}
    chart = figures.overview(run, {"tradeoff": figures.tradeoff({"curve": curve})})
    assert titles(chart)[-1] == "Accuracy against sparsity"
    spec = chart.to_dict()
    assert len(spec["vconcat"]) == 2  # valid, as Altair has checked
    assert [row["error"] for row in spec["datasets"]["tradeoff-curve"]] == [5.0, 9.0]
    assert ex.Experiment(**of_specs([spec])[0]["experiment"]) == run.experiment
    assert figures.dark(chart).to_dict(validate=False)["config"]["background"] == "#111111"


def test_flips_are_those_of_the_networks_at_the_end(tiny):
    run = trained(tiny, lr=0.3, pruning={"threshold": 0.97})
    truth, dense, pruned = (np.asarray(each) for each in (run.truth, run.dense.answers, run.answers))
    data = figures.flips_of(run).to_dict()["datasets"]
    lost = {row["digit"][0]: -row["count"] for row in data["flips"] if row["side"] == "lost"}
    for digit in range(10):
        fell = [t == d != p for t, d, p in zip(truth, dense, pruned, strict=True) if t == digit]
        assert lost[str(digit)] == sum(fell)
    right = (pruned == truth).mean()
    assert run.summary["val_accuracy"] == pytest.approx(float(right))
    assert data["note"][0]["text"].endswith("; n = 100 images")


def test_without_a_twin_there_are_no_flips(tiny):
    run = ex.train(tiny(), device="cpu", twin=False, progress=False)
    assert "Answers that flipped" not in titles(figures.overview(run))
    with pytest.raises(ValueError, match="where it has a dense twin and validation images"):
        figures.flips_of(run)
