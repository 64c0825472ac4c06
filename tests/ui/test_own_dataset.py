"""A data set of a user's own, of another size, shape and number of classes, on the page."""

import pytest
import torch
from hands import PATIENCE, chart_data, move, page_says, settled, told, well

import explorer as ex
from explorer.engine.analysis import predictions
from explorer.ui.tabs import TABS

INK = torch.eye(140).mul(255).byte().numpy().tobytes()


@pytest.fixture(params=["told", "measured"])
def page(stripes, request):
    """A trained explorer of the stripes."""
    stripes(**({"sizes": (240, 60), "shape": (1, 12, 12), "classes": 3} if request.param == "told" else {}))
    explorer = ex.Explorer(stripes.experiment(epochs=2, lr=0.2), device="cpu")
    explorer.session.start()
    explorer.wait(PATIENCE)
    yield explorer
    explorer.close()


def test_every_tab_draws_it(page):
    for tab in TABS:
        page.tab = tab.name
        well(page)
    assert page.run.summary["validation_images"] == 40


def test_what_is_held_out_is_bounded_by_it(page):
    widget = page.controls["validation"]
    assert widget.max == 236
    assert "of 240;" in widget.tooltip
    page.experiment = ex.Experiment()
    assert widget.max == 59_000
    assert "of 60,000;" in widget.tooltip


def test_its_classes_are_those_of_the_charts_and_of_figures(page):
    page.tab = "digits"
    well(page)
    cells = chart_data(page, "digits-pruned")["cells"]
    assert {row["truth"] for row in cells} == {row["answer"] for row in cells} == {"0", "1", "2"}
    flips = ex.figures.flips_of(page.run).to_dict()
    rows = next(rows for rows in flips["datasets"].values() if "digit" in rows[0])
    assert {row["digit"][0] for row in rows} == {"0", "1", "2"}


def test_its_images_and_drawings_have_its_shape(page):
    page.tab = "digits"
    tab = well(page)
    assert all((sheet.rows, sheet.columns) == (12, 12) for sheet in tab.images.sheets)
    for message, buffers in (({"type": "random"}, ()), ({"type": "draw", "side": 140}, (INK,))):
        page_says(tab.pad, message, *buffers)
        well(page)
        assert (tab.pad._shape, len(tab.pad._image)) == ([12, 12], 144)
        assert {len(values) for values in tab.pad._bars["nets"].values()} == {3}


def test_a_drawing_goes_where_images_have_another_shape(page):
    page.tab = "digits"
    page_says(well(page).pad, {"type": "draw", "side": 140}, INK)
    assert len(well(page).pad._image) == 144
    page.experiment = ex.Experiment()
    assert well(page).pad._image == b""


def test_its_pixels_are_those_of_the_first_filters(page):
    page.tab = "masks"
    tab = well(page)
    assert [(sheet.rows, sheet.columns) for sheet in tab.units.sheets] == [(3, 3)]
    assert "4 filters" in tab.units.sheets[0].title


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (28, 28), (32, 20)])
def test_a_drawing_keeps_its_place_in_any_shape(rows, columns):
    image = predictions.as_digit(torch.ones(140, 140), rows, columns)
    assert image.shape == (rows, columns)
    filled = round(20 / 28 * min(rows, columns))
    for dim, side in ((1, rows), (0, columns)):
        line = (image > 0).any(dim).nonzero().flatten().float()
        assert len(line) == filled
        assert float(line.mean()) == pytest.approx((side - 1) / 2, abs=1)


def test_colours_are_seen_by_the_network_and_shown_grey(scratch_registry):
    from explorer.engine.training.trainer import Trainer

    @scratch_registry.register("dataset", "coloured")
    def coloured():
        """Noise in three channels."""
        from explorer.engine.data.datasets import Images

        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(255, (60, 3, 6, 5), generator=generator).to(torch.uint8)
        images = Images(pixels, torch.arange(60) % 2)
        return images[:50], images[50:]

    scratch_registry.register("model", "flat")(
        lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(90, 2))
    )
    few = {"validation": 10, "batch_size": 5, "pruning": {"threshold": 0.5}}
    trainer = Trainer([ex.Experiment(dataset="coloured", model="flat", epochs=1, **few)], "cpu")
    pixels = trainer.split.validation.pixels[0]
    experiment = trainer.lanes[0].experiment
    torch.testing.assert_close(
        predictions.as_input(pixels, experiment, trainer),
        trainer.split.validation[slice(1)].inputs(experiment.normalise, torch.float32),
    )
    assert predictions.grey(pixels).shape == (6, 5)
    drawing = predictions.as_digit(torch.ones(9, 9), 6, 5)
    assert predictions.as_input(drawing[None], experiment, trainer).shape == (1, 3, 6, 5)


def test_a_network_for_other_images_is_refused_and_the_page_goes_back(page):
    move(page, "model", "mlp-784-128-10")
    settled(page)
    assert "cannot take the 1 × 12 × 12 images of stripes" in told(page)
    assert page.experiment.model == "stripes-net"
