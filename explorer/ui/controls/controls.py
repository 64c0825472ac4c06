"""The explorer's controls, each bound to a field of the Experiment; menus are read from the registry."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import ipywidgets as w
import torch

from explorer import presets, registry
from explorer.experiment import Experiment
from explorer.ui.controls import fields

# Every string that a person reads here.
LABELS = {
    "preset": "Preset",
    "dataset": "Data set",
    "normalise": "Normalise",
    "validation": "Held out",
    "model": "Model",
    "loss": "Loss",
    "seed": "Seed",
    "device": "Device",
    "criterion": "Method",
    "granularity": "Granularity",
    "allocation": "Allocation",
    "unit": "Unit",
    "threshold": "Threshold",
    "schedule": "Schedule",
    "begin_epoch": "From epoch",
    "end_epoch": "To epoch",
    "rule": "Clip rule",
    "max_norm": "Clip norm",
    "optimizer": "Optimizer",
    "lr": "Learning rate",
    "lr_decay": "Decay",
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "weight_decay": "Weight decay",
    "l1": "L1 penalty",
}
TIPS = {
    "preset": "A recipe from an article or a paper, with what happens in it and why",
    "dataset": "The images",
    "normalise": "Pixels less their mean, over their standard deviation; or 0 to 1, as the articles have it",
    "validation": "Training images held out to judge by, of 60,000; without them there is no accuracy curve",
    "model": "The network that is trained and pruned",
    "loss": "What training makes small",
    "seed": "Decides the initial weights and the order of the images",
    "device": "Where training runs; auto takes a GPU where there is one",
    "criterion": "By which score weights or neurons are chosen",
    "granularity": "The unit that lives or dies together",
    "allocation": "How the budget spreads over the layers",
    "unit": "What the threshold's number means",
    "threshold": "Drag to see what would fall; let go to prune and retrain",
    "schedule": "When pruning happens",
    "begin_epoch": "When the first prune event falls; empty leaves it to the schedule",
    "end_epoch": "When pruning is complete; empty leaves it to the schedule",
    "rule": "How a gradient is bounded before the optimizer sees it",
    "max_norm": "The bound; it acts from the next step on, also while training",
    "optimizer": "How the weights follow the gradient",
    "lr": "Length of a step; it acts from the next step on, also while training",
    "lr_decay": "How the learning rate falls over the training",
    "epochs": "Passes over the training images, fine-tuning included",
    "batch_size": "Images a step",
    "weight_decay": "Pulls weights towards zero in proportion to their size (L2)",
    "l1": "Pulls weights towards zero by a constant, so that many come close to it",
}
NO_PRESET = "choose one …"
NO_CLIPPING = "none"
CHAINED = " + "
OPTIMIZERS = {"SGD": ("sgd", 0.0), "momentum": ("sgd", 0.9), "Adam": ("adam", 0.0)}
BATCHES = (16, 32, 64, 128, 256, 512, 1024)
PENALTIES = (0.0, 1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 1e-2)
SEEDS = 2**31 - 1
LABEL_WIDTH = "92px"
PLAIN = ("dataset", "model", "loss", "lr_decay")  # axes that are fields of the Experiment itself

Changes = dict[str, Any]


@dataclass(frozen=True)
class Control:
    """A widget and its field: how to show an Experiment, and what moving it changes."""

    name: str
    widget: w.ValueWidget
    read: Callable[[Experiment], Any]  # None where the Experiment has no such field now
    changes: Callable[[Any], Changes]
    used: Callable[[Experiment], bool] = lambda _: True  # whether there is any use in showing it

    def show(self, experiment: Experiment) -> None:
        """Moves the widget to the Experiment's value; it widens where the value lies outside."""
        value = self.read(experiment)
        self.widget.disabled = value is None
        mark(self.widget, "explorer-unused", not self.used(experiment))
        if value is not None and self.widget.value != value:
            fields.widen(self.widget, value)
            self.widget.value = value


def bound(name: str, field: fields.Field, path: str, read: Callable[[Experiment], Any]) -> Control:
    """A control of one field of the Experiment, by its dotted name."""
    dress(field.widget, name)
    return Control(
        name, field.widget, lambda e: field.shown(read(e)), lambda value: {path: field.said(value)}
    )


def build(device: str) -> dict[str, Control]:
    """All controls by name, in the order in which they stand."""
    made = [
        *(_menu("dataset"), _normalise(), _number("validation", 59_000)),
        *(_menu("model"), _menu("loss"), _number("seed", SEEDS), _device(device)),
        *(_menu(axis) for axis in ("criterion", "granularity", "allocation", "unit", "schedule")),
        *(_epoch("begin_epoch"), _epoch("end_epoch")),
        *(_rule(), _max_norm()),
        *(_optimizer(), _lr(), _menu("lr_decay"), _epochs()),
        *(_numbers("batch_size", BATCHES), _numbers("weight_decay", PENALTIES), _numbers("l1", PENALTIES)),
    ]
    return {control.name: control for control in made}


def _pruning(field: str) -> Callable[[Experiment], Any]:
    return lambda e: getattr(e.pruning, field, None)


def mark(widget: w.DOMWidget, name: str, on: bool) -> None:
    """Gives a widget a CSS class or takes it away."""
    if on != (name in widget._dom_classes):
        (widget.add_class if on else widget.remove_class)(name)


def dress(widget: w.DOMWidget, name: str, label: str = "", tip: str = "") -> None:
    """Gives a widget its label, tooltip and CSS class; the label is what a screen reader says."""
    widget.add_class(f"explorer-{name.replace('_', '-')}")
    widget.description, widget.tooltip = label or LABELS[name], tip or TIPS[name]
    widget.style.description_width = LABEL_WIDTH
    widget.layout.width = "100%"


def _choice(name: str, options: Iterable[Any]) -> w.Dropdown:
    widget = w.Dropdown(options=list(options))
    dress(widget, name)
    return widget


def names(axis: str) -> tuple[str, ...]:
    """What the menu of an axis offers."""
    return (*([NO_CLIPPING] if axis == "rule" else []), *registry.names(axis))


def _explained(axis: str) -> str:
    """A tooltip with a line on each method."""
    return "\n".join([TIPS[axis], *(f"{m.name}: {m.help}" for m in registry.methods(axis))])


def _menu(axis: str) -> Control:
    widget = _choice(axis, names(axis))
    widget.tooltip = _explained(axis)
    if axis in PLAIN:
        return Control(axis, widget, lambda e: getattr(e, axis), lambda value: {axis: value})
    return Control(axis, widget, _pruning(axis), lambda value: {f"pruning.{axis}": value})


def _normalise() -> Control:
    widget = w.Checkbox(indent=True)
    return bound("normalise", fields.Field(widget), "normalise", lambda e: e.normalise)


def _number(name: str, most: int) -> Control:
    widget = w.BoundedIntText(min=0, max=most)
    return bound(name, fields.Field(widget), name, lambda e: getattr(e, name))


def _numbers(name: str, offered: tuple[float, ...]) -> Control:
    widget = w.Dropdown(options=[(f"{value:g}", value) for value in offered])
    return bound(name, fields.Field(widget), name, lambda e: getattr(e, name))


def _device(device: str) -> Control:
    found = ["auto", "cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    widget = _choice("device", dict.fromkeys([*found, device]))
    widget.value = device
    return Control("device", widget, lambda _: widget.value, lambda _: {})


def _epoch(name: str) -> Control:
    field = fields.optional_number(name)
    dress(field.widget, name)

    def read(experiment: Experiment) -> Any:
        return field.shown(getattr(experiment.pruning, name)) if experiment.pruning else None

    def used(experiment: Experiment) -> bool:
        pruning = experiment.pruning
        spans = pruning and registry.get("schedule", pruning.schedule).traits.spans
        return name == "begin_epoch" or bool(spans)

    return Control(name, field.widget, read, lambda text: {f"pruning.{name}": field.said(text)}, used)


def _rule() -> Control:
    """One rule at a time; a chain that the Experiment came with is one entry more."""
    widget = _choice("rule", names("rule"))
    widget.tooltip = _explained("rule")

    def read(experiment: Experiment) -> str:
        return CHAINED.join(experiment.clipping.rules) if experiment.clipping else NO_CLIPPING

    def changes(value: str) -> Changes:
        return {"clipping": None} if value == NO_CLIPPING else {"clipping.rule": tuple(value.split(CHAINED))}

    return Control("rule", widget, read, changes)


def _max_norm() -> Control:
    field = fields.log_slider(-3, 2, live=True)

    def read(experiment: Experiment) -> float | None:
        clipping = experiment.clipping
        return clipping.max_norm if clipping and clipping.bounded else None

    return bound("max_norm", field, "clipping.max_norm", read)


def _optimizer() -> Control:
    widget = _choice("optimizer", OPTIMIZERS)

    def read(experiment: Experiment) -> str:
        return "Adam" if experiment.optimizer == "adam" else "momentum" if experiment.momentum else "SGD"

    def changes(value: str) -> Changes:
        optimizer, momentum = OPTIMIZERS[value]
        return {"optimizer": optimizer, "momentum": momentum}

    return Control("optimizer", widget, read, changes)


def _lr() -> Control:
    return bound("lr", fields.log_slider(-4, 0, live=True), "lr", lambda e: e.lr)


def _epochs() -> Control:
    widget = w.IntSlider(min=1, max=20, continuous_update=False)
    return bound("epochs", fields.Field(widget), "epochs", lambda e: e.epochs)


def presets_menu() -> w.Dropdown:
    """The presets by title; none is chosen until somebody does."""
    menu = w.Dropdown(options=[(NO_PRESET, ""), *((p.title, name) for name, p in presets.items())])
    dress(menu, "preset")
    return menu


def start(experiment: Experiment | str | None) -> Experiment:
    """Where the controls stand at first: an Experiment, a preset's by its name, or the default one.

    Raises:
        ValueError: where it is something else.
    """
    if isinstance(experiment, str):
        if experiment not in presets:
            raise ValueError(registry.unknown("preset", experiment, presets))
        return presets[experiment].experiment
    if not isinstance(experiment, Experiment | None):
        raise ValueError(
            f"experiment = {experiment!r}: give an explorer.Experiment, a preset's name, or nothing"
        )
    return experiment or Experiment()
