"""The throttle: at once for another key, after its pause for a drift, at most its share of the time."""

import pytest

from explorer.ui.session.throttle import Throttle


class Clock:
    """A clock that goes on when told to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def work(throttle, clock, cost=0.0, **keys):
    with throttle.work(**keys):
        clock.now += cost


def test_the_first_work_is_due_at_once(clock):
    throttle = Throttle(seconds=60, clock=clock)
    assert throttle.due(None)
    assert not throttle.resting


def test_another_key_is_due_at_once_and_the_same_one_never(clock):
    throttle = Throttle(seconds=60, clock=clock)
    work(throttle, clock, key="a")
    assert throttle.due("b")
    clock.now += 1000
    assert not throttle.due("a")


def test_a_drift_waits_for_the_pause_unless_that_is_not_asked_for(clock):
    throttle = Throttle(seconds=0.5, clock=clock)
    work(throttle, clock, key="a", drift=1)
    clock.now += 0.49
    assert throttle.resting
    assert not throttle.due("a", 2)
    assert throttle.due("a", 2, pause=False)
    assert not throttle.due("a", 1, pause=False)
    clock.now += 0.01
    assert not throttle.resting
    assert throttle.due("a", 2)


def test_costly_work_takes_no_more_than_its_share_of_the_time(clock):
    throttle, busy, begun = Throttle(seconds=0.5, share=0.1, clock=clock), 0.0, clock.now
    for step in range(1000):
        if throttle.due("a", step):
            work(throttle, clock, cost=0.25, key="a", drift=step)
            busy += 0.25
        clock.now += 0.125
    assert 0.08 < busy / (clock.now - begun) < 0.1


def test_the_pause_begins_where_the_work_ends(clock):
    throttle = Throttle(seconds=1, share=10, clock=clock)
    work(throttle, clock, cost=5)
    clock.now += 0.875
    assert throttle.resting
    clock.now += 0.125
    assert not throttle.resting


def test_work_in_pieces_is_recorded_with_the_cost_of_all(clock):
    throttle = Throttle(share=0.5, clock=clock)
    throttle.record(3, "a")
    clock.now += 5
    assert throttle.resting
    clock.now += 1
    assert not throttle.resting
    assert throttle.due("b")


def test_work_that_fails_is_due_as_before(clock):
    throttle = Throttle(seconds=60, clock=clock)
    with pytest.raises(RuntimeError, match="no memory"), throttle.work("a"):
        raise RuntimeError("no memory")
    assert throttle.due("a")
    assert not throttle.resting


def test_after_a_reset_the_same_key_is_due(clock):
    throttle = Throttle(seconds=60, clock=clock)
    work(throttle, clock, key="a", drift=1)
    throttle.reset()
    assert throttle.due("a", 1)
    assert not throttle.resting


def test_what_was_done_elsewhere_begins_the_pause_anew_at_the_same_cost(clock):
    throttle = Throttle(seconds=1, share=0.5, clock=clock)
    work(throttle, clock, cost=2)
    clock.now += 3
    throttle.restart()
    clock.now += 3
    assert throttle.resting
    clock.now += 1
    assert not throttle.resting
