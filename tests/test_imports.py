"""Imports run one way and in no circle, and a bare worker needs nothing but torch, numpy and pydantic."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "explorer"
# Each knows those before it. In the engine, pruning and execution know nothing of each other.
ORDER = ["traits", "signatures", "registry", "methods", "fields", "experiment", "presets", "engine", "study"]
ORDER += ["lessons", "ui"]
ENGINE = [["data"], ["network"], ["pruning", "execution"], ["training"], ["analysis"], ["savings"]]
OUTSIDE = {"__init__", "data", "figures", "locale"}
SCIENCE = {"traits", "signatures", "registry", "methods", "fields", "experiment"}


def modules():
    return {
        p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): p
        for p in PACKAGE.rglob("*.py")
    }


def imported(path, walk=ast.walk):
    """The modules that a file imports anywhere in it, inside functions and type checks too."""
    found = set()
    for node in walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(module, depth=1):
    """The part of the package that a module belongs to: "engine" for explorer.engine.data.datasets."""
    pieces = module.split(".")
    return pieces[depth] if pieces[0] == "explorer" and len(pieces) > depth else None


MODULES = modules()
IMPORTS = {name: imported(path) for name, path in MODULES.items()}


def runs(name):
    """The modules that imports in this one run: what it names, and packages around that, not around it."""
    named = {i for i in IMPORTS[name] if i in MODULES}
    # `from package import module` runs the module; its own package only where something else is taken from it
    own = {i for i in named if f"{name}.".startswith(f"{i}.") and not taken_from(name, i)}
    outer = {".".join(i.split(".")[:k]) for i in named for k in range(2, i.count(".") + 1)}
    outer = {i for i in outer if not f"{name}.".startswith(f"{i}.")}
    return ((named - own) | outer) - {name, "explorer"}


def taken_from(name, package):
    """What is imported from a package that is none of its modules."""
    return {i for i in IMPORTS[name] if i.rpartition(".")[0] == package and i not in MODULES}


def test_the_walk_sees_the_package():
    assert {"explorer.registry", "explorer.engine.training.trainer", "explorer.figures.theme"} <= set(MODULES)
    assert "explorer.registry" in IMPORTS["explorer.experiment"]
    assert "tqdm.auto" in IMPORTS["explorer.engine.training.train"]  # an import inside a function
    folders = {part(name, 2) for name in MODULES if part(name) == "engine"}
    assert {folder for level in ENGINE for folder in level} - folders <= {"savings"}
    assert len(MODULES) > 100


def offending(names, wrong):
    """What these modules import and should not."""
    names = list(names)
    assert names
    found = {name: {i for i in IMPORTS[name] if wrong(name, i)} for name in names}
    return {name: imports for name, imports in found.items() if imports}


def test_imports_run_one_way():
    placed = [n for n in MODULES if part(n) in ORDER and not n.endswith("__main__")]
    assert offending(placed, lambda name, i: part(i) in ORDER[ORDER.index(part(name)) + 1 :]) == {}


def test_in_the_engine_too():
    level = {folder: i for i, folders in enumerate(ENGINE) for folder in folders}

    def upward(name, other):
        mine, theirs = part(name, 2), part(other, 2)
        beside = part(other) == "engine" and theirs in level and mine != theirs
        return beside and level[theirs] >= level[mine]

    assert offending([n for n in MODULES if part(n, 2) in level and part(n) == "engine"], upward) == {}


def test_no_files_import_each_other_in_a_circle():
    """Imports inside functions and for type checks counted, and what the packages on the way import."""
    graph = {name: runs(name) for name in MODULES}
    assert graph["explorer.engine.training.trainer"] >= {"explorer.engine.training.recorder"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_circle_would_be_seen(monkeypatch):
    monkeypatch.setitem(
        IMPORTS, "explorer.registry", {"explorer.experiment.Experiment", "explorer.experiment"}
    )
    with pytest.raises(CycleError):
        TopologicalSorter({name: runs(name) for name in MODULES}).prepare()


def test_every_part_has_its_place():
    assert {part(name) for name in MODULES} - {None} <= set(ORDER) | OUTSIDE


def test_figures_know_records_and_nothing_else():
    others, heavy = set(ORDER) - {"registry", "experiment"}, {"torch", "torchvision"}
    figures = [n for n in MODULES if part(n) == "figures"]
    assert offending(figures, lambda _, i: part(i) in others or i.split(".")[0] in heavy) == {}


def test_nothing_imports_the_widget():
    others = [n for n in MODULES if part(n) not in {"ui", "__init__"} and n != "explorer"]
    assert offending(others, lambda _, i: part(i) == "ui") == {}


def test_the_science_does_no_input_or_output():
    io = {"os", "io", "pathlib", "sys", "subprocess", "socket", "urllib", "shutil"}
    assert offending([n for n in MODULES if part(n) in SCIENCE], lambda _, i: i in io) == {}


BARE = """
import importlib.abc, pkgutil, sys

class Bare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"a bare worker has no {{name}}", name=name)

sys.meta_path.insert(0, Bare())
import explorer, explorer.methods, explorer.engine, explorer.experiment
seen = set()
for package in (explorer.methods, explorer.engine):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
        seen.add(module.name)
assert "explorer.engine.training.trainer" in seen and len(seen) > 40
exp = explorer.Experiment(dataset="mnist", epochs=1)
assert eval(exp.code(), {{"ex": explorer}}) == exp
from explorer.engine.data import datasets
from explorer.engine.network import models
import torch
assert models.build(exp).fc1.weight.shape == (128, 784)
print("all there")
"""
HEAVY = [
    *("polars", "altair", "narwhals", "vl_convert", "pandas", "matplotlib"),
    *("ipywidgets", "anywidget", "traitlets", "IPython", "ipykernel", "jupyterlab", "jupyter_client"),
    *("tqdm", "platformdirs", "safetensors", "dask", "distributed", "torchvision"),
]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_nothing_that_a_bare_worker_lacks_is_imported_at_once():
    bare = [n for n in MODULES if part(n) in SCIENCE | {"engine"}]
    at_once = {name: imported(MODULES[name], ast.iter_child_nodes) for name in bare}
    assert "torch" in at_once["explorer.engine.training.trainer"]
    heavy = {name: {i for i in imports if i.split(".")[0] in HEAVY} for name, imports in at_once.items()}
    assert {name: imports for name, imports in heavy.items() if imports} == {}


@pytest.mark.slow  # a process of its own that imports torch; the test above reads it off the files
def test_a_bare_worker_needs_only_torch_numpy_and_pydantic():
    done = python(BARE.format(blocked=set(HEAVY)))
    assert done.stdout == "all there\n", done.stderr


def test_importing_the_explorer_loads_nothing_heavy():
    done = python(
        "import sys, explorer; dir(explorer); print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = set(done.stdout.split())
    assert "explorer" in loaded, done.stderr
    assert not loaded & {"torch", "numpy", "pydantic", *HEAVY}


def test_an_experiment_can_be_made_without_the_widget_or_figures():
    done = python(
        "import sys, explorer as ex; ex.Experiment; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded, done.stderr
    assert not loaded & set(HEAVY)


def test_public_names_are_what_they_say():
    import explorer as ex

    assert sorted(ex.__all__) == dir(ex)
    assert ex.__all__ == sorted(ex.__all__)
    with pytest.raises(AttributeError, match=r"explorer' has no 'Experimnt'; it has .*Experiment"):
        _ = ex.Experimnt
    for name in ("Clipping", "Experiment", "Pruning", "Run", "prune", "train"):
        assert getattr(ex, name).__name__ == name


def test_type_checkers_read_the_same_names_from_the_same_homes():
    import explorer as ex

    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imports = [
        node for node in stub.body if isinstance(node, ast.ImportFrom) and "IPython" not in node.module
    ]
    homes = {alias.asname: (node.module, alias.name) for node in imports for alias in node.names}
    assert sorted(homes) == ex.__all__
    for name, (home, attribute) in homes.items():
        expected = f"{home}.{name}:" if home == "explorer" else f"{home}:{attribute}"
        assert ex._HOMES[name] == expected


@pytest.mark.slow
def test_no_grammar_of_addresses_is_read_before_the_first_look():
    """rfc3987_syntax, which JupyterLab has, takes three seconds to import; it can be had later."""
    code = """
import importlib.util, sys
import explorer
explorer.Explorer
assert "altair" in sys.modules and "rfc3987_syntax" not in sys.modules
if importlib.util.find_spec("rfc3987_syntax"):
    import rfc3987_syntax
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["import explorer as ex; ex.Explorer", "%load_ext explorer"])
def test_a_fresh_kernel_says_that_something_is_coming_and_takes_it_back(code):
    from jupyter_client.manager import start_new_kernel

    import explorer

    manager, client = start_new_kernel()
    told = []
    try:
        for each in (code, "ex = __import__('explorer'); ex.Explorer"):  # the second time all is there
            client.execute_interactive(each, timeout=120, output_hook=told.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    said = [(m["msg_type"], m["content"]["data"]) for m in told if "display" in m["msg_type"]]
    assert [kind for kind, _ in said] == ["display_data", "update_display_data"]
    assert explorer.LOADING in said[0][1]["text/html"]
    assert said[1][1]["text/html"] == ""
