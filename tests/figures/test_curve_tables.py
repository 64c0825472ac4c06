"""What was measured as rows, and the tables of charts over epochs that are made of them."""

import polars as pl
import pytest
from test_figures import fake_run, history

from explorer import figures
from explorer.figures.accuracy import accuracy_table
from explorer.figures.accuracy_shift import label_table, shift_table
from explorer.figures.curves import before_pruning, first_prune
from explorer.figures.loss import loss_table
from explorer.figures.pinned import pinned_table
from explorer.figures.sparsity import sparsity_table

ROWS = [
    *((0, 0.0, "pruned", "val_accuracy", 0.1), (0, 0.0, "dense", "val_accuracy", 0.1)),
    *((29, 1.0, "pruned", "val_accuracy", 0.5), (29, 1.0, "dense", "val_accuracy", 0.75)),
    *((29, 1.0, "dense", "val_loss", 2.0), (29, 1.0, "dense", "train_loss", 3.0)),
    *((58, 2.0, "pruned", "val_accuracy", 0.75), (58, 2.0, "pruned", "sparsity", 0.5)),
]


def test_the_first_prune_event_is_not_the_first_event():
    assert first_prune([(3, "lr", 0.1, 0.2), (29, "prune", 0.0, 0.5), (40, "prune", 0.5, 0.6)]) == 29
    assert first_prune([(3, "lr", 0.1, 0.2)]) is None


@pytest.mark.parametrize("first", [None, 58, 30])
def test_before_an_event_at_which_no_twin_was_measured_nothing_is_known(first):
    assert before_pruning(ROWS, first) == []


def test_just_before_pruning_the_network_stands_where_its_twin_stands():
    rows = [*before_pruning(ROWS, 29), *ROWS]
    points = accuracy_table(rows)
    assert points["epoch"] == [1.0, 1.0, 1.0, 2.0]  # the untrained networks are left out
    assert points["accuracy"] == [75.0, 50.0, 75.0, 75.0]
    assert points["net"] == ["pruned", "pruned", "dense", "pruned"]
    losses = loss_table(rows)
    assert losses["net"] == ["pruned", "dense", "dense"]
    assert losses["part"] == [
        "validation",
        "validation",
        "training",
    ]  # a mean over steps has no moment before
    assert shift_table(points) == {"epoch": [1.0, 1.0], "shift": [0.0, -25.0]}
    assert label_table(points) == {"epoch": [1.0], "accuracy": [50.0], "label": ["−25.0 points"]}


def test_sparsity_is_drawn_from_the_first_record_on():
    rows = [(0, 0.0, "pruned", "sparsity", 0.0), *ROWS]
    assert sparsity_table(rows) == {"epoch": [0.0, 2.0], "sparsity": [0.0, 50.0]}


def test_a_pinned_run_falls_at_its_event():
    own = [row for row in [*before_pruning(ROWS, 29), *ROWS[2:]] if row[2] == "pruned"]
    assert pinned_table({"mine": own}) == {
        "epoch": [1.0, 1.0, 2.0],
        "accuracy": [75.0, 50.0, 75.0],
        "name": ["mine"] * 3,
    }


def test_a_run_falls_at_its_event_wherever_rounding_puts_that():
    step, steps = 29, 860
    assert step * (1 / steps) != step / steps
    curve = history([(at, at / steps, "val_accuracy", None, 0.5) for at in (step, steps)])
    events = pl.DataFrame([(step, "prune", 0.0, 0.9)], schema=["step", "what", "from", "to"], orient="row")
    run = fake_run(history=curve, events=events)
    run.dense.history = curve.with_columns(value=0.75)
    points = figures.accuracy_of(run).to_dict()["datasets"]["points"]
    assert points[0] == {"epoch": step / steps, "accuracy": 75.0, "net": "pruned"}
