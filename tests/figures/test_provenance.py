"""A saved figure holds the Experiment that made it, in every format, and gives it back."""

import json
import warnings
from html import unescape
from io import BytesIO

import pytest
import vl_convert

import explorer as ex
from explorer.figures import saving, theme
from explorer.figures.provenance import embed, of_specs, with_recipe

pytestmark = pytest.mark.slow

EXPERIMENT = ex.Experiment(
    epochs=2,
    pruning=ex.Pruning(criterion="gradient", threshold=0.8),
    clipping=ex.Clipping(rule=("value", "norm"), max_norm=0.5),
)
AWKWARD = '</script></metadata><b>&amp;]]> "ü×−\\n'


class Record:
    """As much of a run as a figure asks for."""

    def __init__(self, experiment=EXPERIMENT, moves=()):
        events = [(100, "prune", 0.0, 0.8), *moves]
        keys = ("step", "what", "from", "to")
        self.provenance = {
            "experiment": experiment.model_dump(mode="json"),
            "steered": bool(moves),
            "events": [dict(zip(keys, event, strict=True)) for event in events],
            "note": AWKWARD,
        }


@with_recipe
def drawing_of(_run):
    return theme.inline(ex.figures.shift_band(epochs=2), {"points": {"epoch": [1.0], "shift": [-0.5]}})


@pytest.fixture(params=saving.SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"figure{request.param}"


def test_the_experiment_comes_back(path):
    record = Record()
    ex.figures.save(drawing_of(record), path)
    assert ex.figures.recipe(path) == EXPERIMENT
    assert ex.figures.provenance(path) == [record.provenance]


@pytest.mark.parametrize(
    "path",
    [".svg", *(pytest.param(s, marks=pytest.mark.slow) for s in saving.SUFFIXES if s != ".svg")],
    indirect=True,
)
def test_a_combined_figure_has_each_recipe_once(path):
    other = Record(EXPERIMENT.replace(seed=1))
    parts = {"a": drawing_of(Record()), "b": drawing_of(Record()), "c": drawing_of(other)}
    ex.figures.save(ex.figures.combine(parts), path)
    assert ex.figures.recipes(path) == [EXPERIMENT, EXPERIMENT.replace(seed=1)]
    with pytest.raises(ValueError, match="holds 2 Experiments"):
        ex.figures.recipe(path)


def test_a_steered_run_says_so_and_gives_its_moves(path):
    moves = [(120, "max_norm", 1.0, 0.5), (130, "lr", 0.1, 0.2)]
    ex.figures.save(drawing_of(Record(moves=moves)), path)
    with pytest.warns(UserWarning, match="sliders were moved while this ran .moves: 2"):
        assert ex.figures.recipe(path) == EXPERIMENT
    assert ex.figures.provenance(path)[0]["events"][1] == {
        "step": 120,
        "what": "max_norm",
        "from": 1.0,
        "to": 0.5,
    }


def test_a_figure_of_no_run_is_saved_all_the_same(path):
    ex.figures.save(theme.inline(ex.figures.shift_band(), {"points": {"epoch": [], "shift": []}}), path)
    with pytest.raises(ValueError, match="holds no Experiment"):
        ex.figures.recipe(path)


def test_a_file_of_another_kind_holds_none(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.txt holds no Experiment"):
        ex.figures.recipe(path)


# -- the files stay what they were --------------------------------------------------------------------


def plain(write, spec, **kwargs):
    """A figure as vl-convert makes it, before it gets its recipe."""
    return write(spec, vl_version=saving.vegalite_version(), **kwargs)


def test_a_png_has_the_same_pixels_at_the_same_size(tmp_path):
    from PIL import Image

    path, spec = tmp_path / "figure.png", drawing_of(Record()).to_dict()
    saving.write(spec, path)
    content = plain(vl_convert.vegalite_to_png, spec, scale=2)
    with Image.open(path) as image, Image.open(BytesIO(content)) as original:
        assert image.tobytes() == original.tobytes()
        assert (image.mode, image.size) == (original.mode, original.size)
        assert image.info["dpi"] == pytest.approx(original.info["dpi"])
    assert path.stat().st_size < len(content)


def test_an_svg_is_well_formed(tmp_path):
    from xml.etree import ElementTree

    svg = tmp_path / "figure.svg"
    ex.figures.save(drawing_of(Record()), svg)
    part = ElementTree.parse(svg).getroot()[0]
    assert part.tag.endswith("metadata")
    assert json.loads(part.text)[0]["note"] == AWKWARD
    assert unescape(AWKWARD) != AWKWARD  # it would show if it were unescaped once too often


def test_a_pdf_stays_as_it_is_and_the_recipe_comes_after_it(tmp_path):
    from pypdf import PdfReader

    path = tmp_path / "figure.pdf"
    content = plain(vl_convert.vegalite_to_pdf, drawing_of(Record()).to_dict())
    path.write_bytes(embed(content, ".pdf", [Record().provenance]))
    pdf = PdfReader(path, strict=True)
    assert path.read_bytes().startswith(content)
    assert "/PruningExplorer" in pdf.metadata
    assert pdf.metadata.producer == PdfReader(BytesIO(content)).metadata.producer
    assert len(pdf.pages) == 1


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".html", ".safetensors"])
def test_a_file_that_is_not_what_its_name_says_holds_none(tmp_path, suffix):
    path = tmp_path / f"figure{suffix}"
    path.write_text("hello")
    with pytest.raises(ValueError, match="holds no Experiment"):
        ex.figures.recipe(path)


@pytest.mark.parametrize("suffix", [*saving.SUFFIXES, ".safetensors"])
def test_a_file_that_is_not_there_is_missed(tmp_path, suffix):
    with pytest.raises(FileNotFoundError):
        ex.figures.recipe(tmp_path / f"figure{suffix}")


# -- a real run ---------------------------------------------------------------------------------------


def test_every_figure_of_a_run_has_its_recipe(tiny):
    experiment = tiny(pruning={"threshold": 0.5})
    run = ex.train(experiment, device="cpu", progress=False)
    f = ex.figures
    charts = [
        f.accuracy_of(run),
        f.loss_of(run),
        f.shift_band_of(run),
        f.sparsity_of(run),
        f.gradients_of(run),
    ]
    weights = f.weights_of(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for chart in [*charts, weights, f.dark(weights)]:
            spec = chart.to_dict(validate=False)
            (found,) = of_specs([spec])
            assert ex.Experiment(**found["experiment"]) == experiment
            assert [event["what"] for event in found["events"]] == ["prune"]


def test_a_name_cannot_end_the_script_that_holds_it(tmp_path):
    pinned = {"epoch": [1.0, 2.0], "accuracy": [90.0, 95.0], "name": [AWKWARD] * 2}
    chart = theme.inline(ex.figures.accuracy(epochs=2, pins={AWKWARD: 0}), {"pinned": pinned})
    text = ex.figures.save(chart, tmp_path / "figure.html").read_text(encoding="utf-8")
    script = text[text.index("const spec = ") :].removeprefix("const spec = ").partition("</script>")[0]
    spec, _ = json.JSONDecoder().raw_decode(script)
    assert {row["name"] for row in spec["datasets"]["pinned"]} == {AWKWARD}
