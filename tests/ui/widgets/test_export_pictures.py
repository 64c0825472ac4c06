"""Masks and flipped digits are exported as the figures that they are on the page, and can be read back."""

import json

import numpy as np
import pytest
from hands import PATIENCE
from png_reader import decoded

import explorer as ex
from explorer.ui.widgets import export_menu

pytestmark = pytest.mark.slow


@pytest.fixture
def shown(opened):
    """Returns a function that trains an explorer and shows a tab."""

    def show(name, **fields):
        explorer = opened(lr=0.3, pruning={"threshold": 0.97}, **fields)
        explorer.session.start()
        explorer.wait(PATIENCE)
        explorer.tab = name
        explorer.session.call(id).result(PATIENCE)
        return explorer

    return show


def images(path):
    """All images of an exported specification by their dataset."""
    sets = json.loads(path.read_text(encoding="utf-8"))["datasets"]
    return {name: rows for name, rows in sets.items() if "images-" in name}


def pixels(row, side):
    """The codes of one image, of so many pixels a side."""
    codes = decoded(row["url"])[0]
    times = len(codes) // side
    return codes[::times, ::times]


@pytest.mark.parametrize("kind", export_menu.FIGURES)
@pytest.mark.parametrize("name", ["masks", "digits"])
def test_every_format_holds_the_recipe(shown, tmp_path, name, kind):
    explorer = shown(name)
    path = explorer._gallery.export.write("shown", kind, tmp_path)
    assert path.name == f"{explorer.experiment.hash}-{name}.{kind}"
    assert path.stat().st_size > 20_000
    assert ex.figures.recipe(path) == explorer.experiment


def test_exported_masks_are_those_of_the_run(shown, tmp_path):
    explorer = shown("masks")
    found = images(explorer._gallery.export.write("shown", "json", tmp_path))
    mask = explorer.run.masks["fc1.weight"].numpy()
    units = found["masks-units-images-0"]
    assert len(units) == 128
    for i in (0, 17, 127):
        assert np.array_equal(pixels(units[i], 28).ravel() > 0, mask[i])
        assert units[i]["tip"].startswith(f"hidden unit {i}: {mask[i].sum()} of 784 weights in")
    (kept,) = found["masks-maps-images-0"]
    assert np.array_equal(pixels(kept, 28).ravel() > 0, mask.any(0))


def test_exported_digits_are_the_images_that_flipped(shown, tmp_path):
    explorer = shown("digits")
    path = explorer._gallery.export.write("shown", "json", tmp_path)
    held = explorer.session.call(lambda trainer: trainer.split.validation).result(PATIENCE)
    lost = images(path)["digits-lost-images-0"]
    for row in lost:
        i = int(row["tip"].removeprefix("validation image ").partition(":")[0])
        assert np.array_equal(pixels(row, 28), held.pixels[i, 0].numpy())
    sets = json.loads(path.read_text(encoding="utf-8"))["datasets"]
    flips = sets["digits-flips-flips"]  # the charts are in the same figure
    assert len(lost) == min(20, -sum(row["count"] for row in flips if row["side"] == "lost"))


def test_a_figure_of_the_past_says_of_when_it_is(shown, tmp_path):
    explorer = shown("masks", epochs=2)
    explorer.session.view_step(12)
    explorer.session.call(id).result(PATIENCE)
    path = explorer._gallery.export.write("shown", "json", tmp_path)
    words = json.loads(path.read_text(encoding="utf-8"))["datasets"]["masks-units-words"]
    assert "As of epoch 0.75. " in [row["text"] for row in words]
