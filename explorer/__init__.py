"""The pruning explorer: see what neural-network pruning and gradient clipping do.

`import explorer as ex` loads nothing heavy; each public name is imported when it is first used.
"""

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from explorer import figures, presets
    from explorer.engine.pruning.prune import prune
    from explorer.engine.training.run import Run
    from explorer.engine.training.train import train
    from explorer.experiment import Clipping, Experiment, Pruning
    from explorer.study.sweep import Study, sweep
    from explorer.ui.explorer import Explorer

__all__ = [
    "Clipping",
    "Experiment",
    "Explorer",
    "Pruning",
    "Run",
    "Study",
    "figures",
    "presets",
    "prune",
    "sweep",
    "train",
]

LOADING = "Loading PyTorch and the explorer: a few seconds, once a kernel …"
_LINES: list[str] = []  # that were shown: one import leads to others

_HOMES = {
    "Clipping": "explorer.experiment",
    "Experiment": "explorer.experiment",
    "Explorer": "explorer.ui.explorer",
    "Pruning": "explorer.experiment",
    "Run": "explorer.engine.training.run",
    "Study": "explorer.study.sweep",
    "figures": "explorer.figures",
    "presets": "explorer.presets",
    "prune": "explorer.engine.pruning.prune",
    "sweep": "explorer.study.sweep",
    "train": "explorer.engine.training.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'explorer' has no {name!r}; it has {', '.join(__all__)}")
    if name == "Explorer":
        _warm()
    with _quickly(), _told():
        home = importlib.import_module(_HOMES[name])
    value = home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)
    globals()[name] = value
    return value


@contextmanager
def _quickly() -> Iterator[None]:
    """Leave out rfc3987_syntax, which takes three seconds to import.

    JupyterLab brings it along for jsonschema to check IRIs with; Altair, which imports jsonschema, has none.
    """
    name = "rfc3987_syntax"
    if name in sys.modules or "jsonschema" in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # so Python is told that there is none
    try:
        yield
    finally:
        del sys.modules[name]


def _warm() -> None:
    """Start the JavaScript engine that the first charts need, 0.4 s, beside the imports."""
    from vl_convert import vegalite_to_vega

    threading.Thread(target=vegalite_to_vega, args=({"mark": "point"},), daemon=True).start()


@contextmanager
def _told() -> Iterator[None]:
    """Say in a notebook that something is coming, as the first import of torch takes seconds."""
    shell = "IPython" in sys.modules and sys.modules["IPython"].get_ipython()
    if "torch" in sys.modules or _LINES or not hasattr(shell, "kernel"):
        yield
        return
    from IPython.display import HTML, display

    _LINES.append(LOADING)
    line = display(HTML(f"<em role='status'>{LOADING}</em>"), display_id=True)
    try:
        yield
    finally:
        line.update(HTML(""))


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """`%load_ext explorer` makes the magic `%explorer` known: it opens the explorer."""
    _warm()
    with _quickly(), _told():
        from explorer.ui.magic import register

    register(shell)
