"""The pruning explorer: see what neural-network pruning and gradient clipping do.

`import explorer as ex` loads nothing heavy; each public name is imported when it is first used. From the
bottom up there are:

- `traits`, `signatures`, `registry`: a function's signature becomes a method with options, label, help and
  reference.
- `fields`, `experiment`: `Experiment`, `Pruning` and `Clipping`, the full description of a run.
- `methods`: the science in pure torch: criteria, granularities, schedules, clip rules.
- `presets`: the recipes of articles and papers; `data`: the embedded images, and tables.
- `engine`: the machine that trains, prunes and records.
- `study`: many runs.
- `figures`: charts of what was recorded.
- `ui`: the widget.
"""

import pkgutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LOADING = "Loading PyTorch and the explorer: a few seconds, once a kernel …"
# Type checkers read the names in __init__.pyi; lazy_loader would, too, but a bare worker lacks it.
_HOMES = {
    "Clipping": "explorer.experiment:Clipping",
    "Experiment": "explorer.experiment:Experiment",
    "Explorer": "explorer.ui.explorer:Explorer",
    "Pruning": "explorer.experiment:Pruning",
    "Run": "explorer.engine.training.run:Run",
    "Study": "explorer.study.sweep:Study",
    "figures": "explorer.figures:",
    "presets": "explorer.presets:",
    "prune": "explorer.engine.pruning.prune:prune",
    "sweep": "explorer.study.sweep:sweep",
    "train": "explorer.engine.training.train:train",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  one list is enough
_announced = threading.Event()  # one import leads to others


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'explorer' has no {name!r}; it has {', '.join(__all__)}")
    if name == "Explorer":
        _start_vega()
    with _skip_slow_import(), _announce_loading():
        value = globals()[name] = pkgutil.resolve_name(_HOMES[name])
    return value


def __dir__() -> list[str]:
    return __all__


@contextmanager
def _skip_slow_import() -> Iterator[None]:
    """Leave out rfc3987_syntax, which takes three seconds to import.

    JupyterLab brings it along for jsonschema to check IRIs with; Altair, which imports jsonschema, has none.
    """
    name = "rfc3987_syntax"
    if name in sys.modules or "jsonschema" in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # tells Python that there is none
    try:
        yield
    finally:
        del sys.modules[name]


def _start_vega() -> None:
    """Start the JavaScript engine that the first charts need, 0.4 s, beside the imports."""
    from vl_convert import vegalite_to_vega

    threading.Thread(target=vegalite_to_vega, args=({"mark": "point"},), daemon=True).start()


@contextmanager
def _announce_loading() -> Iterator[None]:
    """Say in a notebook that something is coming, as the first import of torch takes seconds."""
    shell = "IPython" in sys.modules and sys.modules["IPython"].get_ipython()
    if "torch" in sys.modules or _announced.is_set() or not hasattr(shell, "kernel"):
        yield
        return
    from IPython.display import HTML, display

    _announced.set()
    line = display(HTML(f"<em role='status'>{LOADING}</em>"), display_id=True)
    try:
        yield
    finally:
        line.update(HTML(""))


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """`%load_ext explorer` makes the magic `%explorer` known: it opens the explorer."""
    _start_vega()
    with _skip_slow_import(), _announce_loading():
        from explorer.ui.magic import register

    register(shell)
