"""The chosen methods' own options as controls: a method's signature says which, and what they may be."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from explorer import registry
from explorer.experiment import Experiment
from explorer.registry import Method, Option, get
from explorer.ui.controls import fields
from explorer.ui.controls.controls import Control, dress, mark

PLACES = {  # where an Experiment keeps the options of an axis
    "model": "model_options",
    "criterion": "pruning.options",
    "granularity": "pruning.options",
    "allocation": "pruning.options",
    "schedule": "pruning.options",
    "rule": "clipping.options",
}

# Every string that a person reads here. What is not among these is an option of a method of the user's own.
LABELS = {
    "depth": "Hidden layers",
    "width": "Units a layer",
    "digit": "Digit",
    "spare_last": "Spare last layer",
    "norm": "Norm of a unit",
    "n": "n kept",
    "m": "of m weights",
    "shares": "Layer shares",
    "rounds": "Rounds",
    "tolerance": "Tolerance",
    "rewind_epoch": "Rewind epoch",
    "every": "Every (steps)",
    "margin": "Margin (× τ)",
    "drop": "Dropped share",
    "clipping": "Factor λ",
    "eps": "Least norm ε",
    "percentile": "Percentile",
    "k": "Kept share k",
    "error_feedback": "Error feedback",
    "tau": "Threshold τ",
    "rate": "Rate (× mean)",
}
CHOICES = {"norm": (("L1", 1), ("L2", 2))}
TIP = "{name}, an option of {method}\n{help}\n{formula}"


def chosen(experiment: Experiment, axis: str) -> list[Method]:
    """The methods that an Experiment has on an axis: several where clip rules are chained."""
    if axis == "model":
        return [get(axis, experiment.model)]
    if axis == "rule":
        return [get(axis, name) for name in experiment.clipping.rules] if experiment.clipping else []
    return [get(axis, getattr(experiment.pruning, axis))] if experiment.pruning else []


def names() -> list[str]:
    """The names of all options of all methods."""
    return list(
        dict.fromkeys(name for axis in PLACES for method in registry.methods(axis) for name in method.options)
    )


def bag(experiment: Experiment, axis: str) -> dict[str, Any]:
    """The options that are set, in the place where an axis has its own."""
    *parents, leaf = PLACES[axis].split(".")
    node = getattr(experiment, parents[0]) if parents else experiment
    return dict(getattr(node, leaf, None) or {})


def label(option: str, method: Method | None = None) -> str:
    """What an option is called on the page; one of the user's own methods goes by its own name."""
    plain = option.replace("_", " ").capitalize()
    ours = method is None or method.function.__module__.startswith("explorer.")
    return LABELS.get(option, plain) if ours else plain


def control(axis: str, method: Method, option: Option) -> Control:
    """The control of one option."""
    name, path, field = option.name, f"{PLACES[axis]}.{option.name}", fields.field(option)
    if name in CHOICES and isinstance(field.widget, w.Dropdown):
        field.widget.options = [
            (words, value) for words, value in CHOICES[name] if value in field.widget.options
        ]
    tip = TIP.format(name=name, method=method.name, help=method.help, formula=method.formula)
    dress(field.widget, name, label(name, method), tip.strip())
    default = None if option.required else option.default

    def read(experiment: Experiment) -> Any:
        return field.shown(bag(experiment, axis).get(name, default))

    return Control(name, field.widget, read, lambda value: {path: field.said(value)})


class MethodOptions:
    """A box of controls for each axis, below the menu of its methods; made anew as another is chosen."""

    def __init__(self, on_made: Callable[[Control], None]) -> None:
        self.boxes = {axis: w.VBox().add_class("explorer-options") for axis in PLACES}
        self.controls: dict[str, list[Control]] = {axis: [] for axis in PLACES}
        self._made: dict[str, Sequence[Any]] = dict.fromkeys(PLACES, ())
        self._on_made = on_made
        self._hidden: set[str] = set()

    def reveal(self, name: str, on: bool) -> None:
        """Shows or hides an option by name, now and whenever a method has it."""
        (self._hidden.discard if on else self._hidden.add)(name)
        for made in self.controls.values():
            self._mark(made)

    def show(self, experiment: Experiment) -> None:
        """Shows the options of the Experiment's methods at their values."""
        for axis in PLACES:
            methods = chosen(experiment, axis)
            if self._made[axis] != [m.function for m in methods]:
                self._made[axis] = [m.function for m in methods]
                self._build(axis, methods)
            for each in self.controls[axis]:
                each.show(experiment)

    def _build(self, axis: str, methods: list[Method]) -> None:
        old = self.controls[axis]
        pairs = {name: (method, option) for method in methods for name, option in method.options.items()}
        self.controls[axis] = [control(axis, method, option) for method, option in pairs.values()]
        self._mark(self.controls[axis])
        self.boxes[axis].children = [each.widget for each in self.controls[axis]]
        for each in self.controls[axis]:
            self._on_made(each)
        for each in old:
            for part in (each.widget.layout, each.widget.style, each.widget):
                part.close()

    def _mark(self, made: Sequence[Control]) -> None:
        for each in made:
            mark(each.widget, "explorer-hidden", each.name in self._hidden)
