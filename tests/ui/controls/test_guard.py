"""The guard: hands on any thread are heard one after the other, code never is, and errors are told."""

import threading
import warnings

import ipywidgets as w
import pytest
from hands import PATIENCE, move, told

from explorer.ui.controls.guard import Guard, alert


@pytest.fixture
def heard():
    """A guard, what it has told, and a slider whose moves are written down."""
    events = []
    guard = Guard(on_error=lambda: events.append("put back"), on_warning=events.append)
    slider = w.IntSlider()
    slider.observe(guard.wrap(lambda change: events.append(change["new"])), "value")
    return guard, events, slider


def elsewhere(function, *args):
    """Runs a function in another thread, to its end."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_what_code_does_is_not_heard(heard):
    guard, events, slider = heard
    with guard.muted():
        slider.value = 1
        with guard.muted():
            slider.value = 2
        slider.value = 3  # still
    assert events == []
    slider.value = 4
    assert events == [4]


def test_a_hand_on_another_thread_is_heard_meanwhile(heard):
    guard, events, slider = heard
    with guard.muted():
        elsewhere(setattr, slider, "value", 5)
    assert events == [5]


def test_who_is_not_heard_does_not_wait_for_the_lock(heard):
    """The worker draws while a callback, which has the lock, waits for the worker."""
    guard, events, slider = heard

    def draw():
        with guard.muted():
            slider.value = 6

    with guard.lock:
        elsewhere(draw)
    assert (slider.value, events) == (6, [])


def test_callbacks_run_one_at_a_time(heard):
    guard, _, _ = heard
    inside, go = threading.Event(), threading.Event()
    order = []

    def slow(_):
        inside.set()
        assert go.wait(PATIENCE)
        order.append("first")

    first = threading.Thread(target=guard.wrap(slow), args=(None,))
    first.start()
    assert inside.wait(PATIENCE)
    second = threading.Thread(target=guard.wrap(lambda _: order.append("second")), args=(None,))
    second.start()
    go.set()
    for thread in (first, second):
        thread.join(PATIENCE)
    assert order == ["first", "second"]


def test_an_error_is_told_and_what_goes_right_takes_it_away(heard):
    guard, events, _ = heard

    def refuse(_):
        raise ValueError("lr = -1: give more than <0>")

    guard.wrap(refuse)(None)
    assert "give more than &lt;0&gt;" in guard.error_box.value
    assert events == ["put back"]
    guard.wrap(lambda _: None)(None)
    assert guard.error_box.value == ""


def test_the_first_warning_is_a_remark(heard):
    guard, events, _ = heard

    def remark(_):
        warnings.warn("no effect", stacklevel=1)
        warnings.warn("nor this", stacklevel=1)

    guard.wrap(remark)(None)
    assert (events, guard.error_box.value) == (["no effect"], "")


def test_in_the_explorer_a_hand_is_heard_while_code_moves_the_controls(opened):
    explorer = opened()
    with explorer._guard.muted():
        explorer.controls["lr"].value = 0.3  # code's: says nothing
        assert explorer.experiment.lr == 0.1
        elsewhere(move, explorer, "epochs", 5)
    assert explorer.experiment.epochs == 5
    assert told(explorer) == ""


def test_an_error_without_words_has_its_name():
    assert alert(ValueError("lr = −1: give more than 0")) == (
        '<div role="alert">lr = −1: give more than 0.</div>'
    )
    assert alert(TimeoutError()).startswith('<div role="alert">TimeoutError. Press Reset')
    assert "OSError: disk &lt;1&gt;. Press Reset" in alert(OSError("disk <1>."))
