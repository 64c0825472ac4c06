"""Experiment text: the present Experiment as text to copy, and a place to paste another one over it."""

import ast
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from explorer.experiment import Clipping, Experiment, Pruning
from explorer.ui.widgets import assets

# Every string that a person reads here.
WORDS = {
    "label": "The experiment as text",
    "hint": "Copy it to share these settings; or paste others over it, and Apply moves the controls there.",
    "copy": "Copy",
    "copyTip": "Copy the whole text to the clipboard",
    "copied": "copied",
    "selected": "selected: press Ctrl+C",
    "apply": "Apply",
    "applyTip": "Move all controls to this experiment",
    "undo": "Undo",
    "undoTip": "Back to the present experiment",
    "json": "JSON",
    "jsonTip": "The experiment as JSON: for files and other programs",
    "code": "Python",
    "codeTip": "The experiment as the Python that makes it: for a notebook's cell",
    "format": "Format",
}
APPLIED = "the controls are there now"
EMPTY = "there is no text: paste an Experiment as JSON, or as ex.Experiment(...)"
NOT_PYTHON = "this is neither JSON nor Python: {}"
NO_EXPERIMENT = "this describes no Experiment: give its JSON, or one ex.Experiment(...)"
ONLY = "{} is not allowed here: only ex.Experiment(...) with names and plain values"
BY_NAME = "{}(...) takes its settings by name, such as lr=0.1"

PARTS = {part.__name__: part for part in (Experiment, Pruning, Clipping)}
LONGEST = 100_000  # characters of a recipe: more is something else


def read(text: str) -> Experiment:
    """Return the Experiment that a text describes, as JSON or as `ex.Experiment(...)`; nothing in it is run.

    Raises:
        ValueError: where it does not fit.
    """
    text = text.strip()
    if not text:
        raise ValueError(EMPTY)
    if text.startswith("{"):
        return Experiment.from_json(text)
    try:
        experiment = _value(_expression(text[:LONGEST]))
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(NOT_PYTHON.format(getattr(error, "msg", "") or type(error).__name__)) from None
    if not isinstance(experiment, Experiment):
        raise ValueError(NO_EXPERIMENT)
    return experiment


def _expression(text: str) -> ast.expr:
    """Return the one expression of a text; it may have a name, and imports may stand before it."""
    lines = [each for each in ast.parse(text).body if not isinstance(each, ast.Import | ast.ImportFrom)]
    match lines:
        case [ast.Expr(value=value)] | [ast.Assign(value=value)]:
            return value
    raise ValueError(NO_EXPERIMENT)


def _value(node: ast.expr) -> Any:
    if not isinstance(node, ast.Call):
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(ONLY.format(_short(node))) from None
    name = _part(node.func)
    if node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError(BY_NAME.format(name))
    return PARTS[name](**{str(keyword.arg): _value(keyword.value) for keyword in node.keywords})


def _part(node: ast.expr) -> str:
    """Return the name of the part of an Experiment that a call makes."""
    match node:
        case ast.Attribute(value=ast.Name(id="ex" | "explorer"), attr=name) | ast.Name(id=name):
            if name in PARTS:
                return name
    raise ValueError(ONLY.format(_short(node)))


def _short(node: ast.expr) -> str:
    text = ast.unparse(node)
    return repr(text if len(text) < 40 else text[:37] + "...")


class ExperimentText(anywidget.AnyWidget):
    """The text with its buttons; `go_to` gets the Experiment that was pasted."""

    _esm = assets.script("experiment_text.js")
    _css = assets.style("experiment_text.css")
    json = traitlets.Unicode().tag(sync=True)  # the present Experiment
    code = traitlets.Unicode().tag(sync=True)  # the same as Python
    words = traitlets.Dict(WORDS).tag(sync=True)  # what a person reads there

    def __init__(self, go_to: Callable[[Experiment], None]) -> None:
        super().__init__()
        self._go_to = go_to
        self._experiment: Experiment | None = None
        self.on_msg(self._on_message)

    def show(self, experiment: Experiment) -> None:
        """Show this as the present Experiment."""
        if experiment != self._experiment:
            self._experiment = experiment
            with self.hold_sync():
                self.json, self.code = experiment.to_json(), experiment.code()

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("type") != "apply":
            return
        try:
            experiment = read(str(content.get("text", "")))
            self._go_to(experiment)
        except Exception as error:  # noqa: BLE001  whatever it is, the person who pasted must see it
            self.send({"type": "reply", "ok": False, "text": f"{error}"})
        else:
            self.show(experiment)
            self.send({"type": "reply", "ok": True, "text": APPLIED})
