"""The magic `%explorer`."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

import explorer as ex
from explorer.ui import magic


@pytest.fixture
def said(monkeypatch):
    """Runs a line of `%explorer` and returns the Experiment that the explorer would start from."""
    monkeypatch.setattr(magic, "Explorer", lambda experiment: experiment)
    shell = InteractiveShell()
    magic.register(shell)
    return lambda line: shell.run_line_magic("explorer", line)


def test_the_magic_alone_is_the_default(said):
    assert said("") == ex.Experiment()


def test_the_magic_reads_numbers_names_and_none(said):
    line = "lr=0.05 epochs=2 pruning.threshold=0.95 pruning.criterion=random normalise=False clipping=None"
    changes = {"pruning.threshold": 0.95, "pruning.criterion": "random"}
    assert said(line) == ex.Experiment(lr=0.05, epochs=2, normalise=False, clipping=None).replace(changes)


@pytest.mark.parametrize(("line", "told"), [("fast", "name=value"), ("epoch=3", "did you mean 'epochs'")])
def test_the_magic_says_what_it_wants(said, line, told):
    with pytest.raises(ValueError, match=told):
        said(line)
