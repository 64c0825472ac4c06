"""Figures from small, hand-worked records."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import altair as alt
import numpy as np
import polars as pl
import pytest
import vl_convert

import explorer as ex
from explorer import figures
from explorer.figures import saving, theme

REPO = Path(__file__).parents[2]


def history(rows):
    schema = {
        "step": pl.Int64,
        "epoch": pl.Float64,
        "metric": pl.String,
        "layer": pl.String,
        "value": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def fake_run(**changes):
    """Two epochs of 100 steps, pruned to 90 % at step 100, and its dense twin."""
    whole = [
        (step, step / 100, "val_accuracy", None, value)
        for step, value in ((0, 0.1), (100, 0.96), (200, 0.971))
    ]
    norms = [
        (step, step / 100, "grad_norm", None, value) for step, value in ((0, 2.0), (100, 1.0), (200, 0.5))
    ]
    after = [
        (step, step / 100, "clipped_grad_norm", None, value)
        for step, value in ((0, 1.0), (100, 1.0), (200, 0.5))
    ]
    rates = [
        (step, step / 100, "clip_rate", None, value) for step, value in ((0, 1.0), (50, 0.6), (200, 0.1))
    ]
    layered = [(0, 0.0, "grad_norm", "fc1", 9.0)]
    dense = history(
        [
            (step, step / 100, "val_accuracy", None, value)
            for step, value in ((0, 0.1), (100, 0.965), (200, 0.975))
        ]
    )
    bins = [(step, "fc1", "weight", left, left + 1.0, 2, 6, 1) for step in (0, 200) for left in (-1.0, 0.0)]
    names = ["step", "layer", "axis", "left", "right", "kept", "pruned", "revived"]
    events = [(100, "prune", 0.0, 0.9), (150, "clipping.max_norm", 1.0, 0.5)]
    run = {
        "history": history(whole + norms + after + rates + layered),
        "histograms": pl.DataFrame(bins, schema=names, orient="row"),
        "events": pl.DataFrame(events, schema=["step", "what", "from", "to"], orient="row"),
        "cutoffs": pl.DataFrame({"step": [100], "layer": ["fc1"], "cutoff": [0.5]}),
        "dense": SimpleNamespace(history=dense),
        "experiment": SimpleNamespace(
            epochs=2,
            loss="cross-entropy",
            validation=5000,
            pruning=ex.Pruning(),
            clipping=ex.Clipping(),
        ),
    }
    return SimpleNamespace(**{**run, **changes})


def words(chart):
    """Return the figure's text, as drawn."""
    return vl_convert.vegalite_to_svg(chart.to_dict(validate=False), vl_version=saving.vegalite_version())


LIVE = {
    "accuracy": (figures.accuracy, {"points", "events", "shift"}),
    "weights": (figures.weights, {"bins", "cutoffs", "note"}),
    "gradients": (figures.gradients, {"norms", "clip", "note", "events"}),
}


@pytest.mark.parametrize("name", LIVE)
def test_live_charts_wait_for_their_datasets(name):
    build, datasets = LIVE[name]
    spec = build().to_dict()
    vega = vl_convert.vegalite_to_vega(spec, vl_version=saving.vegalite_version())
    assert {data["name"] for data in vega["data"] if "source" not in data} == datasets
    assert "datasets" not in spec
    assert spec["description"]


@pytest.mark.parametrize("name", LIVE)
def test_colours_are_roles_so_that_a_theme_can_swap_them(name):
    text = json.dumps(LIVE[name][0]().to_dict())
    roles = {light for light, _, _ in theme.ROLES}
    assert set(re.findall(r'"(#[0-9a-fA-F]+)"', text)) <= roles


def contrast(one, other):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("page", "column"), [("#ffffff", 0), ("#111111", 1), ("#212121", 1)])
def test_contrast(page, column):
    """WCAG AA: 4.5 for text, 3 for marks; the grid and the page itself are no information."""
    for role in theme.ROLES:
        if role[0] in (theme.GRID, theme.PAPER):
            continue
        needed = 4.5 if role[0] in (theme.INK, theme.MUTED) else 3
        assert contrast(role[column], page) >= needed, role


def test_accuracy_in_percent_with_its_shift_and_events():
    chart = figures.accuracy_of(fake_run())
    data = chart.to_dict()["datasets"]
    last = {"epoch": 2.0, "accuracy": pytest.approx(97.1), "net": "pruned"}
    assert last in data["points"]
    pruned = [(row["epoch"], round(row["accuracy"], 6)) for row in data["points"] if row["net"] == "pruned"]
    assert pruned == [(1.0, 96.5), (1.0, 96.0), (2.0, 97.1)], (
        "it falls plumb from the twin, untrained left out"
    )
    assert data["shift"] == [{"epoch": 2.0, "accuracy": pytest.approx(97.1), "label": "−0.4 points"}]
    assert data["events"] == [
        {"epoch": 1.0, "label": "pruned to 90 %", "kind": "prune"},
        {"epoch": 1.5, "label": "max norm 1 → 0.5", "kind": "move"},
    ]
    text = words(chart)
    for part in (
        "n = 5,000 validation images, 1 seed",
        "−0.4 points",
        "pruned to 90 %",
        "accuracy (%)",
        "dense",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("pruned", "dense", "label"),
    [(97.1, 97.5, "−0.4 points"), (98, 97, "+1.0 points"), (97.52, 97.5, "±0.0 points")],
)
def test_shift_label(pruned, dense, label):
    assert figures.shift_label(pruned, dense) == label


def test_shift_needs_a_pair():
    alone = pl.DataFrame({"epoch": [1.0], "accuracy": [97.0], "net": ["pruned"]})
    assert figures.shift_of(alone).height == 0


def test_accuracy_without_a_twin_pruning_or_validation():
    exp = SimpleNamespace(epochs=2, validation=0, pruning=None, clipping=None)
    run = fake_run(dense=None, experiment=exp)
    chart = figures.accuracy_of(run)
    assert {row["net"] for row in chart.to_dict()["datasets"]["points"]} == {"dense"}
    assert "no validation images are held out" in words(chart)


def y_domain(chart):
    """Read the accuracy axis off the description that Vega gives it."""
    ends = re.search(
        r"Y-axis titled '[^']*' for a linear scale with values from ([\d.]+) to ([\d.]+)", words(chart)
    )
    return [float(ends[1]), float(ends[2])]


@pytest.mark.parametrize(
    ("accuracies", "floor"),
    [([90, 95, 40, 97], 40), ([96, 97, 98], 95), ([12, 20, 40], 10)],
)
def test_the_axis_shows_the_depth_of_a_fall(accuracies, floor):
    points = {
        "epoch": list(range(len(accuracies))),
        "accuracy": accuracies,
        "net": ["dense"] * len(accuracies),
    }
    assert y_domain(figures.accuracy(pl.DataFrame(points))) == [floor, 100]


def test_weights_split_by_state_with_both_thresholds():
    chart = figures.weights_of(fake_run())
    data = chart.to_dict()["datasets"]
    assert [(row["state"], row["count"]) for row in data["fc1-bins"]] == [
        ("kept", 2),
        ("kept", 2),
        ("revived", 1),
        ("revived", 1),
        ("pruned", 6),
        ("pruned", 6),
    ]
    assert data["fc1-cutoffs"] == [{"value": -0.5, "label": ""}, {"value": 0.5, "label": "τ = 0.5"}]
    assert data["fc1-note"] == [{"text": "33.3 % of 18 kept"}]
    text = words(chart)
    for part in ("fc1 weights", "τ = 0.5", "33.3 % of 18 kept", "revived"):
        assert part in text


def test_weights_before_the_event_have_no_threshold():
    assert figures.weights_of(fake_run(), step=50).to_dict()["datasets"]["fc1-cutoffs"] == []


@pytest.mark.parametrize(("criterion", "granularity"), [("taylor", "weight"), ("magnitude", "neuron")])
def test_a_threshold_is_drawn_on_the_axis_of_what_it_cuts(criterion, granularity):
    scores = fake_run().histograms.with_columns(axis=pl.lit("score"), left=pl.lit(1e-4), right=pl.lit(1e-3))
    exp = SimpleNamespace(pruning=ex.Pruning(criterion=criterion, granularity=granularity))
    both = pl.concat([fake_run().histograms, scores])
    chart = figures.weights_of(fake_run(histograms=both, experiment=exp))
    assert chart.to_dict()["datasets"]["fc1-cutoffs"] == [{"value": 0.5, "label": "τ = 0.5"}]
    assert "score (log scale)" in words(chart)


def test_weights_refuse_an_axis_that_was_not_recorded():
    with pytest.raises(ValueError, match=r"no histograms of axis 'score'; it has weight$"):
        figures.weights_of(fake_run(), axis="score")
    each = [fake_run().histograms.with_columns(axis=pl.lit(axis)) for axis in ("z", "y", "weight", "b", "a")]
    with pytest.raises(ValueError, match=r"no histograms of axis 'score'; it has a, b, weight, y, z$"):
        figures.layers_of(fake_run(histograms=pl.concat(each)), axis="score")
    with pytest.raises(ValueError, match=r"no histograms of axis 'score'; it has none at all$"):
        figures.layers_of(fake_run(histograms=each[0].clear()), axis="score")


@pytest.mark.parametrize(
    ("kept", "total", "text"),
    [
        (10, 100, "10 % of 100 kept"),
        (100, 100, "100 % of 100 kept"),
        (0, 100, "0 % of 100 kept"),
        (1, 100_352, "0.1 % of 100,352 kept"),
        (100_351, 100_352, "99.9 % of 100,352 kept"),
    ],
)
def test_note_never_rounds_to_all_or_nothing(kept, total, text):
    assert figures.kept_note(kept, total) == {"text": [text]}


def test_gradients_tell_clipped_steps_and_their_share():
    chart = figures.gradients_of(fake_run())
    data = chart.to_dict()["datasets"]
    assert [row["norm"] for row in data["norms"]] == [2.0, 1.0, 0.5, 1.0]
    states = ["clipped", "not clipped", "not clipped", "after clipping"]
    assert [row["state"] for row in data["norms"]] == states
    # 50 steps at 0.6, 150 at 0.1; the record at step 0 covers none
    assert data["note"] == [{"text": "22 % of steps clipped; each mark is a mean over a quarter epoch"}]
    text = words(chart)
    for part in ("clip 1.0", "22 % of steps clipped", "L2 norm", "Gradient norm and clipping"):
        assert part in text


@pytest.mark.parametrize("rule", [("value", "norm"), "value"])
def test_only_a_norm_rule_draws_the_bound(rule):
    exp = SimpleNamespace(epochs=2, clipping=ex.Clipping(rule=rule, max_norm=0.25))
    rows = figures.gradients_of(fake_run(experiment=exp)).to_dict()["datasets"]["clip"]
    assert [row["label"] for row in rows] == (["clip 0.25"] if "norm" in rule and rule != "value" else [])


def test_gradients_without_clipping():
    chart = figures.gradients_of(fake_run(experiment=SimpleNamespace(epochs=2, clipping=None)))
    assert chart.to_dict()["datasets"]["note"] == [
        {"text": "no clipping; each mark is a mean over a quarter epoch"}
    ]


def test_a_wide_range_of_norms_gets_a_log_axis():
    norms = {"epoch": [0, 1], "norm": [0.01, 10.0], "state": ["not clipped"] * 2}
    assert "L2 norm (log scale)" in words(figures.gradients(norms))


def test_overview_holds_everything_and_validates():
    chart = figures.overview(fake_run())
    alt.Chart.from_dict(chart.to_dict(validate=False))  # which validates
    text = words(chart)
    for part in (
        "Validation accuracy",
        "Gradient norm and clipping",
        "Loss",
        "Accuracy shift: pruned − dense",
        "Sparsity",
        "fc1 weights",
        "−0.4 points",
        "τ = 0.5",
    ):
        assert part in text


def test_dark_swaps_every_colour():
    text = json.dumps(figures.dark(figures.accuracy_of(fake_run())).to_dict())
    assert all(f'"{light}"' not in text for light, _, _ in theme.ROLES)


@pytest.mark.slow  # tests/test_imports.py reads the same off the files
def test_figures_know_no_torch_and_what_only_files_need_waits_for_one():
    code = "import sys, explorer.figures; print(sorted({'torch', 'PIL', 'pypdf'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
