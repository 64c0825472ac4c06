"""What the tabs show of the past: Masks, Digits and the threshold as they were, or else as of when."""

import numpy as np
import pytest
import torch
from hands import PATIENCE, by_class, chart_data, page_says, settled

from explorer.engine.data import datasets

pytestmark = pytest.mark.slow


def drag(explorer, at):
    by_class(explorer, "scrub-slider")[0].value = at
    settled(explorer)


def back(explorer):
    by_class(explorer, "scrub-now")[0].click()
    settled(explorer)


def tab(explorer, name):
    explorer.tab = name
    return settled(explorer)


def thin(explorer, *steps):
    """Keeps the weights of these steps alone."""
    album = explorer.session.snapshots
    album._snapshots = {step: album._snapshots[step] for step in steps}


@pytest.fixture
def done(opened):
    """Two epochs of 16 steps, a record every 4th, pruned at step 16."""
    explorer = opened(epochs=2, lr=0.3, pruning={"threshold": 0.97})
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    return explorer


# -- masks --------------------------------------------------------------------------------------------


def codes(masks):
    return np.frombuffer(masks.units.sheets[0].codes, np.uint8)


def test_masks_are_those_of_then(done):
    masks = tab(done, "masks")
    now, told = codes(masks), masks.summary_text.value
    drag(done, 2)
    assert (codes(masks) > 0).all()
    assert "As of epoch 0.5. Nothing is pruned yet. fc1 keeps 100,352 of" in masks.summary_text.value
    drag(done, 5)
    then, point = codes(masks), done.session.snapshots.at(20)
    assert ((then > 0) == (now > 0)).all()
    assert not (then == now).all()  # the same mask over other weights
    weights = point.view().row[: 784 * 128].numpy()
    kept = then > 0
    assert (np.sign(then[kept].astype(int) - 128) * np.sign(weights[kept]) >= 0).all()
    assert masks.summary_text.value.startswith("<p>As of epoch 1.25. fc1 keeps")
    back(done)
    assert (codes(masks) == now).all()
    assert masks.summary_text.value == told


def test_where_weights_are_not_kept_the_nearest_are_shown_and_named(done):
    masks = tab(done, "masks")
    thin(done, 0, 20, 32)
    drag(done, 4)
    words = "As of step 20 (epoch 1.25): the weights of epoch 1 are no longer kept, and these are nearest. "
    assert words in masks.summary_text.value
    drag(done, 6)  # the same weights: it is the words that change
    assert (
        "As of step 20 (epoch 1.25): the weights of epoch 1.5 are no longer kept" in masks.summary_text.value
    )
    drag(done, 5)
    assert masks.summary_text.value.startswith("<p>As of epoch 1.25. fc1")
    done.session.snapshots.discard_from(0)
    drag(done, 3)
    assert "As of step 32 (epoch 2): the weights of epoch 0.75 are no longer kept" in masks.summary_text.value


# -- digits -------------------------------------------------------------------------------------------


def told_by(done, step):
    """True digits and both networks' answers at a step, by their weights of then."""
    trainer = done.session.call(lambda trainer: trainer).result(PATIENCE)
    point, held = done.session.snapshots.at(step), trainer.split.validation
    x = datasets.normalised(held.pixels, True, torch.float32)
    views = [trainer.network.layout.views(point.view(i).row.unsqueeze(0)) for i in (0, 1)]
    pruned, dense = (trainer.network.forward(view, x).argmax(1) for view in views)
    return held.labels, dense, pruned


@pytest.mark.parametrize("kept", [True, False])
def test_digits_are_those_of_then_whether_weights_are_kept_or_not(done, kept):
    digits = tab(done, "digits")
    truth, dense, pruned = told_by(done, 20)
    lost = int(((dense == truth) & (pruned != truth)).sum())
    now = digits.summary_text.value
    if not kept:
        thin(done, 0, 32)
    drag(done, 5)
    assert digits.summary_text.value.startswith("<p>As of epoch 1.25. Of 100 validation images")
    assert f"loses {lost} that its dense twin" in digits.summary_text.value
    assert ("The pad asks other weights. As of step 32 (epoch 2)" in digits.summary_text.value) != kept
    cells = chart_data(done, "digits-pruned")["cells"]
    assert sum(c["count"] for c in cells if c["truth"] == c["answer"]) == int((pruned == truth).sum())
    back(done)
    assert digits.summary_text.value == now


def test_before_the_prune_event_the_two_networks_were_one(done):
    digits = tab(done, "digits")
    thin(done, 32)
    drag(done, 2)
    assert (
        "As of epoch 0.5. Nothing is pruned yet: the two networks are still one." in digits.summary_text.value
    )


def test_the_pad_asks_the_weights_of_then(done):
    digits = tab(done, "digits")
    page_says(digits.pad, {"type": "random"})
    settled(done)
    now = digits.pad._bars["nets"]
    drag(done, 1)
    then = digits.pad._bars["nets"]
    assert then["pruned"] == then["dense"] != now["dense"]
    back(done)
    assert digits.pad._bars["nets"] == now


# -- the threshold in all its units -------------------------------------------------------------------


def read(weights):
    return {name: field.value for name, field in weights.threshold.fields.items()}


def test_the_thresholds_units_are_those_of_the_weights_of_then(done):
    weights = tab(done, "weights")
    now = read(weights)
    drag(done, 2)
    row = done.session.snapshots.at(8).view().row
    slices = done.session.call(lambda trainer: trainer.network.layout.layers).result(PATIENCE)
    sizes = torch.cat([la.weight.of(row) for la in slices]).abs().sort().values
    k = round(0.97 * len(sizes))
    assert sizes[k - 1] < float(read(weights)["score"]) < sizes[k]
    assert read(weights)["score"] != now["score"]
    assert weights.threshold.source_text.value == (
        "<p>As of epoch 0.5. Cut-offs are those of the weights at epoch 0.5.</p>"
    )
    drag(done, 6)  # after the event it cuts what was there just before it, then as now
    assert read(weights) == now
    assert "just before the first prune event, epoch 1." in weights.threshold.source_text.value
    thin(done, 0, 32)
    drag(done, 1)
    assert "As of step 0 (epoch 0): the weights of epoch 0.25 are no longer kept" in (
        weights.threshold.source_text.value
    )


def test_the_past_can_not_be_typed_into(done):
    weights = tab(done, "weights")
    drag(done, 3)
    fields = weights.threshold.fields.values()
    assert all(field.disabled for field in fields)
    assert all("press “Back to now”" in field.tooltip for field in fields)
    back(done)
    assert not any(field.disabled for field in fields)


# -- while it trains ----------------------------------------------------------------------------------


def test_the_past_stays_as_it_was_while_the_run_goes_on(opened):
    explorer = opened(epochs=30)
    masks = tab(explorer, "masks")
    explorer.session.start()
    while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < 20:
        pass
    explorer.session.view_step(8)
    settled(explorer)
    then = masks.units.sheets
    before = explorer.session.call(lambda trainer: trainer.step).result(PATIENCE)
    while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < before + 5:
        pass
    assert masks.units.sheets is then
    weights = tab(explorer, "weights")
    assert weights.threshold.source_text.value.startswith("<p>As of epoch 0.5. ")
    explorer.stop()


def test_only_the_newest_place_of_the_slider_is_looked_at(done):
    steps, seen = [4, 8, 12], []
    on_frame = done.session.frames.on_frame
    done.session.frames.on_frame = lambda frame: (seen.append(frame.viewed_step), on_frame(frame))

    def three(_):
        for step in steps:
            done.session.view_step(step)

    done.session.call(three).result(PATIENCE)
    settled(done)
    assert seen == [12]


# -- gradients and the trade-off ----------------------------------------------------------------------


def shown(explorer, chart, dataset):
    return explorer._chart.chart(chart).to_dict()["datasets"][dataset]


def test_the_gradients_entries_are_those_of_then(done):
    tab(done, "gradients")
    now = shown(done, "gradient-spread", "bins")
    drag(done, 2)
    then = shown(done, "gradient-spread", "bins")
    gradient = done.session.snapshots.at(8).gradient
    assert sum(row["count"] for row in then if row["layer"] == "fc2") == int(
        gradient[0, -1290:-10].count_nonzero()
    )
    assert then != now
    assert "epoch 0.5" in shown(done, "gradient-spread", "note")[0]["text"]
    thin(done, 4, 32)
    drag(done, 3)
    assert shown(done, "gradient-spread", "bins") == []
    assert shown(done, "gradient-spread", "note")[0]["text"] == "no longer kept of this record"


def test_the_trade_off_says_when_the_run_was_there(done):
    tab(done, "tradeoff")
    accuracy = done.run.summary["val_accuracy"]
    assert shown(done, "tradeoff", "now")[0]["label"] == f"□ this run now: {100 * accuracy:.2f} %"
    drag(done, 6)
    assert shown(done, "tradeoff", "now")[0]["label"].startswith("□ this run at epoch 1.5: ")
    drag(done, 2)
    assert shown(done, "tradeoff", "now") == []  # nothing was pruned then
