"""The Weights tab: the threshold in all its units, log counts, and what each layer keeps."""

import re

import pytest
from hands import PATIENCE, settled, tab_of, told

from explorer.experiment import Pruning
from explorer.ui.tabs.parts.layer_density import LayerDensity, alarms
from explorer.ui.tabs.parts.threshold_fields import NOTHING, parse


@pytest.fixture
def weights(trained):
    """Returns a function that opens an explorer at its Weights tab, trained, and gives both."""

    return lambda **pruning: trained("weights", pruning={"threshold": 0.9, **pruning})


def masks(explorer):
    return explorer.run.masks


def same(one, other):
    return all((one[name] == other[name]).all() for name in one)


def type_in(explorer, tab, name, text):
    tab.threshold.fields[name].value = text
    run = explorer.wait(PATIENCE)
    settled(explorer)
    return run


@pytest.mark.parametrize("unit", ["sparsity", pytest.param("score", marks=pytest.mark.slow)])
def test_what_is_read_can_be_typed_in_and_cuts_the_same(weights, unit):
    explorer, tab = weights()
    if unit == "score":
        explorer._change({"pruning.unit": "score"})
        explorer.wait(PATIENCE)
    before = {name: field.value for name, field in tab.threshold.fields.items()}
    assert not [text for text in before.values() if text == NOTHING]
    kept = masks(explorer)
    for name, text in before.items():
        if " – " in text:
            continue
        type_in(explorer, tab, "sparsity", "50 %")
        assert not same(masks(explorer), kept)
        type_in(explorer, tab, name, text)
        assert told(explorer) == ""
        assert same(masks(explorer), kept), name


def test_a_field_moves_the_slider_and_the_other_fields(weights):
    explorer, tab = weights()
    run = type_in(explorer, tab, "compression", "150")
    assert explorer.experiment.pruning.threshold == pytest.approx(1 - 1 / 150)
    assert explorer._threshold.share.value == pytest.approx(100 * explorer.experiment.pruning.threshold)
    assert run.summary["sparsity"] == pytest.approx(1 - 1 / 150, abs=1e-5)
    assert explorer._threshold.wanted is None
    assert parse("sparsity", tab.threshold.fields["sparsity"].value) == pytest.approx(1 - 1 / 150, abs=1e-5)


@pytest.mark.slow
def test_the_pages_own_rounding_of_a_typed_threshold_is_no_move(weights, monkeypatch):
    explorer, tab = weights()
    type_in(explorer, tab, "compression", "150")
    monkeypatch.setattr("explorer.ui.controls.threshold.RELEASE_SECONDS", 1e6)  # it never rests
    explorer._threshold.share.value = 99.33  # what the page makes of it
    assert explorer._threshold.pending is None
    assert explorer.experiment.pruning.threshold == pytest.approx(1 - 1 / 150)
    explorer._threshold.share.value = 99  # a person
    assert explorer._threshold.pending == 0.99


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("score", "lots", "type a number, such as 0.05"),
        ("sparsity", "100 %", "less than 100 %"),
        ("compression", "0.5", "a factor of 1 or more"),
    ],
)
def test_what_makes_no_sense_is_told_and_taken_back(weights, name, text, advice):
    explorer, tab = weights()
    before = tab.threshold.fields[name].value
    type_in(explorer, tab, name, text)
    assert advice in told(explorer)
    assert tab.threshold.fields[name].value == before
    assert explorer.experiment.pruning.threshold == 0.9


def test_fields_without_meaning_can_not_be_typed_into(weights):
    _, tab = weights(criterion="movement")
    fields = tab.threshold.fields
    assert [name for name, field in fields.items() if field.disabled] == ["std", "mean"]
    assert fields["std"].value == NOTHING
    assert fields["score"].description == "Score"


def test_without_pruning_there_is_no_threshold(opened):
    explorer = opened(pruning=None)
    explorer.tab = "weights"
    settled(explorer)
    tab = tab_of(explorer, "weights")
    assert all(field.disabled for field in tab.threshold.fields.values())
    assert "prunes nothing" in tab.threshold.source_text.value


@pytest.mark.slow
def test_the_unit_in_use_is_marked(weights):
    _, tab = weights(unit="std", threshold=1.0)
    used = [n for n, f in tab.threshold.fields.items() if "explorer-as-used" in f._dom_classes]
    assert used == ["std"]
    assert tab.threshold.fields["std"].value == "1"
    assert " – " in tab.threshold.fields["score"].value


@pytest.mark.slow
def test_log_counts_make_the_charts_anew(weights):
    explorer, tab = weights()
    tab.counts.value = "log"
    settled(explorer)
    chart = explorer._chart.chart("weights-fc1").to_dict()
    assert '"symlog"' in str(chart).replace("'", '"')
    assert chart["datasets"]["bins"]


# -- what each layer keeps ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "all_", "outputs", "alarm"),
    [
        (100, 10_000, 10, ""),  # exactly 1 %
        (99, 10_000, 10, "low"),
        (10, 100, 10, ""),  # exactly one per output unit
        (9, 100, 10, "low"),
        (1, 100_000, 1, "low"),
        (0, 10_000, 10, "none"),
    ],
)
def test_the_alarm_begins_exactly_at_its_bound(kept, all_, outputs, alarm):
    assert LayerDensity("fc1", kept, all_, outputs).alarm == alarm


def test_advice_names_the_layer_and_what_is_not_done_yet():
    low, gone = LayerDensity("fc1", 5, 10_000, 10), LayerDensity("fc2", 0, 500, 10, last=True)
    first, second, advice = alarms([low, gone], Pruning(threshold=0.99))
    assert first == "fc2 keeps none of its 500 weights: nothing gets through."
    assert second.startswith("fc1 keeps 0.05 % of its weights, 0.5 per output unit")
    assert "“uniform” or “erk”" in advice
    assert "Spare last" in advice
    assert "Spare last" not in alarms([low], Pruning(threshold=0.99))[-1]
    assert alarms([low], Pruning(threshold=0.99, allocation="erk"))[-1] == "Try a lower threshold."
    assert "with unit “sparsity”" in alarms([low], Pruning(threshold=1.0, unit="std"))[-1]
    assert alarms([LayerDensity("fc1", 100, 200, 10)], Pruning()) == []


def test_a_layer_near_its_end_is_seen_while_dragging(weights):
    explorer, tab = weights()
    assert "explorer-alarm" not in tab.densities.value
    explorer._threshold.hear("grab", [90, 1.0])
    explorer._threshold.share.value = 99.5
    settled(explorer)
    assert "explorer-alarm-none" in tab.densities.value
    assert "this threshold would keep" in tab.densities.value
    assert re.search(r'explorer-keep-none" data-layer="fc1"', tab.densities.value)
    explorer._threshold.share.value = 90
    settled(explorer)
    assert "explorer-alarm" not in tab.densities.value
    explorer._threshold.hear("release", [90, 1.0])


@pytest.mark.parametrize(
    ("kept", "all_", "text"),
    [
        (0, 100, "0 %"),
        (100, 100, "100 %"),
        (1, 10**6, "0.01 %"),
        (10**6 - 1, 10**6, "99.9 %"),
        (52, 10**4, "0.52 %"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(kept, all_, text):
    assert LayerDensity("fc1", kept, all_, 1).percent == text
