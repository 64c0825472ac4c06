"""Curves of long runs: no more points than a chart can show, and those that are drawn stay."""

import math

import pytest
from hands import chart_data

from explorer import figures
from explorer.ui.session import frames
from explorer.ui.session.frames import Point
from explorer.ui.tabs.tab import MOST_POINTS, thinned


def points(count, judged=lambda _: True):
    return [
        Point(i, i / 4, [{"val_accuracy": 0.5} if judged(i) else {"train_loss": 1.0}]) for i in range(count)
    ]


def test_short_curves_are_drawn_whole():
    assert thinned(points(MOST_POINTS)) == points(MOST_POINTS)
    assert thinned([]) == []


def test_long_curves_keep_first_and_last_and_come_in_order():
    found = thinned(points(10_001))
    assert MOST_POINTS / 2 < len(found) <= MOST_POINTS + 1
    assert (found[0].step, found[-1].step) == (0, 10_000)
    assert found == sorted(found, key=lambda point: point.step)


def test_accuracy_is_not_crowded_out_by_training_loss():
    found = thinned(points(20_000, judged=lambda i: i % 5 == 0))
    assert sum(bool(point.accuracy) for point in found) > MOST_POINTS / 2
    assert sum(not point.accuracy for point in found) > MOST_POINTS / 2


def test_a_point_that_is_drawn_stays_as_the_run_goes_on():
    before, after = thinned(points(1000)), thinned(points(1100))
    assert {point.step for point in before[:-1]} <= {point.step for point in after}


def rows(table):
    """Rows that can be compared: live ones come point by point, printed ones network by network."""
    return sorted(tuple(row.values()) for row in table)


@pytest.mark.parametrize("pruning", [{"threshold": 0.9}, None])
def test_the_page_and_print_draw_the_same_points(trained, monkeypatch, pruning):
    monkeypatch.setattr(frames, "JUDGE_SECONDS", math.inf)  # points at records alone, as in print
    explorer, _ = trained("live", epochs=3, lr=0.3, pruning=pruning)
    builders = {"accuracy": figures.accuracy_of, "loss": figures.loss_of, "sparsity": figures.sparsity_of}
    builders |= {"shift": figures.shift_band_of} if pruning else {}
    for name, build in builders.items():
        live, printed = chart_data(explorer, name), build(explorer.run).to_dict()["datasets"]
        assert printed["points"], name
        assert {dataset: rows(live[dataset]) for dataset in printed} == {
            dataset: rows(table) for dataset, table in printed.items()
        }
