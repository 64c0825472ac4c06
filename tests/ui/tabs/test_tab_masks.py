"""The Masks tab: pictures and words against plain counts of the run's own masks."""

from collections import Counter

import numpy as np
import pytest
from hands import PATIENCE, settled
from torch import nn

from explorer import registry
from explorer.ui.tabs.masks import Masks

NAMES = [m.name for m in registry.methods("model")]


def sheet(tab, name):
    return next(s for s in (*tab.maps.sheets, *tab.units.sheets) if s.name == name)


def test_the_map_is_a_plain_count_of_kept_weights(trained):
    explorer, tab = trained("masks", pruning={"threshold": 0.97})
    mask = explorer.run.masks["fc1.weight"]
    shown = np.frombuffer(sheet(tab, "map").codes, "<u2")
    plain = [sum(bool(unit[pixel]) for unit in mask) for pixel in range(784)]
    assert shown.tolist() == plain
    assert f"{plain.count(0)} of 784 pixels are read by no unit" in tab.summary_text.value
    assert f"fc1 keeps {int(mask.sum()):,} of its 100,352 weights" in tab.summary_text.value


def test_dead_units_are_those_without_weights_in_or_out(trained):
    explorer, tab = trained("masks", pruning={"threshold": 0.9, "allocation": "uniform"})
    fc1, fc2 = (explorer.run.masks[f"fc{i}.weight"] for i in (1, 2))
    units = sheet(tab, "units")
    dead = [not fc1[i].any() or not fc2[:, i].any() for i in range(128)]
    assert 0 < sum(dead) < 128
    assert units.dead == dead
    assert f"{sum(dead)} of 128 hidden units are dead" in tab.summary_text.value
    assert units.tips[3] == f"hidden unit 3: {fc1[3].sum()} of 784 weights in, {fc2[:, 3].sum()} of 10 out"


def test_each_units_picture_has_0_just_where_its_weights_are_pruned(trained):
    explorer, tab = trained("masks", pruning={"threshold": 0.9})
    mask, weights = explorer.run.masks["fc1.weight"].numpy(), explorer.run.model().fc1.weight.detach().numpy()
    codes = np.frombuffer(sheet(tab, "units").codes, np.uint8).reshape(128, 784)
    assert np.array_equal(codes > 0, mask)
    assert (np.sign(codes[mask].astype(int) - 128) == np.sign(weights[mask])).all()


def test_units_may_stand_by_how_many_weights_they_keep(trained):
    explorer, tab = trained("masks", pruning={"threshold": 0.97})
    tab.order.value = "kept"
    settled(explorer)
    meters = sheet(tab, "units").meters
    assert meters == sorted(meters, reverse=True)
    assert meters[0] == 1
    assert len(meters) == 128


@pytest.mark.parametrize(
    "model",
    [n if n in ("lenet-5", "deep-sigmoid") else pytest.param(n, marks=pytest.mark.slow) for n in NAMES],
)
def test_every_model_has_its_masks(opened, model):
    explorer = opened(model=model)
    explorer.tab = "masks"
    tab = settled(explorer)
    layers = explorer.session.call(lambda trainer: trainer.network.layout.layers).result(PATIENCE)
    linear = [la for la in layers[1:] if len(la.weight.shape) == 2]
    assert Counter(s.name for s in tab.maps.sheets) == Counter(map=1, layer=len(linear))
    assert sheet(tab, "units").count == min(300, layers[0].weight.shape[0])
    assert "Nothing is pruned yet. " in tab.summary_text.value
    assert explorer.controls["error"].value == ""


def test_a_network_whose_layers_read_no_pixels_says_so(opened, scratch_registry):
    @scratch_registry.register("model", "pooled")
    def pooled():
        """Averages first.

        Reference: none
        """
        return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 10))

    explorer = opened(model="pooled")
    explorer.tab = "masks"
    tab = settled(explorer)
    assert "No layer that can be pruned reads the 784 pixels directly" in tab.summary_text.value
    assert [s.title for s in tab.maps.sheets] == ["2: 100.0 % kept"]
    assert tab.units.sheets == ()


def test_a_dense_run_says_so_and_a_threshold_tried_out_is_shown(opened):
    explorer = opened(pruning=None)
    explorer.tab = "masks"
    assert "This run prunes nothing. " in settled(explorer).summary_text.value
    explorer = opened()
    explorer.tab = "masks"
    explorer.session.preview(0.5)
    tab = settled(explorer)
    kept = sum(np.frombuffer(sheet(tab, "map").codes, "<u2"))
    assert f"fc1 keeps {kept:,} of its 100,352 weights" in tab.summary_text.value
    assert 0.4 < kept / 100_352 < 0.6


@pytest.mark.slow
def test_between_two_pictures_half_a_second_passes_unless_the_mask_changes(opened, monkeypatch):
    drawn = []
    monkeypatch.setattr(Masks, "draw", lambda self, frame: drawn.append(frame))  # noqa: ARG005
    monkeypatch.setattr("explorer.ui.tabs.masks.SECONDS", 1e9)
    explorer = opened(epochs=3)
    explorer.tab = "masks"
    monkeypatch.setattr("explorer.ui.session.frame_publisher.FRAME_SECONDS", 0)
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    seen = [(f.status, f.sparsity) for f in drawn]
    assert len(seen) == len(set(seen)) + (seen[0] in seen[1:])
    assert seen[-1] == ("done", pytest.approx(0.9, abs=1e-5))
