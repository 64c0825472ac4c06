"""Figures over epochs: loss, the shift and sparsity, with the same marks for events in each."""

import json
import re

import polars as pl
import pytest
import vl_convert
from test_figures import fake_run, history, words

from explorer import figures
from explorer.figures import accuracy_shift, saving, theme, timeline

LIVE = {
    "loss": (figures.loss, {"points", "events"}),
    "shift": (figures.shift_band, {"points", "events"}),
    "sparsity": (figures.sparsity, {"points", "events"}),
}


@pytest.mark.parametrize("name", LIVE)
def test_live_charts_wait_for_their_datasets(name):
    build, datasets = LIVE[name]
    spec = build(epochs=3).to_dict()
    vega = vl_convert.vegalite_to_vega(spec, vl_version=saving.vegalite_version())
    assert {data["name"] for data in vega["data"] if "source" not in data} - {"empty"} >= datasets
    assert spec["description"]
    roles = {light for light, _, _ in theme.ROLES}
    assert set(re.findall(r'"(#[0-9a-fA-F]+)"', json.dumps(spec))) <= roles


def with_losses():
    """The run of the other tests, with losses: they rise as the network is pruned at epoch 1."""
    own = [
        *(
            (0, 0.0, "val_loss", None, 2.3),
            (100, 1.0, "val_loss", None, 0.4),
            (200, 2.0, "val_loss", None, 0.2),
        ),
        *((100, 1.0, "train_loss", None, 0.3), (200, 2.0, "train_loss", None, 0.25)),
        *(
            (0, 0.0, "sparsity", None, 0.0),
            (100, 1.0, "sparsity", None, 0.9),
            (200, 2.0, "sparsity", None, 0.9),
        ),
        (100, 1.0, "train_loss", "fc1", 9.0),
    ]
    twin = [(100, 1.0, "val_loss", None, 0.1), (200, 2.0, "val_loss", None, 0.05)]
    run = fake_run()
    run.history = pl.concat([run.history, history(own)])
    run.dense.history = pl.concat([run.dense.history, history(twin)])
    return run


def test_losses_of_both_networks_and_where_the_pruned_one_stood_before():
    chart = figures.loss_of(with_losses())
    rows = chart.to_dict()["datasets"]["points"]
    validation = [(row["net"], row["epoch"], row["loss"]) for row in rows if row["part"] == "validation"]
    assert validation == [
        ("pruned", 1.0, 0.1),  # the twin's, just before the event
        ("pruned", 1.0, 0.4),
        ("pruned", 2.0, 0.2),
        ("dense", 1.0, 0.1),
        ("dense", 2.0, 0.05),
    ]
    assert [row["loss"] for row in rows if row["part"] == "training"] == [0.3, 0.25]
    text = words(chart)
    for part in ("cross-entropy, mean over images", "loss (log scale)", "training", "validation", "dense"):
        assert part in text


def test_a_loss_of_zero_has_no_place_on_a_log_axis_but_on_a_linear_one():
    points = {"epoch": [1.0, 2.0], "loss": [0.5, 0.0], "net": ["dense"] * 2, "part": ["training"] * 2}
    assert "loss (log scale)" in words(figures.loss(points))
    assert "log" not in words(figures.loss(points, log=False))


def test_the_shift_is_zero_until_the_event_and_falls_there():
    rows = figures.shift_band_of(fake_run()).to_dict()["datasets"]["points"]
    assert [(row["epoch"], round(row["shift"], 6)) for row in rows] == [(1.0, 0.0), (1.0, -0.5), (2.0, -0.4)]


def test_a_shift_of_chance_does_not_fill_the_chart():
    points = {"epoch": [1.0, 2.0], "shift": [0.05, -0.1]}
    found = re.search(r"values from (\S+) to (\S+)\"", words(figures.shift_band(points)).split("Y-axis")[1])
    assert [found[1].replace("−", "-"), found[2]] == ["-1", "0.2"]


def test_without_a_pair_there_is_no_shift():
    alone = pl.DataFrame({"epoch": [1.0], "accuracy": [97.0], "net": ["pruned"]})
    assert accuracy_shift.shift_table(alone) == {"epoch": [], "shift": []}


def test_sparsity_in_percent():
    rows = figures.sparsity_of(with_losses()).to_dict()["datasets"]["points"]
    assert [row["sparsity"] for row in rows] == [0.0, 90.0, 90.0]


def test_events_in_words():
    table = figures.event_table([(50, "prune", 0.0, 0.9), (80, "lr", 0.1, 0.05)], 1 / 100)
    assert table == {
        "epoch": [0.5, 0.8],
        "label": ["pruned to 90 %", "lr 0.1 → 0.05"],
        "kind": ["prune", "move"],
    }


def test_many_prune_events_go_without_words():
    few = figures.event_table([(i, "prune", 0.0, 0.1 * i) for i in range(1, 4)], 1.0)
    assert few["label"] == ["10 %", "20 %", "30 %"]
    many = figures.event_table([(i, "prune", 0.0, 0.1) for i in range(timeline.LABELLED_EVENTS + 1)], 1.0)
    assert set(many["label"]) == {""}


@pytest.mark.parametrize("build", [figures.loss_of, figures.shift_band_of, figures.sparsity_of])
def test_every_figure_over_epochs_marks_the_events(build):
    events = build(with_losses()).to_dict()["datasets"]["events"]
    assert [(row["epoch"], row["kind"]) for row in events] == [(1.0, "prune"), (1.5, "move")]


def test_ten_epochs_are_written_as_ten():
    points = {"epoch": [0.0, 10.0], "sparsity": [0.0, 90.0]}
    text = words(figures.sparsity(points, epochs=10))
    assert ">10</text>" in text
    assert "1e+1" not in text
