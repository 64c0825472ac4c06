"""Notebooks are tests, cell after cell in one process; the long ones wait for `pytest -m slow`."""

import pytest

SLOW = ("compare.ipynb",)


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the cells of notebooks, and those of long ones."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        if item.path.name in SLOW:
            item.add_marker(pytest.mark.slow)
