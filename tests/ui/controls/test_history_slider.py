"""The scrubber: the run as it was at a record, now again, and a branch from there."""

import pytest
from hands import ENDLESS, PATIENCE, by_class, chart_data, move, settled, told

import explorer as ex
from explorer.ui.session.snapshots import SnapshotStore


def status(explorer):
    return explorer.controls["status"].value


def slider(explorer):
    return by_class(explorer, "scrub-slider")[0]


def button(explorer, name):
    return by_class(explorer, f"scrub-{name}")[0]


def drag(explorer, at):
    slider(explorer).value = at
    settled(explorer)


def press(explorer, name):
    button(explorer, name).click()
    settled(explorer)


def bins(explorer, layer="fc1"):
    return [(row["state"], row["count"]) for row in chart_data(explorer, f"weights-{layer}")["bins"]]


@pytest.fixture
def done(opened):
    explorer = opened(epochs=2)
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    return explorer


def test_there_is_no_scrubber_before_there_is_a_past(opened):
    explorer = opened()
    assert by_class(explorer, "scrub")[0].layout.display == "none"
    explorer.session.start()
    explorer.wait(PATIENCE)
    assert by_class(explorer, "scrub")[0].layout.display is None


def test_the_slider_has_a_place_for_each_record_and_stands_at_the_last(done):
    assert (slider(done).min, slider(done).max, slider(done).value) == (0, 8, 8)
    assert button(done, "branch").layout.visibility == "hidden"
    assert by_class(done, "scrub-said")[0].value == "now"


@pytest.mark.slow
def test_prune_events_between_records_have_a_place_too(opened):
    explorer = opened(pruning={"begin_epoch": 0.3})
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    assert slider(explorer).max == 5
    drag(explorer, 2)
    assert "looking at epoch 0.31" in status(explorer)
    assert ">90.0 %<" in status(explorer)


def test_going_back_shows_accuracy_and_curves_as_they_were(done):
    whole = chart_data(done, "accuracy")["points"]
    drag(done, 3)
    assert "looking at epoch 0.75" in status(done)
    shown = chart_data(done, "accuracy")["points"]
    assert shown == [row for row in whole if row["epoch"] <= 0.75]
    assert max(row["epoch"] for row in chart_data(done, "sparsity")["points"]) == 0.75
    assert chart_data(done, "accuracy")["events"] == []
    history = done.run.history
    accuracy = history.filter((history["step"] == 12) & (history["metric"] == "val_accuracy"))["value"][0]
    assert f">{100 * accuracy:.2f} %<" in status(done)
    assert ">0.0 %<" in status(done)
    drag(done, 5)
    assert ">90.0 %<" in status(done)
    press(done, "now")
    assert "looking" not in status(done)
    assert chart_data(done, "accuracy")["points"] == whole
    assert slider(done).value == 8
    drag(done, 4)
    drag(done, 8)  # the end of the slider is now, too
    assert "looking" not in status(done)


@pytest.mark.parametrize("kept", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_weights_tab_shows_the_recorded_histograms(done, kept):
    done.tab = "weights"
    settled(done)
    now = bins(done)
    if not kept:
        done.session.snapshots.discard_from(0)
    drag(done, 3)
    run = done.run.histograms
    for state in ("kept", "pruned"):
        recorded = run.filter((run["step"] == 12) & (run["layer"] == "fc1") & (run["axis"] == "weight"))[
            state
        ]
        assert [count for name, count in bins(done) if name == state] == recorded.to_list()
    assert bins(done) != now
    note = chart_data(done, "weights-fc1")["note"][0]["text"]
    assert note.startswith("100 %")
    assert chart_data(done, "weights-fc1")["cutoffs"] == []
    press(done, "now")
    assert bins(done) == now
    assert len(chart_data(done, "weights-fc1")["cutoffs"]) == 2


@pytest.mark.slow
def test_scores_are_there_from_their_event_on(opened):
    explorer = opened(epochs=1, pruning={"criterion": "taylor"})
    explorer.tab = "weights"
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    now = chart_data(explorer, "scores-fc1")["bins"]
    drag(explorer, 1)
    assert chart_data(explorer, "scores-fc1")["bins"] == []
    drag(explorer, 3)
    assert chart_data(explorer, "scores-fc1")["bins"] == now


@pytest.mark.slow
def test_the_gradients_tab_ends_there(done):
    done.tab = "gradients"
    drag(done, 2)
    assert max(row["epoch"] for row in chart_data(done, "gradients")["norms"]) < 0.5


def test_training_goes_on_while_the_past_is_looked_at(opened):
    explorer = opened(epochs=ENDLESS)
    explorer.session.start()
    while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < 20:
        pass
    explorer.session.view_step(8)
    settled(explorer)
    before = explorer.session.call(lambda trainer: trainer.step).result(PATIENCE)
    while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < before + 5:
        pass
    assert "looking at epoch 0.5" in status(explorer)
    explorer.stop()
    explorer.session.start()
    settled(explorer)
    assert explorer.session.viewed_step is None
    explorer.stop()


# -- branches -----------------------------------------------------------------------------------------


def test_a_branch_without_changes_ends_where_the_run_ended(done):
    whole = done.run
    drag(done, 5)
    press(done, "branch")
    run = done.wait(PATIENCE)
    assert run.history.equals(whole.history)
    assert run.row.equal(whole.row)
    assert not run.summary["steered"]
    assert run.events.rows() == [*whole.events.rows(), (20, "branch", None, None)]
    assert done.session.viewed_step is None
    labels = [row["label"] for row in chart_data(done, "accuracy")["events"]]
    assert labels == ["pruned to 90 %", "branch"]


def test_a_branch_takes_the_present_controls_from_there(done):
    whole = done.run
    move(done, "lr", 0.02)  # after the run has ended: nothing starts
    assert done.session.status == "done"
    drag(done, 6)
    press(done, "branch")
    run = done.wait(PATIENCE)
    assert told(done) == ""
    assert run.summary["steered"]
    assert run.experiment == done.experiment == whole.experiment.replace(lr=0.02)
    assert (24, "lr", 0.1, 0.02) in run.events.rows()
    first = whole.history.filter(whole.history["step"] <= 24)
    assert run.history.filter(run.history["step"] <= 24).equals(first)
    assert not run.history.equals(whole.history)


def test_a_branch_before_the_event_can_still_be_pruned_otherwise(done):
    drag(done, 2)
    press(done, "branch")
    done.wait(PATIENCE)
    done.session.set({"pruning.threshold": 0.5})
    run = done.wait(PATIENCE)
    assert run.summary["sparsity"] == pytest.approx(0.5, abs=1e-4)


def test_what_cannot_branch_is_told_and_the_run_stays(done):
    row = done.run.row
    move(done, "batch_size", 64)
    drag(done, 4)
    press(done, "branch")
    assert "batch_size = 64, but this run has 32" in told(done)
    assert done.run.row.equal(row)
    assert done.session.status == "done"
    press(done, "now")
    assert told(done) == ""


def test_where_weights_are_not_kept_the_button_says_so(done):
    album = done.session.snapshots
    album._snapshots = {step: point for step, point in album._snapshots.items() if step != 16}
    drag(done, 4)
    assert button(done, "branch").disabled
    assert "those of epochs 0, 0.25, 0.5" in button(done, "branch").tooltip
    drag(done, 5)
    assert not button(done, "branch").disabled
    with pytest.raises(ValueError, match="step 16 are not kept"):
        done.session.branch(16)


def test_a_dense_run_branches_into_a_pruned_one_beside_its_twin(opened, tiny):
    explorer = opened(epochs=2, pruning=None)
    explorer.session.start()
    explorer.wait(PATIENCE)
    explorer.session.branch(20, tiny(epochs=2))
    run = explorer.wait(PATIENCE)
    assert run.dense is not None
    assert run.summary["sparsity"] == pytest.approx(0.9, abs=1e-4)
    fresh = ex.train(tiny(epochs=2, pruning=None), device="cpu", progress=False)
    assert run.dense.row.equal(fresh.row)


# -- what is kept -------------------------------------------------------------------------------------


class Snap:
    """Stands for a trainer and for its snapshot: ten bytes of its own, and what it shares with the others."""

    nbytes = 10

    def __init__(self, step, *shared):
        self.step, self._shared, self.compared = step, shared, []

    def snapshot(self):
        return self

    def deduplicated(self, other):
        self.compared.append((self.step, other.step))
        return self

    def tensors(self):
        return [self, *self._shared]


def test_an_album_is_bounded_and_thins_out_evenly():
    album = SnapshotStore(most=50)
    for step in range(0, 101, 5):
        album.append(Snap(step))
        assert len(album.steps) <= 5
    assert (album.steps[0], album.steps[-1]) == (0, 100)
    gaps = [b - a for a, b in zip(album.steps, album.steps[1:], strict=False)]
    assert max(gaps) <= 50


def test_only_moments_that_stay_are_compared_with_those_before():
    album, snaps = SnapshotStore(most=50), [Snap(step) for step in range(64)]
    for snap in snaps:
        album.append(snap)
    compared = [pair for snap in snaps for pair in snap.compared]
    assert set(album.steps[1:-1]) <= {step for step, _ in compared}
    assert all(before < step for step, before in compared)
    assert len(compared) < 16  # of 64: the others were thinned out at the next moment


def test_what_snapshots_share_counts_once():
    album, shared = SnapshotStore(most=50), Snap(-1)
    for step in range(10):
        album.append(Snap(step, shared))
    assert len(album.steps) == 4


def test_snapshots_hold_only_what_changed_and_are_the_same_to_the_bit(done):
    points = [done.session.snapshots.at(step) for step in (20, 24)]
    for name in ("mask", "pruned_values"):  # they changed at the prune event of step 16
        first, second = (getattr(point.state, name) for point in points)
        assert first is second
    first, second = (point.state.criterion_memory["initial_weight"] for point in points)
    assert first is second
    assert not points[0].state.theta.equal(points[1].state.theta)


def test_an_album_keeps_two_however_large():
    album = SnapshotStore(most=5)
    for step in range(4):
        album.append(Snap(step))
    assert album.steps == [0, 3]


def test_a_new_run_forgets_the_old_ones_past(done):
    assert done.session.snapshots.steps == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    done.experiment = done.experiment.replace(seed=3)
    settled(done)
    assert done.session.snapshots.steps == []
    assert by_class(done, "scrub")[0].layout.display == "none"
