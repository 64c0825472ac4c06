"""The trade-off from hand-worked runs, and what papers have published."""

import json
import re
from types import SimpleNamespace

import polars as pl
import pytest
import vl_convert

from explorer import figures, presets
from explorer.figures import published, saving, theme


def run(threshold, seed, accuracy, dense, sparsity=None):
    sparsity = threshold if sparsity is None else sparsity
    return {"threshold": threshold, "seed": seed, "sparsity": sparsity, "accuracy": accuracy, "dense": dense}


RUNS = [run(0.5, 0, 0.97, 0.98), run(0.5, 1, 0.99, 0.98), run(0.75, 0, 0.96, 0.98)]


def study(**changes):
    """Two seeds at 50 %, one of them at 75 % too."""
    frame = pl.DataFrame(RUNS).rename(
        {"threshold": "pruning.threshold", "accuracy": "test_accuracy", "dense": "dense_test_accuracy"}
    )
    frame = frame.with_columns(status=pl.lit("done"), **changes)
    experiment = SimpleNamespace(model="lenet-300-100")
    return SimpleNamespace(
        frame=frame, runs=[SimpleNamespace(experiment=experiment, summary={"test_images": 10_000})]
    )


def words(chart):
    return vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=saving.vegalite_version())


def test_runs_of_one_threshold_are_a_point_with_its_spread_and_paired_shift():
    retrained, dense = figures.retrained_at(RUNS)
    assert retrained["compression"] == [2, 4]
    assert retrained["accuracy"] == pytest.approx([98, 96])
    assert retrained["sd"] == pytest.approx([2**0.5, 0])  # of a sample: n - 1
    assert (retrained["low"][0], retrained["high"][0]) == pytest.approx((2 - 2**0.5, 2 + 2**0.5))
    assert retrained["shift"] == pytest.approx([0, -2])
    assert retrained["n"] == [2, 1]
    assert {name: values[0] for name, values in dense.items()} == pytest.approx(
        {"accuracy": 98, "sd": 0, "error": 2, "low": 2, "high": 2, "n": 2}
    )


def test_nothing_retrained_is_no_row_and_a_network_without_weights_no_point():
    retrained, dense = figures.retrained_at([])
    assert all(values == [] for values in [*retrained.values(), *dense.values()])
    assert figures.retrained_at([run(0.999, 0, 0.1, 0.98, sparsity=1.0)])[0]["n"] == []


def test_a_study_is_drawn_with_its_n_and_published_points():
    text = words(figures.tradeoff_of(study()))
    for part in (
        "retrained: n = 2 seeds, 10,000 test images; bars and band ± 1 sd",
        "test accuracy (%), error on a log scale",
        "published, test error",
        "64×",
        "98.4 %",
        "Han et al. 2015: kept 8, 9 and 26 % of the layers; dense 1.64 %",
    ):
        assert part in text
    assert "not retrained" not in text


def test_a_study_over_something_else_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"varies pruning\.criterion too"):
        figures.tradeoff_of(study(**{"pruning.criterion": pl.Series(["magnitude", "random", "random"])}))
    with pytest.raises(ValueError, match=r"does not vary pruning\.threshold"):
        figures.tradeoff_of(SimpleNamespace(frame=pl.DataFrame({"lr": [0.1]})))


def test_the_live_chart_waits_for_its_datasets_and_has_the_roles_colours_only():
    spec = figures.tradeoff().to_dict()
    vega = vl_convert.vegalite_to_vega(spec, vl_version=saving.vegalite_version())
    waiting = {data["name"] for data in vega["data"] if "source" not in data}
    assert waiting == {"curve", "mark", "now", "retrained", "dense", "published", "note"}
    roles = {light for light, _, _ in theme.ROLES}
    assert set(re.findall(r'"(#[0-9a-fA-F]+)"', json.dumps(spec))) <= roles


def test_each_published_point_has_its_source_and_the_preset_of_its_paper_agrees():
    table = published.table()
    assert set(table["model"]) == {"lenet-300-100", "lenet-5"}
    assert table["url"].str.starts_with("https://arxiv.org/abs/").all()
    sources = " ".join(preset.source for preset in presets.values())
    assert all(url in sources for url in table["url"])
    assert ((table["error"] > 0.5) & (table["error"] < 2)).all()
    assert published.of("mlp-784-128-10")["error"] == []
    assert published.of("lenet-5")["compression"] == pytest.approx([12.5, 1 / 0.009, 250])
