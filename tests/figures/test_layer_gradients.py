"""Gradients through depth and the share of clipped steps, from small records worked by hand."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import explorer as ex
from explorer import figures
from explorer.figures import layer_gradients


def rows(spec, dataset):
    return spec.to_dict()["datasets"][dataset]


@pytest.fixture
def run():
    """Two records after the first step: fc2's gradient shrinks to a thousandth of fc1's."""
    history = [
        (100, 1.0, "grad_norm", None, 2.0),
        (100, 1.0, "clipped_grad_norm", None, 1.0),
        (100, 1.0, "clip_rate", None, 0.9),
        (100, 1.0, "grad_norm", "fc1", 2.0),
        (100, 1.0, "grad_norm", "fc2", 0.5),
        (300, 2.0, "grad_norm", None, 0.8),
        (300, 2.0, "clipped_grad_norm", None, 0.7),
        (300, 2.0, "clip_rate", None, 0.3),
        (300, 2.0, "grad_norm", "fc1", 1.0),
        (300, 2.0, "grad_norm", "fc2", 0.001),
    ]
    names = ["step", "epoch", "metric", "layer", "value"]
    events = pl.DataFrame([(150, "prune", 0.0, 0.9)], schema=["step", "what", "from", "to"], orient="row")
    return SimpleNamespace(
        experiment=ex.Experiment(epochs=2),
        history=pl.DataFrame(history, schema=names, orient="row"),
        events=events,
        summary={},
        dense=None,
    )


def test_depth_of_a_run_compares_first_and_last(run):
    chart = figures.depth_of(run)
    assert [(r["layer"], r["norm"], r["record"]) for r in rows(chart, "norms")] == [
        ("fc1", 2.0, "first record"),
        ("fc2", 0.5, "first record"),
        ("fc1", 1.0, "last record"),
        ("fc2", 0.001, "last record"),
    ]
    assert rows(chart, "note") == [{"text": "epochs 1, 2: fc2 = fc1 / 1,000"}]


def test_a_layer_without_any_gradient_is_named():
    tables = figures.depth_tables([(0.5, "fc1", 0.0), (0.5, "fc2", 1.0)])
    assert tables["note"] == {"text": ["epoch 0.5: fc1 has none"]}
    assert figures.depth_tables([])["norms"]["layer"] == []


def test_clip_share_of_a_run_weighs_each_record_by_its_steps(run):
    chart = figures.clip_share_of(run)
    assert [(r["epoch"], r["until"], r["steps"]) for r in rows(chart, "shares")] == [(0, 1, 100), (1, 2, 200)]
    assert [r["share"] for r in rows(chart, "shares")] == pytest.approx([90, 30])
    assert rows(chart, "note")[0]["text"].startswith("50 % of 300 steps")


def test_gradients_of_a_run_show_what_clipping_left(run):
    norms = rows(figures.gradients_of(run), "norms")
    assert [(r["norm"], r["state"]) for r in norms] == [
        (2.0, "clipped"),
        (0.8, "not clipped"),
        (1.0, "after clipping"),
    ]


def test_shares_by_bar_and_a_last_one_that_is_not_full():
    tables = figures.share_tables([1, 1, 0, 0, 1], 2, 4)
    assert tables["shares"]["share"] == [100, 0, 100]
    assert tables["shares"]["steps"] == [2, 2, 1]
    assert tables["shares"]["until"][-1] == 1.25
    assert tables["note"]["text"] == ["60 % of 5 steps; a bar is 2"]


def test_spread_stands_on_each_layers_own_line():
    bins = len(layer_gradients.edges()) - 1
    one = np.zeros(bins, dtype=int)
    one[3], one[4] = 10, 5
    tables = figures.spread_tables({"fc1": (one, 5), "fc2": (np.zeros(bins, dtype=int), 7)}, 1.5)
    assert tables["bins"]["base"] == [0, 0]
    assert tables["bins"]["top"] == [-0.85, -0.425]
    assert tables["zeros"]["text"] == ["25.0 % are 0", "all are 0"]
    assert tables["note"]["text"] == ["n = 27 weights, masked, epoch 1.5"]


@pytest.mark.parametrize("layers", [2, 30])
def test_a_layers_line_is_never_too_low_to_read(layers):
    names = [f"fc{i}" for i in range(layers)]
    for chart in (figures.depth(names), figures.spread(names)):
        assert chart.to_dict()["height"] >= max(150, 17 * layers)
