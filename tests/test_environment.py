"""conda and Binder get what pip gets: environment.yml lists the dependencies of pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch"}  # where conda-forge has another name than PyPI


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def parse(requirement):
    """Name and lower bound; anything else, like an upper bound, does not fit.

    A condition on Python's version is pip's alone: conda solves for both together.
    """
    bare = re.sub(r"; python_version < '[\d.]+'$", "", requirement)
    name, bound = re.fullmatch(r"([\w.-]+?)(?:>=([\d.]+))?", bare).groups()
    return name, bound


def listed(environment):
    return dict(parse(entry) for entry in environment["dependencies"] if isinstance(entry, str))


def test_the_same_dependencies_with_the_same_bounds(project, environment):
    expected = dict(parse(requirement) for requirement in project["dependencies"])
    expected = {CONDA_NAMES.get(name, name): bound for name, bound in expected.items()}
    found = listed(environment)
    found.pop("python")
    found.pop("pip")
    assert found == expected
    assert len(expected) == len(project["dependencies"])


def test_the_same_python(project, environment):
    assert f">={listed(environment)['python']}" == project["requires-python"]


def test_the_explorer_itself_comes_last_and_from_here(environment):
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}
    assert "pip" in listed(environment)


def test_name_and_channels(project, environment):
    assert environment["name"] == project["name"]
    assert environment["channels"][0] == "conda-forge"
    assert set(environment) == {"name", "channels", "dependencies"}
