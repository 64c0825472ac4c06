"""The house: small folders with maps, short files, one class a name, and names that say what is inside."""

import ast
from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "explorer"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
FOLDERS = sorted({path.parent for path in FILES})
MOST, LONGEST = 12, 350  # files in a folder, lines in a file
MANY = {"figures"}  # one chart a file
BY_HAND = {"data"}  # not a place for code
# What has no noun tells nobody what it is.
PARTICIPLES = {
    "found",
    "told",
    "kept",
    "asked",
    "made",
    "said",
    "seen",
    "held",
    "wanted",
    "noted",
    "taken",
    "gone",
}


def modules(folder):
    """The files and folders with code in a folder, by name."""
    files = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]
    return files, [path.parent.name for path in folder.glob("*/__init__.py")]


def test_the_walk_sees_the_package():
    assert len(FILES) > 100
    assert {"engine", "ui", "methods", "figures"} <= {path.name for path in FOLDERS}


def test_folders_are_small():
    counts = {str(f.relative_to(PACKAGE)): len(modules(f)[0]) for f in FOLDERS if f.name not in MANY}
    assert {name: count for name, count in counts.items() if count > MOST} == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.relative_to(PACKAGE.parent).as_posix())
def test_a_packages_docstring_is_its_map(folder):
    if folder.name in BY_HAND and folder.parent == PACKAGE:
        return
    text = ast.get_docstring(TREES[folder / "__init__.py"]) or ""
    files, folders = modules(folder)
    assert [name for name in [*files, *folders] if f"`{name}`" not in text] == []


def test_files_stay_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_a_class_name_occurs_once():
    names = Counter(
        node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    assert names["Experiment"] == 1
    assert {name for name, count in names.items() if count > 1} == set()


CONTRACT = {"kept"}  # a column of `run.histograms`, by which figures call what they draw


def bound(tree):
    """All names that a file gives: of functions, classes, parameters, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def test_names_are_nouns_and_verbs():
    assert "Experiment" in set(bound(TREES[PACKAGE / "experiment.py"]))
    bare = {
        path.relative_to(PACKAGE).as_posix(): {
            name
            for name in bound(tree)
            if name.strip("_").lower() in PARTICIPLES - (CONTRACT if path.parent.name == "figures" else set())
        }
        for path, tree in TREES.items()
    }
    assert {name: names for name, names in bare.items() if names} == {}
