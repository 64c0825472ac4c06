"""What happens to the process in which `train` trains: Ctrl-C, and a fork."""

import signal
import subprocess
import sys

import pytest

import explorer as ex
from explorer.engine.execution.interrupts import defer_sigint
from explorer.engine.training import train as train_module
from explorer.ui.session.session import Session

INTERRUPTED_IMPORT = """
import signal, sys, explorer as ex
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numba.core.lowering":
            sys.meta_path.remove(self)
            {interrupt}
sys.meta_path.insert(0, Finder())
experiment = ex.Experiment(epochs=1, pruning=None)
assert ex.train(experiment, "cpu", progress=False).status == "stopped"
again = ex.train(experiment, "cpu", progress=False)
assert again.status == "done" and again.summary["compiled"], again.summary
"""


def test_an_interrupt_is_heard_when_numba_is_imported():
    code = INTERRUPTED_IMPORT.format(interrupt="signal.raise_signal(signal.SIGINT)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_import_of_numba_that_fails_is_begun_anew():
    code = INTERRUPTED_IMPORT.format(interrupt="raise KeyboardInterrupt")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_interrupt_before_the_first_step_returns_the_untrained_network(monkeypatch):
    class Interrupted(train_module.Trainer):
        def __init__(self, *arguments):
            signal.raise_signal(signal.SIGINT)
            super().__init__(*arguments)

    monkeypatch.setattr(train_module, "Trainer", Interrupted)
    run = ex.train(ex.Experiment(epochs=1), "cpu", progress=False)
    assert (run.status, run.summary["steps"], run.summary["sparsity"]) == ("stopped", 0, 0)


def test_a_second_interrupt_is_heard_at_once():
    reached = []
    try:
        with defer_sigint(once=True):
            signal.raise_signal(signal.SIGINT)
            reached.append(1)
            signal.raise_signal(signal.SIGINT)
            reached.append(2)
    except KeyboardInterrupt:
        reached.append(3)
    assert reached == [1, 3]


def test_a_forked_process_is_warned(tiny, monkeypatch):
    ex.train(tiny(epochs=1), "cpu", progress=False)
    monkeypatch.setattr(train_module.os, "getpid", lambda: -1)
    session = Session(tiny(epochs=1), "cpu")
    try:
        for begin in (
            lambda: ex.train(tiny(epochs=1), "cpu", progress=False),
            lambda: ex.sweep(tiny(epochs=1), {"lr": [0.1]}, device="cpu", progress=False, plan="stack"),
            lambda: train_module.train_stack([tiny(epochs=1)], "cpu", lambda _: None),
            session.prepare,
            session.start,
        ):
            with pytest.warns(UserWarning, match="forked from one that has trained.*spawn") as caught:
                begin()
            assert {warning.filename for warning in caught} == {__file__}
    finally:
        session.close()
