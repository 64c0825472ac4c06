"""Explorers that were opened, looked at from all sides and closed leave nothing behind."""

import gc
import itertools
import threading
import weakref

import pytest
import torch
from hands import PATIENCE, let_go
from ipywidgets.widgets.widget import _instances

from explorer import registry
from explorer.ui.explorer import Explorer

TIMES = 10
RESTARTS = 20


def live_bytes(_trainer):
    """The memory of all tensors, each once, and how many there are."""
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return sum({each.data_ptr(): each.nbytes for each in tensors}.values()), len(tensors)


def test_twenty_restarts_of_an_explorer_leave_no_tensors(tiny):
    """Nor does one of them wait for the garbage collector."""
    explorer = Explorer(tiny(epochs=1000), device="cpu")
    tabs = itertools.cycle(explorer.tabs)

    def restart():
        explorer.tab = next(tabs)
        explorer.controls["train"].click()
        while explorer.session.call(lambda trainer: trainer.step).result(PATIENCE) < 20:
            pass
        explorer.controls["max_norm"].value = 2.0 - explorer.controls["max_norm"].value / 2
        explorer.controls["threshold"].value = 100 - explorer.controls["threshold"].value
        explorer.session.call(id).result(PATIENCE)

    def measure():
        explorer.tab = "live"
        explorer.session.call(id).result(PATIENCE)
        explorer.controls["stop"].click()
        return explorer.session.call(live_bytes).result(PATIENCE)

    try:
        for _ in explorer.tabs:
            restart()
        before, many = measure()
        gc.collect()
        gc.disable()
        for _ in range(RESTARTS):
            restart()
        after, more = measure()
    finally:
        gc.enable()
        explorer.close()
    one_run = 2 * 4 * 101_770  # bytes of one matrix of weights, a run beside its twin
    assert after <= before + 12 * one_run, "snapshots of one run, whose steps nobody counts"
    assert more <= many + 60


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
