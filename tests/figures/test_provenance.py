"""A saved figure holds the Experiment that made it, in every format, and gives it back."""

import json
import re
import warnings
import zlib
from html import unescape

import pytest
import vl_convert

import explorer as ex
from explorer.figures import theme
from explorer.figures.provenance import embed, of_specs, signed

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


@signed
def drawing_of(_run):
    return theme.inline(ex.figures.shift_band(epochs=2), {"points": {"epoch": [1.0], "shift": [-0.5]}})


@pytest.fixture(params=theme.SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"figure{request.param}"


def test_the_experiment_comes_back(path):
    record = Record()
    ex.figures.save(drawing_of(record), path)
    assert ex.figures.recipe(path) == EXPERIMENT
    assert ex.figures.provenance(path) == [record.provenance]


@pytest.mark.parametrize(
    "path",
    [".svg", *(pytest.param(s, marks=pytest.mark.slow) for s in theme.SUFFIXES if s != ".svg")],
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


def test_a_png_differs_by_one_sound_chunk(tmp_path):
    path, spec = tmp_path / "figure.png", drawing_of(Record()).to_dict()
    theme.write(spec, path)
    content, plain = (
        path.read_bytes(),
        vl_convert.vegalite_to_png(spec, vl_version=theme.vegalite_version(), scale=2),
    )
    length = int.from_bytes(content[33:37], "big")
    chunk, rest = content[37 : 41 + length], content[45 + length :]
    assert chunk[:4] == b"iTXt"
    assert int.from_bytes(content[41 + length : 45 + length], "big") == zlib.crc32(chunk)
    assert content[:33] + rest == plain


def test_an_svg_is_well_formed(tmp_path):
    from xml.etree import ElementTree

    svg = tmp_path / "figure.svg"
    ex.figures.save(drawing_of(Record()), svg)
    part = ElementTree.parse(svg).getroot()[0]
    assert part.tag.endswith("metadata")
    assert json.loads(part.text)[0]["note"] == AWKWARD
    assert unescape(AWKWARD) != AWKWARD  # it would show if it were unescaped once too often


def test_a_pdfs_last_cross_reference_points_at_its_information(tmp_path):
    path = tmp_path / "figure.pdf"
    ex.figures.save(drawing_of(Record()), path)
    content = path.read_bytes()
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", content)[1])
    assert content[start:].startswith(b"xref\n")
    number, offset = re.match(
        rb"xref\n0 1\n0{10} 65535 f\r\n(\d+) 1\n(\d{10}) 00000 n\r\n", content[start:]
    ).groups()
    assert content[int(offset) :].startswith(number + b" 0 obj")
    assert b"/Producer" in content[int(offset) : start]
    before = int(re.findall(rb"/Prev (\d+)", content)[-1])
    assert content[before:].startswith(b"xref")


def test_a_pdf_of_another_make_is_left_alone():
    with pytest.warns(UserWarning, match="saved without its Experiment"):
        assert embed(b"%PDF-2.0 streams", ".pdf", [{}]) == b"%PDF-2.0 streams"


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
