"""The README's table of methods is what the registry says."""

import re
from pathlib import Path

import pytest

from explorer import registry

README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_methods_is_the_registrys():
    table = registry.table(registry.SCIENCE)
    assert table in README.read_text(encoding="utf-8"), "paste the output of: python -m explorer.registry"


def test_every_row_of_the_table_has_as_many_cells_as_its_head():
    rows = registry.table(registry.SCIENCE).splitlines()
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {7}


def test_the_two_commands_are_on_the_first_screen():
    first = README.read_text(encoding="utf-8")[:2000]
    assert "pip install -e . && jupyter lab notebooks/explore.ipynb" in first
    assert 'pip install -e ".[test]" && pytest' in first


@pytest.mark.parametrize("section", ["speed", "latency"])
def test_the_tables_of_speed_are_the_kept_readings(section, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    import report

    text = README.read_text(encoding="utf-8")
    assert report.marked(section) in text, "run: python tests/benchmarks/report.py --write"
