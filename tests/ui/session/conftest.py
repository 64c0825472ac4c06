"""Sessions on few images, closed after each test."""

import threading
from functools import partial
from types import SimpleNamespace

import pytest
from laws import left

from explorer.ui.session import worker
from explorer.ui.session.session import Session


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    """The worker leaves one core to the page; with two it trains on one thread, as these tests do."""
    monkeypatch.setattr(worker, "os", SimpleNamespace(cpu_count=lambda: 2))


@pytest.fixture
def tiny(tiny):
    """63 steps an epoch: many steps, and few records, which cost more."""
    return partial(tiny, batch_size=8)


@pytest.fixture
def session():
    """Returns a function that makes a Session; all of them are closed after the test, and leave no thread."""
    before, made = set(threading.enumerate()), []

    def make(experiment, **how):
        made.append(Session(experiment, "cpu", **how))
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert left(before) == []
