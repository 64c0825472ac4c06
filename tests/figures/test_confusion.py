"""Tables of flips and confusion, and McNemar's test, worked by hand."""

import math

import numpy as np
import pytest

from explorer import figures

TRUTH = [0, 0, 1, 1, 1, 2]
DENSE = [0, 1, 1, 1, 0, 2]
PRUNED = [1, 0, 1, 2, 0, 2]
NAMES = ["0", "1", "2"]


def test_flips_by_hand():
    table = figures.flip_table(TRUTH, DENSE, PRUNED, NAMES)
    assert table["digit"] == ["0 (n = 2)", "1 (n = 3)", "2 (n = 1)"] * 2
    assert table["side"] == ["lost"] * 3 + ["gained"] * 3
    assert table["count"].tolist() == [-1, -1, 0, 1, 0, 0]


def test_confusion_and_its_change_by_hand():
    cells = figures.confusion_table(TRUTH, DENSE, NAMES)
    counts = dict(
        zip(zip(cells["truth"], cells["answer"], strict=True), cells["count"].tolist(), strict=True)
    )
    assert {pair: n for pair, n in counts.items() if n} == {
        ("0", "0"): 1,
        ("0", "1"): 1,
        ("1", "1"): 2,
        ("1", "0"): 1,
        ("2", "2"): 1,
    }
    assert np.isnan(cells["errors"][[0, 4, 8]]).all()
    change = figures.change_table(TRUTH, DENSE, PRUNED, NAMES)
    after = figures.confusion_table(TRUTH, PRUNED, NAMES)
    assert (change["count"] == after["count"] - cells["count"]).all()


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [(0, 0, 1), (1, 1, 1), (5, 0, 2 / 32), (0, 5, 2 / 32), (8, 2, 2 * (1 + 10 + 45) / 1024)],
)
def test_mcnemar_is_a_fair_coins_tail(lost, gained, p):
    assert figures.mcnemar(lost, gained) == pytest.approx(p)


def test_mcnemar_of_many_flips_is_near_the_normal_approximation():
    z = (2100 - 1900 - 1) / math.sqrt(4000)
    assert figures.mcnemar(2100, 1900) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)


def test_charts_carry_their_tables_or_wait_for_them(tmp_path):
    table, cells = (
        figures.flip_table(TRUTH, DENSE, PRUNED, NAMES),
        figures.confusion_table(TRUTH, DENSE, NAMES),
    )
    printed = figures.flips(table, figures.flip_note(2, 1))
    assert figures.save(printed, tmp_path / "flips.svg").stat().st_size > 2000
    for which in ("pruned", "change"):
        assert figures.save(figures.confusion(cells, which=which), tmp_path / "c.svg").stat().st_size > 2000
        assert "datasets" not in figures.confusion(which=which).to_dict()
