"""Explorers that were opened, looked at from all sides and closed leave nothing behind."""

import gc
import threading
import weakref

import pytest
from hands import PATIENCE, let_go
from ipywidgets.widgets.widget import _instances

from explorer import registry
from explorer.ui.explorer import Explorer

TIMES = 10


def used(experiment):
    """Opens an explorer, uses all of it and closes it; returns what must be gone."""
    explorer = Explorer(experiment, device="cpu")
    explorer._button["train"].click()
    explorer.wait(PATIENCE)
    for tab in explorer._gallery.tabs:
        explorer.tab = tab
        explorer.session.call(id).result(PATIENCE)
    explorer._gallery.tabs["runs"].pin()
    let_go(explorer, 0.5)
    run = explorer.wait(PATIENCE)
    gone = [explorer, explorer.session, explorer._gallery, explorer._chart, run]
    gone += [
        *explorer._gallery.tabs.values(),
        explorer.session.call(lambda trainer: trainer).result(PATIENCE),
    ]
    explorer.close()
    return [weakref.ref(each) for each in gone]


@pytest.mark.slow
def test_ten_explorers_with_all_tabs_opened_leave_nothing_behind(tiny):
    used(tiny())  # what is made once for all of them
    gc.collect()
    threads, widgets, watchers = set(threading.enumerate()), set(_instances), len(registry._WATCHERS)
    for _ in range(TIMES):
        gone = used(tiny())
        gc.collect()
        assert [type(ref()).__name__ for ref in gone if ref() is not None] == []
    assert [thread.name for thread in set(threading.enumerate()) - threads] == []
    assert set(_instances) == widgets
    assert len(registry._WATCHERS) <= watchers + 1  # the last one's is swept as the next one comes
