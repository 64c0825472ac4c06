"""The Masks tab of convolutional networks: filters of all convolutions, kernel by kernel, and dead ones."""

import numpy as np
import pytest
import torch
from hands import well

from explorer.engine.analysis import mask_stats

pytestmark = pytest.mark.slow


def kernels(sheet, across, high, wide):
    """The codes of each unit's kernels, [units, n, high, wide], out of the pictures."""
    pictures = np.frombuffer(sheet.codes, np.uint8).reshape(sheet.count, sheet.rows, sheet.columns)
    down = (sheet.rows + 1) // (high + 1)
    cut = [
        pictures[:, y * (high + 1) :, x * (wide + 1) :][:, :high, :wide]
        for y in range(down)
        for x in range(across)
    ]
    return np.stack(cut, 1)


@pytest.mark.parametrize(
    ("model", "shape", "across"), [("small-cnn", (16, 8, 3, 3), 4), ("lenet-5", (50, 20, 5, 5), 5)]
)
def test_each_convolution_has_its_filters_with_their_masks(trained, model, shape, across):
    explorer, tab = trained("masks", model=model, pruning={"threshold": 0.9})
    first, second = tab.units.sheets
    mask, weights = explorer.run.masks["conv2.weight"].numpy(), explorer.run.model().conv2.weight.detach()
    assert mask.shape == shape
    codes = kernels(second, across, *shape[2:])
    assert np.array_equal(codes > 0, mask)
    assert (np.sign(codes[mask].astype(int) - 128) * np.sign(weights.numpy()[mask]) >= 0).all()
    assert second.title == f"conv2: weights of {shape[0]} filters, a kernel for each of {shape[1]} maps"
    into, fan_in = mask[3].sum(), shape[1] * shape[2] * shape[3]
    assert second.tips[3].startswith(f"filter 3: {into} of {fan_in} weights in, ")
    assert (first.name, second.name) == ("units", "kernels")
    assert second.width >= 3 * second.columns


def test_filters_that_fell_are_dead_in_pictures_and_words(trained):
    explorer, tab = trained("masks", model="small-cnn", pruning={"threshold": 0.5, "granularity": "filter"})
    masks = explorer.run.masks
    dead = [[not filter_.any() for filter_ in masks[f"conv{i}.weight"]] for i in (1, 2)]
    assert [sheet.dead for sheet in tab.units.sheets] == dead
    assert sum(map(sum, dead)) == 12
    assert f"Dead in other layers: {sum(dead[1])} of 16 filters of conv2." in tab.summary_text.value
    fell = sum(dead[0])
    assert (
        f"{fell} of 8 filters are dead" if fell else "No filter of conv1 is dead."
    ) in tab.summary_text.value


def test_the_order_holds_for_every_convolution(trained):
    explorer, tab = trained("masks", model="small-cnn", pruning={"threshold": 0.8})
    tab.order.value = "kept"
    well(explorer)
    for sheet in tab.units.sheets:
        assert sheet.meters == sorted(sheet.meters, reverse=True)


@pytest.mark.parametrize(("n", "across", "down"), [(1, 1, 1), (4, 2, 2), (6, 3, 2), (7, 3, 3), (20, 5, 4)])
def test_kernels_stand_side_by_side_with_lines_between(n, across, down):
    kernels = torch.arange(2 * n * 6, dtype=torch.uint8).view(2, n, 2, 3)
    made = mask_stats.side_by_side(kernels, gap=255)
    assert made.shape == (2, 3 * down - 1, 4 * across - 1)
    for i in range(n):
        y, x = divmod(i, across)
        assert made[1, 3 * y : 3 * y + 2, 4 * x : 4 * x + 3].equal(kernels[1, i])
    assert (made[:, 2::3] == 255).all()
    assert (made[:, :, 3::4] == 255).all()
    assert int((made != 255).sum()) == 2 * n * 6 - int((kernels == 255).sum())
