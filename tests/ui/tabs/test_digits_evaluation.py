"""The Digits tab asks the networks only where nobody has asked yet, and then a slice of time at a time."""

import pytest
from hands import ENDLESS, PATIENCE, tab_of, well

from explorer.ui.session import sliced_evaluation
from explorer.ui.session.sliced_evaluation import SlicedEvaluation


@pytest.fixture
def asked(monkeypatch):
    """The number of images that the networks were asked about beyond what records and the camera do."""
    counts = []
    logits = sliced_evaluation.logits

    def counted(network, view, x):
        counts.append(len(x))
        return logits(network, view, x)

    monkeypatch.setattr(sliced_evaluation, "logits", counted)
    return counts


def test_what_is_known_is_not_asked_again(opened, asked):
    explorer = opened(epochs=2)
    explorer.tab = "digits"
    well(explorer)
    explorer.session.start()
    explorer.wait(PATIENCE)
    assert "Of 100 validation images" in well(explorer).summary_text.value
    explorer.session.preview(0.5)
    assert "Trying the threshold 0.5, not trained any further, beside the dense twin of epoch 2" in (
        well(explorer).summary_text.value
    )
    explorer.session.view_step(12)
    assert "As of epoch 0.75. " in well(explorer).summary_text.value
    explorer.session.view_step(None)
    well(explorer)
    assert asked == []


def test_between_two_records_it_asks_in_slices_and_says_how_far_it_is(opened, asked, monkeypatch):
    monkeypatch.setattr("explorer.engine.network.forward_backward.CPU_IMAGES", 30)
    monkeypatch.setattr("explorer.ui.tabs.digits.SLICE", 0)
    explorer = opened(epochs=ENDLESS, pruning={"begin_epoch": 0.5})
    explorer.session.start()
    while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < 20:
        pass
    explorer.session.pause()

    def elsewhere(trainer):
        """Neither at a record nor where the camera has judged."""
        known = explorer.session.frames.newest_predictions(trainer)
        return known.step != trainer.step

    while not explorer.session.call(elsewhere).result(PATIENCE):
        explorer.session.resume()
        explorer.session.call(id).result(PATIENCE)
        explorer.session.pause()
    told = []
    tab = tab_of(explorer, "digits")
    tab.summary_text.observe(lambda change: told.append(change["new"]), "value")
    explorer.tab = "digits"
    for _ in range(5):
        well(explorer)
    assert asked == [30] * 6 + [10] * 2
    assert [f"Of {n} (the first of 100; the others follow)" in told[i] for i, n in enumerate((30, 60, 90))]
    assert "Of 100 validation images" in told[3]
    assert len(told) == 4
    explorer.stop()


def test_lanes_that_share_their_weights_are_asked_once(opened, asked):
    explorer = opened()
    trainer = explorer.session.call(lambda trainer: trainer).result(PATIENCE)
    asking = SlicedEvaluation(trainer, [trainer.view(lane) for lane in trainer.lanes], 0)
    assert not asking.work(60)
    assert asked == [100]
    first, second = asking.predictions.lanes
    assert first.equal(second)


def test_a_tab_that_is_left_asks_no_further(opened, asked, monkeypatch):
    monkeypatch.setattr("explorer.engine.network.forward_backward.CPU_IMAGES", 1)
    monkeypatch.setattr("explorer.ui.tabs.digits.SLICE", 0)
    explorer = opened()
    explorer.session.frames.discard_from(0)  # nobody knows
    explorer.tab = "digits"
    explorer.tab = "live"
    for _ in range(5):
        well(explorer)
    assert len(asked) < 10
    assert tab_of(explorer, "digits").evaluation is None
