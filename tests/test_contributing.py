"""The guide in .github/CONTRIBUTING.md is followed: what it says to write works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import explorer as ex
from explorer import registry

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## Add an? (.+?)$.*?^```python\n(.*?)^```$", GUIDE, flags=re.M | re.S))


def follow(recipe):
    """What the lines under "Add a ..." make, run as a cell of a notebook would."""
    names = {"__name__": f"guide_{recipe.replace(' ', '_')}"}
    exec(compile(RECIPES[recipe], f"CONTRIBUTING.md: {recipe}", "exec"), names)
    return names


def test_there_is_a_recipe_for_each():
    assert list(RECIPES) == ["criterion", "model", "data set", "figure", "tab", "lesson"]


@pytest.mark.usefixtures("scratch_registry")
def test_a_criterion_prunes_and_has_its_option(tiny):
    follow("criterion")
    exp = tiny(pruning={"criterion": "power", "threshold": 0.5, "options": {"exponent": 2.0}})
    run = ex.train(exp, "cpu", progress=False)
    like = ex.train(
        exp.replace({"pruning.criterion": "magnitude", "pruning.options": {}}), "cpu", progress=False
    )
    assert all(mask.equal(like.masks[name]) for name, mask in run.masks.items())  # a power keeps the order
    assert "| `power` | Keep large weights" in registry.table(["criterion"])


@pytest.mark.usefixtures("scratch_registry")
def test_a_model_trains(tiny):
    follow("model")
    run = ex.train(tiny(model="mlp-784-32-10"), "cpu", progress=False)
    assert {name: mask.shape for name, mask in run.masks.items()} == {
        "1.weight": (32, 784),
        "3.weight": (10, 32),
    }


@pytest.mark.usefixtures("scratch_registry")
def test_a_data_set_trains_to_what_it_shows():
    follow("data set")
    exp = ex.Experiment(
        dataset="stripes", validation=100, batch_size=20, epochs=2, pruning={"threshold": 0.5}
    )
    run = ex.train(exp, "cpu", progress=False)
    assert run.summary["test_images"] == 100
    assert run.summary["test_accuracy"] > 0.9


def test_a_figure_is_a_chart_of_a_run(tiny, tmp_path):
    run = ex.train(tiny(), "cpu", progress=False)
    chart = follow("figure")["sparsity_by_layer_of"](run)
    (rows,) = chart.to_dict()["datasets"].values()
    assert {row["layer"] for row in rows} == {"fc1", "fc2"}
    ex.figures.save(chart, tmp_path / "shares.svg")
    assert ex.figures.recipe(tmp_path / "shares.svg") == run.experiment


@pytest.mark.usefixtures("_no_vega")
def test_a_tab_is_a_file_and_a_line(tiny, monkeypatch):
    from explorer.ui import tabs
    from explorer.ui.tabs import tab_panel

    monkeypatch.setattr(tab_panel, "TABS", (*tabs.TABS, follow("tab")["Shares"]))
    explorer = ex.Explorer(tiny(), device="cpu")
    try:
        explorer.tab = "shares"
        explorer.session.start()
        explorer.wait(60)
        explorer.session.call(id).result(60)
        points = explorer._chart.chart("shares").to_dict(validate=False)["datasets"]["points"]
        assert points[-1]["sparsity"] == pytest.approx(90, abs=0.1)
        assert explorer.controls["error"].value == ""
    finally:
        explorer.close()


@pytest.fixture
def _no_vega(monkeypatch):
    """No page is opened here, so that the two seconds for Vega's bundle are not spent."""
    from explorer.ui.widgets import vega

    monkeypatch.setattr(vega, "module", lambda *_: "export default {}")


@pytest.mark.slow  # it trains on MNIST
def test_a_lessons_cell_asserts_what_it_claims():
    assert follow("lesson")["run"].status == "done"


@pytest.fixture
def recipe_files(tmp_path):
    for recipe in {*RECIPES} - {"lesson"}:
        text = RECIPES[recipe] if RECIPES[recipe].startswith('"""') else f'"""A file."""\n\n{RECIPES[recipe]}'
        (tmp_path / f"{recipe.replace(' ', '_')}.py").write_text(text, encoding="utf-8")
    return sorted(tmp_path.glob("*.py"))


def check(files, *command):
    words = [sys.executable, "-m", *command, *map(str, files)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_recipes_are_clean_as_files(recipe_files):
    assert len(recipe_files) == 5
    check(recipe_files, "ruff", "check", "--config", "pyproject.toml")
    check(recipe_files, "ruff", "format", "--check", "--config", "pyproject.toml")


@pytest.mark.slow  # half a minute without a cache
def test_recipes_have_their_types(recipe_files, tmp_path):
    check(recipe_files, "mypy", "--cache-dir", str(tmp_path / "cache"))


def test_the_five_commands_are_those_of_ci():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("ruff check .", "ruff format", "mypy", "codespell", "pdoc"):
        assert command in script
        assert command in GUIDE
