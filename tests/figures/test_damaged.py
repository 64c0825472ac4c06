"""Figures that were damaged, rewritten by other programs, or are of a study: a recipe or one ValueError."""

import json
import random
import re
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

import explorer as ex
from explorer.figures import saving, theme
from explorer.figures.provenance import KEY, usermeta

EXPERIMENT = ex.Experiment(epochs=2)
ORIGIN = {"experiment": EXPERIMENT.model_dump(mode="json"), "steered": False, "events": []}
TEXT = json.dumps([ORIGIN])
SUFFIXES = (*saving.SUFFIXES, ".safetensors")


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """A figure in each format, and a model."""
    folder = tmp_path_factory.mktemp("whole")
    chart = theme.inline(ex.figures.shift_band(epochs=2), {"points": {"epoch": [1.0], "shift": [-0.5]}})
    chart.usermeta = usermeta([ORIGIN])
    for suffix in saving.SUFFIXES:
        ex.figures.save(chart, folder / f"figure{suffix}")
    save_file({"w": torch.ones(2)}, folder / "figure.safetensors", {KEY: TEXT})
    return {suffix: (folder / f"figure{suffix}").read_bytes() for suffix in SUFFIXES}


def damaged(content, chance):
    """The content with a few other bytes, an end cut off, or a piece taken out."""
    data = bytearray(content)
    at = chance.randrange(len(data))
    match chance.randrange(3):
        case 0:
            for _ in range(chance.choice([1, 3, 10])):
                data[chance.randrange(len(data))] = chance.randrange(256)
        case 1:
            del data[at:]
        case _:
            del data[at : at + chance.randrange(1, 50)]
    return bytes(data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_has_its_recipe_or_is_a_value_error(contents, suffix, tmp_path):
    chance, path, errors = random.Random(1), tmp_path / f"figure{suffix}", []
    path.write_bytes(contents[suffix])
    assert ex.figures.recipe(path) == EXPERIMENT
    near = contents[suffix][: 2**15]  # a page is long, and its recipe at the start
    for _ in range(30 if suffix in {".pdf", ".html"} else 150):
        path.write_bytes(damaged(near if suffix == ".html" else contents[suffix], chance))
        try:
            ex.figures.recipe(path)
        except Exception as error:  # noqa: BLE001  any other kind is what is looked for
            errors.append(error)
    assert {type(error) for error in errors} == {ValueError}  # no other library's own
    assert max(len(str(error)) for error in errors) < 400 + len(str(path))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{}", "3", "null3", "[3]", "[{}]", '[{"experiment": 3, "events": [], "steered": 0}]',
     '[{"experiment": {}, "events": [3], "steered": 0}]', '[{"experiment": {}, "events": []}]'],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".svg", ".json", ".html", ".safetensors"])
def test_json_of_another_shape_is_a_value_error(suffix, text, tmp_path):
    path = tmp_path / f"figure{suffix}"
    if suffix == ".safetensors":
        save_file({"w": torch.ones(2)}, path, {KEY: text})
    else:
        shells = {
            ".svg": '<svg><metadata id="{}">{}</metadata></svg>',
            ".html": '<script id="{}">{}</script>',
            ".json": '{{"usermeta": {{"{}": {}}}}}',
        }
        path.write_text(shells[suffix].format(KEY, text))
    with pytest.raises(ValueError, match="holds no Experiment"):
        ex.figures.recipe(path)


def test_an_experiment_that_is_none_is_a_value_error(tmp_path):
    path = tmp_path / "figure.json"
    path.write_text(json.dumps({"usermeta": usermeta([{**ORIGIN, "experiment": {"lrr": 1}}])}))
    with pytest.raises(ValueError, match="did you mean 'lr'"):
        ex.figures.recipe(path)


# -- rewritten by others -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "add",
    [
        lambda info: info.add_text(KEY, TEXT),
        lambda info: info.add_text(KEY, TEXT, zip=True),
        lambda info: info.add_itxt(KEY, TEXT, lang="en", tkey="Rezept"),
        lambda info: info.add_itxt(KEY, TEXT, lang="en", zip=True),
    ],
)
def test_a_png_may_hold_its_text_in_any_of_the_standards_ways(add, tmp_path):
    info, path = PngInfo(), tmp_path / "figure.png"
    add(info)
    Image.new("L", (8, 8)).save(path, pnginfo=info)
    assert ex.figures.recipe(path) == EXPERIMENT
    content = path.read_bytes()  # the text behind the pixels, as some programs write it
    start, end = (content.index(kind) - 4 for kind in (b"IDAT", b"IEND"))
    text = content.index(b"tEXt" if b"tEXt" in content else b"zTXt" if b"zTXt" in content else b"iTXt") - 4
    path.write_bytes(content[:text] + content[start:end] + content[text:start] + content[end:])
    assert ex.figures.recipe(path) == EXPERIMENT


def test_an_svg_may_wrap_and_quote_its_tags_in_any_way(contents, tmp_path):
    path, text = tmp_path / "figure.svg", contents[".svg"].decode()
    path.write_text(re.sub(f'<metadata id="{KEY}">', f"<metadata\n   class='a'\n id='{KEY}' >", text))
    assert "class='a'" in path.read_text()
    assert ex.figures.recipe(path) == EXPERIMENT


def test_a_page_may_wrap_and_quote_its_tags_in_any_way(contents, tmp_path):
    path, text = tmp_path / "figure.html", contents[".html"].decode()
    tag = f'<script type="application/json" id="{KEY}">'
    assert tag in text
    path.write_text(text.replace(tag, f"<SCRIPT\n id={KEY}\n type='application/json'>"))
    assert ex.figures.recipe(path) == EXPERIMENT


# -- of a study ----------------------------------------------------------------------------------------


def study_chart():
    row = {"pruning.threshold": 0.5, "seed": 0, "status": "done", "sparsity": 0.5}
    frame = pl.DataFrame([{**row, "test_accuracy": 0.9, "dense_test_accuracy": 0.91}])
    run = SimpleNamespace(experiment=EXPERIMENT, summary={"test_images": 100})
    return ex.figures.tradeoff_of(SimpleNamespace(frame=frame, runs=[run] * 4))


@pytest.mark.parametrize("suffix", saving.SUFFIXES)
def test_a_studys_figure_says_that_it_is_one(suffix, tmp_path):
    path = ex.figures.save(study_chart(), tmp_path / f"figure{suffix}")
    for read in (ex.figures.recipe, ex.figures.recipes, ex.figures.provenance):
        with pytest.raises(ValueError, match="figure of a study of 4 runs, and holds no single Experiment"):
            read(path)


def test_a_run_beside_a_study_has_its_recipe(tmp_path):
    chart = theme.inline(ex.figures.shift_band(epochs=2), {"points": {"epoch": [1.0], "shift": [-0.5]}})
    chart.usermeta = usermeta([ORIGIN])
    figure = ex.figures.combine({"tradeoff": study_chart(), "shift": chart})
    assert ex.figures.recipe(ex.figures.save(figure, tmp_path / "figure.svg")) == EXPERIMENT
