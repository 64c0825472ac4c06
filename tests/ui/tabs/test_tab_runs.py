"""Runs: pinned, shown in a table and as curves, brought back, shared as text."""

import pytest
from hands import ENDLESS, PATIENCE, by_class, chart_data, move, page_says, settled, tab_of, told

import explorer as ex
from explorer.study.intervals import wilson_interval
from explorer.ui.widgets import experiment_text, runs_table
from explorer.ui.widgets.pinned_runs import MOST, group


def trained(explorer, **changes):
    if changes:
        explorer.experiment = explorer.experiment.replace(changes)
    explorer.session.start()
    return explorer.wait(PATIENCE)


def tab(explorer):
    return tab_of(explorer, "runs")


def pressed(explorer, name):
    by_class(explorer, name)[0].click()
    settled(explorer)


def act(explorer, what, run, **more):
    page_says(tab(explorer).table, {"type": what, "run": run, **more})
    settled(explorer)


@pytest.fixture
def two(opened):
    """Two pinned runs, the second at another learning rate; the Runs tab is shown."""
    explorer = opened()
    explorer.tab = "runs"
    trained(explorer)
    pressed(explorer, "pin")
    trained(explorer, lr=0.02)
    pressed(explorer, "pin")
    return explorer


def test_a_pinned_run_gets_a_name_from_what_differs(two):
    first, second = two._context.pins.runs
    assert first.name == "magnitude 90 %"
    assert second.name == "magnitude 90 %, lr 0.02"
    act(two, "rename", first.ident, name="  slow ")
    assert first.name == "slow"
    act(two, "rename", second.ident, name="slow")
    assert second.name == "slow (2)"
    act(two, "rename", first.ident, name=" ")
    assert first.name == "slow"
    assert [row["pins"][0]["name"] for row in tab(two).table.rows].count("slow") == 1


def test_the_table_has_the_differences_alone_and_the_runs_own_numbers(two):
    table, runs = tab(two).table, {pin.ident: pin for pin in two._context.pins.runs}
    heads = [text for text, _ in table.head]
    assert heads == ["Rank", "Run", "Learning rate", "Accuracy", "Shift (points)", "Sparsity", "Clipped", "n"]
    for row in table.rows:
        pin = runs[row["pins"][0]["run"]]
        assert row["settings"] == [f"{pin.experiment.lr:g}"]
        accuracy, shift, sparsity, clipped, n = row["numbers"]
        assert accuracy[0] == f"{100 * pin.accuracy:.2f} %"
        low, high = wilson_interval(pin.accuracy, 100)
        assert accuracy[1] == f"{100 * low:.1f} – {100 * high:.1f}"
        assert shift[0][0] in "+−±"
        assert sparsity[0] == "90.0 %"
        assert clipped[0] == f"{100 * pin.clip_rate:.1f} %"
        assert n[0] == "1"
    last = two.run.summary
    assert runs[1].accuracy == last["val_accuracy"]
    assert runs[1].dense == two.run.dense.summary["val_accuracy"]


def test_pinned_runs_are_curves_of_this_chart_and_of_the_live_one(two):
    names = {pin.name for pin in two._context.pins.runs}
    drawn = chart_data(two, "runs")["pinned"]
    assert {row["name"] for row in drawn} == names
    two.tab = "live"
    settled(two)
    assert chart_data(two, "accuracy")["pinned"] == drawn
    assert "pinned" not in chart_data(two, "loss")
    own = [row["accuracy"] for row in chart_data(two, "accuracy")["points"] if row["net"] == "pruned"]
    assert sorted(own) == sorted(row["accuracy"] for row in drawn if row["name"].endswith("0.02"))


def test_the_chart_says_how_many_images_judge_each_run(two):
    def subtitle():
        return two.session.call(lambda trainer: tab(two).charts(trainer)["runs"]).result().title.subtitle

    first, _ = two._context.pins.runs
    assert "n = 100 validation images, 1 seed each" in subtitle()
    first.images = 5000
    assert "n = 100 to 5,000 validation images, 1 seed each" in subtitle()


@pytest.mark.slow
def test_without_pins_the_live_chart_is_as_it_was(two):
    for pin in list(two._context.pins.runs):
        act(two, "remove", pin.ident)
    assert tab(two).table.rows == []
    assert tab(two).table.note == runs_table.EMPTY
    two.tab = "live"
    settled(two)
    assert "pinned" not in chart_data(two, "accuracy")


def test_a_restored_run_is_shown_with_its_controls(two):
    first = two._context.pins.runs[0]
    run = two.session.call(lambda trainer: trainer.lanes[0].history.copy()).result(PATIENCE)
    move(two, "seed", 5)
    act(two, "restore", first.ident)
    assert two.experiment == first.experiment
    assert two._controls["lr"].widget.value == pytest.approx(0.1)
    assert two._controls["seed"].widget.value == 0
    assert two.session.status == "done"
    again = two.run
    assert again.summary["val_accuracy"] == first.accuracy
    assert again.records != run
    fresh = ex.train(first.experiment, device="cpu", progress=False)
    assert again.history.equals(fresh.history)
    assert again.row.equal(fresh.row)
    own = [row["accuracy"] for row in chart_data(two, "runs")["points"] if row["net"] == "pruned"]
    drawn = [row["accuracy"] for row in chart_data(two, "runs")["pinned"] if row["name"] == first.name]
    assert sorted(own) == sorted(drawn)


@pytest.mark.slow
def test_a_restored_run_takes_another_threshold_from_before_its_event(two):
    act(two, "restore", two._context.pins.runs[0].ident)
    two.session.set({"pruning.threshold": 0.5})
    run = two.wait(PATIENCE)
    fresh = ex.train(run.experiment, device="cpu", progress=False)
    assert run.history.equals(fresh.history)


@pytest.mark.slow
def test_a_run_is_pinned_while_it_goes_on(opened):
    explorer = opened(epochs=ENDLESS)
    explorer.session.start()
    explorer.session.call(id).result(PATIENCE)
    while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < 4:
        pass
    pin = tab(explorer).pin()
    explorer.stop()
    run = explorer.wait(PATIENCE)
    assert pin.saved.status == "stopped"
    assert pin.saved.snapshot.step <= run.summary["steps"]
    assert pin.saved.points[-1].step <= pin.saved.snapshot.step


@pytest.mark.slow
def test_what_cannot_be_pinned_is_told(opened):
    explorer = opened()
    pressed(explorer, "pin")
    assert "press Train first" in told(explorer)
    trained(explorer)
    pressed(explorer, "pin")
    assert told(explorer) == ""
    pressed(explorer, "pin")
    assert "pinned already, as &#x27;magnitude 90 %&#x27;" in told(explorer)
    explorer._context.pins.runs = [explorer._context.pins.runs[0]] * MOST
    pressed(explorer, "pin")
    assert "remove one first" in told(explorer)


@pytest.mark.slow
def test_seeds_of_one_recipe_are_pooled(opened):
    explorer = opened()
    for seed in (0, 1, 2):
        trained(explorer, seed=seed)
        tab(explorer).pin()
    (seeds,) = group(explorer._context.pins.runs)
    assert seeds.accuracy == pytest.approx(sum(pin.accuracy for pin in seeds.runs) / 3)
    (row,) = tab(explorer).table.rows
    assert [pin["name"].split(", ")[-1] for pin in row["pins"]] == ["magnitude 90 %", "seed 1", "seed 2"]
    assert "±" in row["numbers"][0][0]
    assert row["numbers"][-1][0] == "3"
    assert "Seed" not in [text for text, _ in tab(explorer).table.head]


@pytest.mark.slow
def test_without_validation_images_nothing_is_ranked(opened):
    explorer = opened(validation=0)
    trained(explorer)
    tab(explorer).pin()
    trained(explorer, lr=0.02)
    tab(explorer).pin()
    assert tab(explorer).table.note == runs_table.UNMEASURED
    assert {row["rank"] for row in tab(explorer).table.rows} == {runs_table.MISSING}


def test_the_text_follows_the_controls_and_moves_them(opened):
    explorer = opened()
    explorer.tab = "runs"
    settled(explorer)
    box, sent = tab(explorer).share, []
    assert box.code == explorer.experiment.code()
    box.send = lambda content, buffers=(): sent.append(content)  # noqa: ARG005
    move(explorer, "seed", 4)
    settled(explorer)
    assert ex.Experiment.from_json(box.json).seed == 4
    wanted = explorer.experiment.replace(lr=0.5, seed=9)
    explorer._error.value = "of before"
    page_says(box, {"type": "apply", "text": wanted.code()})
    assert explorer.experiment == wanted
    assert explorer._controls["seed"].widget.value == 9
    assert not explorer._error.value
    assert sent[-1] == {"type": "reply", "ok": True, "text": experiment_text.APPLIED}
    page_says(box, {"type": "apply", "text": "ex.Experiment(seed=-1)"})
    assert not sent[-1]["ok"]
    assert "seed = -1" in sent[-1]["text"]
    assert explorer.experiment == wanted


@pytest.mark.slow
def test_after_a_run_the_text_follows_too(opened):
    explorer = opened()
    trained(explorer)
    explorer.tab = "runs"
    move(explorer, "seed", 4)
    settled(explorer)
    assert tab(explorer).share.code == explorer.experiment.code()
