"""The chosen methods' own options as controls: a method's signature says which, and what they may be."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from explorer import registry
from explorer.experiment import METHODS, Experiment
from explorer.registry import Method, Option
from explorer.ui.controls import fields, labels
from explorer.ui.controls.controls import Control, label_widget, toggle_class, value_at

# Where an Experiment has the method of an axis, and where that method's options; by dotted name.
METHOD_PATHS = {"model": "model", **{axis: f"pruning.{axis}" for axis in METHODS}, "rule": "clipping.rule"}
OPTION_PATHS = dict.fromkeys(METHOD_PATHS, "pruning.options")
OPTION_PATHS |= {"model": "model_options", "rule": "clipping.options"}


def methods_of(experiment: Experiment, axis: str) -> list[Method]:
    """Return the methods that an Experiment has on an axis: several where clip rules are chained."""
    return methods_named(axis, value_at(experiment, METHOD_PATHS[axis]))


def methods_named(axis: str, names: str | Sequence[str] | None) -> list[Method]:
    """Return the methods of an axis by one name, several or none, as an Experiment has them."""
    return [registry.get(axis, name) for name in ([names] if isinstance(names, str) else names or [])]


def options_of(experiment: Experiment, axis: str) -> dict[str, Any]:
    """Return the options that are set, in the place where an axis has its own."""
    return dict(value_at(experiment, OPTION_PATHS[axis]) or {})


def option_names() -> list[str]:
    """Return the names of all options of all methods."""
    methods = (method for axis in OPTION_PATHS for method in registry.methods(axis))
    return list(dict.fromkeys(name for method in methods for name in method.options))


def option_control(axis: str, method: Method, option: Option) -> Control:
    """Return a control of one option."""
    name, path, field = option.name, f"{OPTION_PATHS[axis]}.{option.name}", fields.field(option)
    if name in labels.CHOICES and isinstance(field.widget, w.Dropdown):
        choices = [(words, value) for words, value in labels.CHOICES[name] if value in field.widget.options]
        field.widget.options = choices
    label_widget(field.widget, name, labels.option_label(name, method), labels.option_tooltip(name, method))
    default = None if option.required else option.default

    def read(experiment: Experiment) -> Any:
        return field.format(options_of(experiment, axis).get(name, default))

    return Control(name, field.widget, read, lambda value: {path: field.parse(value)})


class MethodOptions:
    """A box of controls for each axis, below the menu of its methods; made anew as another is chosen.

    Args:
        on_new: called with each new control.
    """

    def __init__(self, on_new: Callable[[Control], None]) -> None:
        self.boxes = {axis: w.VBox().add_class("explorer-options") for axis in OPTION_PATHS}
        self.controls: dict[str, list[Control]] = {axis: [] for axis in OPTION_PATHS}
        self._functions: dict[str, Sequence[Any]] = dict.fromkeys(OPTION_PATHS, ())  # whose options are there
        self._on_new = on_new
        self._hidden: set[str] = set()

    @property
    def widgets(self) -> dict[str, w.ValueWidget]:
        """The widgets of the options that the chosen methods have, by the option's name."""
        return {each.name: each.widget for controls in self.controls.values() for each in controls}

    def reveal(self, name: str, on: bool) -> None:
        """Show or hide an option by name, now and whenever a method has it."""
        (self._hidden.discard if on else self._hidden.add)(name)
        for controls in self.controls.values():
            self._hide(controls)

    def sync(self, experiment: Experiment) -> None:
        """Have the options of the Experiment's methods, at their values."""
        for axis in OPTION_PATHS:
            methods = methods_of(experiment, axis)
            functions = [method.function for method in methods]
            if self._functions[axis] != functions:
                self._functions[axis] = functions
                self._build(axis, methods)
            for control in self.controls[axis]:
                control.sync(experiment)

    def _build(self, axis: str, methods: list[Method]) -> None:
        old = self.controls[axis]
        pairs = {name: (method, option) for method in methods for name, option in method.options.items()}
        self.controls[axis] = [option_control(axis, *pair) for pair in pairs.values()]
        self._hide(self.controls[axis])
        self.boxes[axis].children = [control.widget for control in self.controls[axis]]
        for control in self.controls[axis]:
            self._on_new(control)
        for control in old:
            for part in (control.widget.layout, control.widget.style, control.widget):
                part.close()

    def _hide(self, controls: Sequence[Control]) -> None:
        for control in controls:
            toggle_class(control.widget, "explorer-hidden", control.name in self._hidden)
