"""Trade-off: the curve follows the weights, the mark follows the slider, retraining comes seed by seed."""

import threading

import pytest
from hands import PATIENCE, by_class, chart_data, inside, let_go, tab_of, told

from explorer.engine.analysis import sparsity_curve
from explorer.ui.session import retraining
from explorer.ui.tabs import tradeoff


@pytest.fixture(autouse=True)
def _few_points(monkeypatch):
    monkeypatch.setattr(sparsity_curve, "POINTS", 9)
    monkeypatch.setattr(
        sparsity_curve,
        "default_resolution",
        lambda trainer: sparsity_curve.CurveResolution(
            sparsity_curve.shares(9), len(trainer.split.validation)
        ),
    )


def settled(explorer):
    """Waits until the worker has nothing more to do on the curve."""
    tab = tab_of(explorer, "tradeoff")
    for _ in range(200):
        explorer.session.call(id).result(PATIENCE)
        if tab.follower._walk is None:
            explorer.session.refresh()
            explorer.session.call(id).result(PATIENCE)
            return
    raise AssertionError("the curve never came to its end")


def data(explorer):
    return chart_data(explorer, "tradeoff")


@pytest.fixture
def at_tab(opened):
    def open_(**fields):
        explorer = opened(**fields)
        explorer.tab = "tradeoff"
        settled(explorer)
        return explorer

    return open_


def test_an_untrained_network_has_its_curve_at_once(at_tab):
    found = data(at_tab())
    assert len(found["curve"]) >= 9
    assert found["curve"][0]["compression"] == 1
    assert found["note"][0]["text"] == "weights of epoch 0.00, n = 100 images"
    assert found["now"] == found["retrained"] == []


def test_the_curve_is_that_of_the_weights_before_pruning_and_the_run_stands_above(at_tab):
    explorer = at_tab(lr=0.3)
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    found = data(explorer)
    assert found["note"][0]["text"].startswith("weights of epoch 0.50, ")
    points = explorer.session.call(
        lambda t: list(sparsity_curve.evaluate_curve(t, t.lanes[0].experiment))
    ).result(PATIENCE)
    expected = [100 * point.accuracy for point in points if point is not None]
    assert [row["accuracy"] for row in found["curve"]] == expected[::-1]
    accuracy = explorer.run.summary["val_accuracy"]
    assert found["now"][0]["error"] == pytest.approx(100 - 100 * accuracy)
    assert found["dense"][0]["n"] == 1


def test_the_mark_follows_the_slider(at_tab):
    explorer = at_tab(lr=0.3)
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    assert data(explorer)["mark"][0]["compression"] == pytest.approx(10, rel=1e-3)
    explorer._threshold.on_page_event("grab", [90, 1.0])
    explorer._threshold.share.value = 50
    explorer.session.call(id).result(PATIENCE)
    mark = data(explorer)["mark"][0]
    assert mark["compression"] == pytest.approx(2)
    assert mark["label"].endswith("% at 2× (50.0 % pruned)")
    assert data(explorer)["now"] == []  # it is not what is tried out
    let_go(explorer, 0.5)
    explorer.wait(PATIENCE)
    settled(explorer)
    assert data(explorer)["mark"][0]["compression"] == pytest.approx(2, rel=1e-3)


def test_nothing_is_worked_out_while_nobody_looks(opened):
    explorer = opened()
    explorer.session.start()
    explorer.wait(PATIENCE)
    assert tab_of(explorer, "tradeoff").follower.points == []


@pytest.mark.parametrize(
    ("fields", "told_there"),
    [({"pruning": None}, "prunes nothing"), ({"validation": 0}, "no validation images")],
    ids=["dense", "no validation"],
)
def test_where_there_is_no_curve_it_says_why(at_tab, fields, told_there):
    explorer = at_tab(**fields)
    assert told_there in data(explorer)["note"][0]["text"]
    by_class(explorer, "retrain")[0].click()
    assert told_there in told(explorer)


def test_retraining_brings_points_with_their_spread(at_tab, monkeypatch):
    monkeypatch.setattr(tradeoff, "COMPRESSIONS", (2, 8))
    explorer = at_tab(lr=0.3)
    tab = tab_of(explorer, "tradeoff")
    by_class(explorer, "retrain")[0].click()
    tab.retraining.join(PATIENCE)
    assert tab.progress_text.value == tradeoff.DONE
    settled(explorer)
    found = data(explorer)
    assert [row["compression"] for row in found["retrained"]] == pytest.approx([2, 8], rel=1e-3)
    assert {row["n"] for row in found["retrained"]} == {3}
    assert all(row["low"] <= row["error"] <= row["high"] for row in found["retrained"])
    assert found["dense"][0]["n"] == 3
    assert found["note"][0]["text"].endswith("retrained: n = 3 seeds, bars and band ± 1 sd")
    explorer.session.set({"lr": 0.1})  # another recipe: these points are not its own
    settled(explorer)
    assert data(explorer)["retrained"] == []
    explorer.session.set({"lr": 0.3})
    settled(explorer)
    assert len(data(explorer)["retrained"]) == 2


def test_retraining_stops_and_can_begin_anew(at_tab):
    explorer = at_tab(epochs=20)
    tab = tab_of(explorer, "tradeoff")
    start, stop = by_class(explorer, "retrain")[0], by_class(explorer, "retrain-stop")[0]
    assert (start.disabled, stop.disabled) == (False, True)
    start.click()
    assert (start.disabled, stop.disabled) == (True, False)
    stop.click()
    tab.retraining.join(PATIENCE)
    assert (start.disabled, stop.disabled) == (False, True)
    assert tab.progress_text.value == tradeoff.STOPPED


def test_a_double_click_retrains_once(at_tab):
    explorer = at_tab(epochs=20)
    tab, start = tab_of(explorer, "tradeoff"), by_class(explorer, "retrain")[0]
    start.click()
    first = tab.retraining
    start.click()
    assert tab.retraining is first
    assert told(explorer) == ""


def test_what_goes_wrong_is_told_beside_the_button(at_tab, monkeypatch):
    def broken(*_):
        raise RuntimeError("no <memory>")

    monkeypatch.setattr(retraining, "train_stacks", broken)
    explorer = at_tab()
    by_class(explorer, "retrain")[0].click()
    tab_of(explorer, "tradeoff").retraining.join(PATIENCE)
    assert "no &lt;memory&gt;" in tab_of(explorer, "tradeoff").progress_text.value


@pytest.mark.slow
def test_closing_ends_the_retraining(at_tab):
    explorer = at_tab(epochs=20)
    by_class(explorer, "retrain")[0].click()
    explorer.close()
    assert "explorer-retraining" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
def test_a_process_of_its_own_trains_what_the_explorer_itself_brings():
    import explorer as ex

    exp = ex.Experiment(dataset="mnist", batch_size=1024, validation=50_000, lr=0.3)
    rows, ended = [], []
    work = retraining.Retraining(exp, [0.5, 0.9], 1, rows.extend, ended.append)
    work.join(PATIENCE)
    assert ended == [None]
    assert [row["threshold"] for row in rows] == [0.5, 0.9]
    assert rows[0]["dense"] == rows[1]["dense"] > 0.5


@pytest.mark.slow
def test_no_string_is_left_without_a_widget(at_tab):
    parts = [getattr(part, "description", "") for part in inside(tab_of(at_tab(), "tradeoff").panel)]
    assert tradeoff.RETRAIN in parts
    assert tradeoff.STOP in parts
