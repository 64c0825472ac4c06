"""Shared by the contract tests: a tiny run of a pruning."""

import pytest


@pytest.fixture
def trained(tiny):
    """Returns a function that trains the tiny experiment under a pruning, its twin beside it."""
    import explorer as ex

    def make(**pruning):
        return ex.train(tiny(pruning=pruning), progress=False)

    return make
