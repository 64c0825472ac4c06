"""What a run holds before its first step is bounded, however long it is to last."""

import tracemalloc

import pytest

import explorer as ex
from explorer.engine.training.timetable import MOST_EVENTS, Timetable
from explorer.engine.training.trainer import Trainer


def test_the_longest_run_takes_little_before_its_first_step(tiny):
    tracemalloc.start()
    try:
        trainer = Trainer([tiny(epochs=100_000)], "cpu")
        trainer.executor.advance(0, 1, keep_gradient=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100e6


def test_a_plan_of_too_many_events_is_refused_before_it_is_made():
    pruning = ex.Pruning(schedule="every-step", unit="score", threshold=0.01)
    with pytest.raises(ValueError, match=r"'every-step' would prune 60,000,000 times.*every to 60 or more"):
        Timetable(800, 100_000).events(pruning)
    seldom = ex.Pruning(schedule="every-step", unit="score", threshold=0.01, options={"every": 60})
    assert len(Timetable(800, 100_000).events(seldom)) == MOST_EVENTS
