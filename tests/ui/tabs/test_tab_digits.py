"""The Digits tab: flipped images against a plain loop, what is drawn, and runs that have no pair."""

import numpy as np
import pytest
import torch
from hands import PATIENCE, chart_data, page_says, tab_of, well

from explorer.engine.analysis import predictions
from explorer.engine.data import datasets
from explorer.ui.explorer import Explorer

RANDOM = {"type": "random"}


def plain(explorer):
    """What both networks answer, image by image, without the engine."""
    held = explorer.session.call(lambda trainer: trainer.split.validation).result(PATIENCE)
    x = datasets.normalised(held.pixels, True, torch.float32)
    with torch.no_grad():
        pruned, dense = (run.model()(x).argmax(1).tolist() for run in (explorer.run, explorer.run.dense))
    return held, list(zip(held.labels.tolist(), dense, pruned, strict=True))


def rows(explorer, chart, dataset):
    return chart_data(explorer, chart)[dataset]


def test_flipped_images_are_those_of_a_plain_loop(trained):
    explorer, tab = trained("digits", lr=0.3, pruning={"threshold": 0.97})
    held, told = plain(explorer)
    lost = [i for i, (truth, dense, pruned) in enumerate(told) if dense == truth != pruned]
    gained = [i for i, (truth, dense, pruned) in enumerate(told) if pruned == truth != dense]
    assert lost
    sheets = {sheet.name: sheet for sheet in tab.images.sheets}
    shown = np.frombuffer(sheets["lost"].codes, np.uint8).reshape(-1, 28, 28)
    assert (shown == held.pixels[lost[:20], 0].numpy()).all()
    truth, dense, pruned = told[lost[0]]
    assert sheets["lost"].captions[0] == f"true {truth}\n{dense} → {pruned}"
    assert f"{len(lost)} images" in sheets["lost"].note or f"20 of {len(lost)} images" in sheets["lost"].note
    assert sheets["gained"].count == min(20, len(gained))
    assert (
        f"loses {len(lost)} that its dense twin gets right, and gains {len(gained)} "
        in tab.summary_text.value
    )


def test_charts_count_flips_and_mistakes_of_each_digit(trained):
    explorer, _ = trained("digits", lr=0.3, pruning={"threshold": 0.97})
    _, told = plain(explorer)
    lost = [sum(t == d and dense == t != pruned for t, dense, pruned in told) for d in range(10)]
    bars = rows(explorer, "digits-flips", "flips")
    assert [-bar["count"] for bar in bars if bar["side"] == "lost"] == lost
    for chart, place in (("dense", 1), ("pruned", 2)):
        cells = {(c["truth"], c["answer"]): c["count"] for c in rows(explorer, f"digits-{chart}", "cells")}
        for a in range(10):
            assert cells["3", str(a)] == sum(row[0] == 3 and row[place] == a for row in told)


def test_before_anything_is_pruned_the_two_are_one(opened):
    explorer = opened()
    explorer.tab = "digits"
    tab = well(explorer)
    assert "Nothing is pruned yet" in tab.summary_text.value
    assert [sheet.count for sheet in tab.images.sheets] == [0, 0]


def test_a_threshold_that_is_tried_out_is_looked_at(trained):
    explorer, tab = trained("digits", lr=0.3)
    before = tab.summary_text.value
    explorer.session.preview(0.99)
    assert "Trying the threshold 0.99" in well(explorer).summary_text.value
    explorer.session.refresh()
    assert well(explorer).summary_text.value == before


def test_runs_without_a_pair_say_so(opened, tiny):
    explorer = opened(pruning=None)
    explorer.tab = "digits"
    assert "This run prunes nothing" in well(explorer).summary_text.value
    assert set(explorer._chart.visible) == {"digits-pruned"}
    page_says(tab_of(explorer, "digits").pad, RANDOM)
    assert set(well(explorer).pad._bars["nets"]) == {"dense"}
    alone = Explorer(tiny(), device="cpu", twin=False)
    alone.tab = "digits"
    assert "No dense twin" in well(alone).summary_text.value
    alone.close()


def test_without_validation_images_nothing_is_looked_at(opened):
    explorer = opened(validation=0)
    explorer.tab = "digits"
    tab = well(explorer)
    assert "No validation images are held out" in tab.summary_text.value
    assert not tab.pad.offers
    page_says(tab.pad, {"type": "draw", "side": 140}, torch.eye(140).mul(255).byte().numpy().tobytes())
    assert set(well(explorer).pad._bars["nets"]) == {"pruned", "dense"}


def test_one_output_answers_yes_or_no(trained):
    explorer, tab = trained("digits", model="binary-digit", model_options={"digit": 3})
    page_says(tab.pad, RANDOM)
    bars = well(explorer).pad._bars
    assert bars["names"] == ["not 3", "3"]
    assert all(sum(values) == pytest.approx(1) for values in bars["nets"].values())
    assert len(rows(explorer, "digits-pruned", "cells")) == 4


# -- the pad ------------------------------------------------------------------------------------------


def test_a_validation_image_gets_each_networks_own_probabilities(trained):
    explorer, tab = trained("digits", lr=0.3)
    page_says(tab.pad, RANDOM)
    bars = well(explorer).pad._bars
    pixels = torch.frombuffer(bytearray(tab.pad._image), dtype=torch.uint8).view(1, 1, 28, 28)
    x = datasets.normalised(pixels, True, torch.float32)
    for net, run in (("pruned", explorer.run), ("dense", explorer.run.dense)):
        assert bars["nets"][net] == pytest.approx(run.model()(x)[0].softmax(0).tolist(), abs=1e-5)
    assert tab.pad.source.startswith("Validation image ")
    page_says(tab.pad, {"type": "clear"})
    assert tab.pad._image == b""


def test_outputs_of_a_network_trained_with_mse_are_not_called_probabilities(opened):
    explorer = opened(loss="mse")
    explorer.tab = "digits"
    page_says(well(explorer).pad, RANDOM)
    bars = well(explorer).pad._bars
    assert bars["unit"] == "output"
    assert all(0 <= value <= 1 for values in bars["nets"].values() for value in values)


def test_a_drawing_becomes_what_mnist_would_have_made_of_it():
    train, _ = datasets.load("mnist", torch.device("cpu"))
    alike = []
    for pixels in train.pixels[:50, 0]:
        moved = torch.zeros(200, 180, dtype=torch.uint8)
        moved[60:200, 30:170] = pixels.repeat_interleave(5, 0).repeat_interleave(5, 1)
        both = torch.stack([pixels.flatten(), predictions.as_digit(moved).flatten()]).float()
        alike.append(float(torch.corrcoef(both)[0, 1]))
    assert sorted(alike)[5] > 0.98
    assert predictions.as_digit(torch.zeros(140, 140)) is None


def test_a_drawing_fits_its_box_whatever_its_shape():
    for ink in (torch.ones(3, 140), torch.ones(140, 3), torch.ones(140, 140)):
        made = predictions.as_digit(ink) > 0
        assert max(int(made.any(dim).sum()) for dim in (0, 1)) == 20
    dot = torch.zeros(140, 140)
    dot[7, 100] = 1
    assert int(predictions.as_digit(dot).max()) == 255
