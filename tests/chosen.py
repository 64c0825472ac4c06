"""Which cases of a test wait for the slow suite."""

import pytest


def some(cases, *first):
    """All cases by name: of these few first in the default suite, of the others in the slow one."""
    assert set(first) <= set(cases), set(first) - set(cases)
    return [
        pytest.param(case, id=str(name), marks=() if name in first else pytest.mark.slow)
        for name, case in cases.items()
    ]
