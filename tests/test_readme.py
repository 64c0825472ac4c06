"""The README's table of methods is what the registry says."""

from pathlib import Path

from explorer import registry

README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_methods_is_the_registrys():
    table = registry.table(registry.SCIENCE)
    assert table in README.read_text(encoding="utf-8"), "paste the output of: python -m explorer.registry"


def test_the_two_commands_are_on_the_first_screen():
    first = README.read_text(encoding="utf-8")[:2000]
    assert "pip install -e . && jupyter lab notebooks/explore.ipynb" in first
    assert 'pip install -e ".[test]" && pytest' in first
