"""Notebooks are tests; the long ones wait for `pytest -m slow`, so that the default suite stays quick."""

import pytest

SLOW = ("compare.ipynb",)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks the cells of long notebooks."""
    if item.path.name in SLOW:
        item.add_marker(pytest.mark.slow)
