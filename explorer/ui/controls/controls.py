"""The explorer's controls, each bound to a field of the Experiment; menus are read from the registry."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets as w
import torch

from explorer import registry
from explorer.experiment import METHODS, Experiment, most_held_out
from explorer.presets import PRESETS
from explorer.ui.controls import fields, labels

# Every string that a person reads here, beside the labels.
NO_PRESET = "choose one …"
NO_CLIPPING = "none"
CHAINED = " + "
OPTIMIZERS = {"SGD": ("sgd", 0.0), "momentum": ("sgd", 0.9), "Adam": ("adam", 0.0)}
BATCHES = (16, 32, 64, 128, 256, 512, 1024)
PENALTIES = (0.0, 1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 1e-2)
LABEL_WIDTH = "92px"

Changes = dict[str, Any]


@dataclass(frozen=True)
class Control:
    """A widget and its field: how to show an Experiment, and what moving it changes."""

    name: str
    widget: w.ValueWidget
    read: Callable[[Experiment], Any]  # None where the Experiment has no such field now
    changes: Callable[[Any], Changes]
    used: Callable[[Experiment], bool] = lambda _: True  # whether there is any use in showing it
    adapt: Callable[[Experiment], None] = lambda _: None  # lets range and tooltip follow the Experiment

    def sync(self, experiment: Experiment) -> None:
        """Move the widget to the Experiment's value; it widens where the value lies outside."""
        self.adapt(experiment)
        value = self.read(experiment)
        self.widget.disabled = value is None
        toggle_class(self.widget, "explorer-unused", not self.used(experiment))
        if value is not None and self.widget.value != value:
            fields.widen(self.widget, value)
            self.widget.value = value


def build(device: str) -> dict[str, Control]:
    """Return all controls by name."""
    controls = [
        *(_menu(axis, axis) for axis in ("dataset", "model", "loss", "lr_decay")),
        *(_menu(axis, f"pruning.{axis}") for axis in METHODS),
        *(_epoch("begin_epoch"), _epoch("end_epoch")),
        *(_rule(), _max_norm(), _optimizer(), _device(device)),
        field_control("normalise", fields.Field(w.Checkbox(indent=True))),
        _validation(),
        field_control("seed", fields.Field(w.BoundedIntText(min=0, max=2**31 - 1))),
        field_control("lr", fields.log_slider(-4, 0, live=True)),
        field_control("epochs", fields.Field(w.IntSlider(min=1, max=20, continuous_update=False))),
        *(_numbers("batch_size", BATCHES), _numbers("weight_decay", PENALTIES), _numbers("l1", PENALTIES)),
    ]
    return {control.name: control for control in controls}


def field_control(name: str, field: fields.Field, path: str = "") -> Control:
    """Return a control of one field of the Experiment, by the field's dotted name."""
    label_widget(field.widget, name, *labels.CONTROLS[name])
    path = path or name

    def read(experiment: Experiment) -> Any:
        return field.format(value_at(experiment, path))

    return Control(name, field.widget, read, lambda value: {path: field.parse(value)})


def value_at(experiment: Experiment, path: str) -> Any:
    """Return a field's value by its dotted name; None where the Experiment has no such part."""
    part, _, name = path.rpartition(".")
    return getattr(getattr(experiment, part) if part else experiment, name, None)


def toggle_class(widget: w.DOMWidget, name: str, on: bool) -> None:
    """Give a widget a CSS class or take it away."""
    if on != (name in widget._dom_classes):
        (widget.add_class if on else widget.remove_class)(name)


def label_widget(widget: w.DOMWidget, name: str, label: str, tooltip: str) -> None:
    """Give a widget its label, tooltip and CSS class; the label is what a screen reader says."""
    widget.add_class(f"explorer-{name.replace('_', '-')}")
    widget.description, widget.tooltip = label, tooltip
    widget.style.description_width = LABEL_WIDTH
    widget.layout.width = "100%"


def menu_names(axis: str) -> tuple[str, ...]:
    """Return what the menu of an axis offers."""
    return (*([NO_CLIPPING] if axis == "rule" else []), *registry.names(axis))


def _choice(name: str, options: Iterable[Any]) -> w.Dropdown:
    widget = w.Dropdown(options=list(options))
    label_widget(widget, name, *labels.CONTROLS[name])
    return widget


def _methods_menu(axis: str) -> w.Dropdown:
    """Return the menu of an axis, its tooltip with a line on each method."""
    widget = _choice(axis, menu_names(axis))
    widget.tooltip = "\n".join([widget.tooltip, *(f"{m.name}: {m.help}" for m in registry.methods(axis))])
    return widget


def _menu(axis: str, path: str) -> Control:
    return Control(axis, _methods_menu(axis), lambda e: value_at(e, path), lambda value: {path: value})


def _validation() -> Control:
    """Return the number of images held out; the data set bounds it as soon as its size is known."""
    widget = w.BoundedIntText(min=0, max=fields.LARGEST)
    control = field_control("validation", fields.Field(widget))
    tooltip = widget.tooltip

    def adapt(experiment: Experiment) -> None:
        sizes = registry.get("dataset", experiment.dataset).traits.sizes
        widget.max = most_held_out(sizes[0]) if sizes else fields.LARGEST
        widget.tooltip = tooltip.replace(";", f", of {sizes[0]:,};") if sizes else tooltip

    return replace(control, adapt=adapt)


def _numbers(name: str, offered: tuple[float, ...]) -> Control:
    return field_control(name, fields.Field(w.Dropdown(options=[(f"{value:g}", value) for value in offered])))


def _device(device: str) -> Control:
    devices = ["auto", "cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    widget = _choice("device", dict.fromkeys([*devices, device]))
    widget.value = device
    return Control("device", widget, lambda _: widget.value, lambda _: {})


def _epoch(name: str) -> Control:
    control = field_control(name, fields.optional_number(name), f"pruning.{name}")

    def used(experiment: Experiment) -> bool:
        pruning = experiment.pruning
        spans = pruning and registry.get("schedule", pruning.schedule).traits.spans
        return name == "begin_epoch" or bool(spans)

    return replace(control, read=lambda e: control.read(e) if e.pruning else None, used=used)


def _rule() -> Control:
    """Return the menu of clip rules: one at a time; a chain that an Experiment came with is one more."""

    def read(experiment: Experiment) -> str:
        return CHAINED.join(experiment.clipping.rules) if experiment.clipping else NO_CLIPPING

    def changes(value: str) -> Changes:
        return {"clipping": None} if value == NO_CLIPPING else {"clipping.rule": tuple(value.split(CHAINED))}

    return Control("rule", _methods_menu("rule"), read, changes)


def _max_norm() -> Control:
    control = field_control("max_norm", fields.log_slider(-3, 2, live=True), "clipping.max_norm")
    return replace(control, read=lambda e: control.read(e) if e.clipping and e.clipping.bounded else None)


def _optimizer() -> Control:
    def read(experiment: Experiment) -> str:
        return "Adam" if experiment.optimizer == "adam" else "momentum" if experiment.momentum else "SGD"

    def changes(value: str) -> Changes:
        optimizer, momentum = OPTIMIZERS[value]
        return {"optimizer": optimizer, "momentum": momentum}

    return Control("optimizer", _choice("optimizer", OPTIMIZERS), read, changes)


def presets_menu() -> w.Dropdown:
    """Return the presets by title; none is chosen until somebody does."""
    return _choice("preset", [(NO_PRESET, ""), *((p.title, name) for name, p in PRESETS.items())])
