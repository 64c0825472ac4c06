"""The explorer's controls, each bound to a field of the Experiment; menus are read from the registry."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import ipywidgets as w
import torch

from explorer import presets, registry
from explorer.experiment import Experiment

# Every string that a person reads here.
LABELS = {
    "preset": "Preset",
    "model": "Model",
    "loss": "Loss",
    "device": "Device",
    "criterion": "Method",
    "granularity": "Granularity",
    "allocation": "Allocation",
    "threshold": "Threshold",
    "unit": "Unit",
    "schedule": "Schedule",
    "rule": "Clip rule",
    "max_norm": "Clip norm",
    "optimizer": "Optimizer",
    "lr": "Learning rate",
    "epochs": "Epochs",
}
TIPS = {
    "preset": "A recipe from an article or a paper, with what happens in it and why",
    "model": "The network that is trained and pruned",
    "loss": "What training makes small",
    "device": "Where training runs; auto takes a GPU where there is one",
    "criterion": "By which score weights or neurons are chosen",
    "granularity": "The unit that lives or dies together",
    "allocation": "How the budget spreads over the layers",
    "threshold": "Drag to see what would fall; let go to prune and retrain",
    "unit": "What the threshold's number means",
    "schedule": "When pruning happens",
    "rule": "How a gradient is bounded before the optimizer sees it",
    "max_norm": "The bound; it acts from the next step on, also while training",
    "optimizer": "How the weights follow the gradient",
    "lr": "Length of a step; it acts from the next step on, also while training",
    "epochs": "Passes over the training images, fine-tuning included",
}
NO_PRESET = "choose one …"
NO_CLIPPING = "none"
CHAINED = " + "
OPTIMIZERS = {"SGD": ("sgd", 0.0), "momentum": ("sgd", 0.9), "Adam": ("adam", 0.0)}
GROUPS = {
    "Data and model": ("model", "loss", "device"),
    "Pruning": ("criterion", "granularity", "allocation", "unit", "threshold", "schedule"),
    "Gradients": ("rule", "max_norm"),
    "Training": ("optimizer", "lr", "epochs"),
}
LABEL_WIDTH = "92px"

Changes = dict[str, Any]


@dataclass(frozen=True)
class Control:
    """A widget and its field: how to show an Experiment, and what moving it changes."""

    name: str
    widget: w.ValueWidget
    read: Callable[[Experiment], Any]  # None where the Experiment has no such field now
    changes: Callable[[Any], Changes]

    def show(self, experiment: Experiment) -> None:
        """Moves the widget to the Experiment's value; a slider widens where the value lies outside."""
        value = self.read(experiment)
        self.widget.disabled = value is None
        if value is not None and self.widget.value != value:
            _widen(self.widget, value)
            self.widget.value = value


def build(device: str) -> dict[str, Control]:
    """All controls by name, in the order in which they stand."""
    made = [
        _menu("model", "model", lambda e: e.model),
        _menu("loss", "loss", lambda e: e.loss),
        _device(device),
        _menu("criterion", "criterion", _pruning("criterion")),
        _menu("granularity", "granularity", _pruning("granularity")),
        _menu("allocation", "allocation", _pruning("allocation")),
        _menu("unit", "unit", _pruning("unit")),
        _menu("schedule", "schedule", _pruning("schedule")),
        _rule(),
        _slider("max_norm", "clipping.max_norm", _max_norm, (-3, 2)),
        _optimizer(),
        _slider("lr", "lr", lambda e: e.lr, (-4, 0)),
        _epochs(),
    ]
    return {control.name: control for control in made}


def _pruning(field: str) -> Callable[[Experiment], Any]:
    return lambda e: getattr(e.pruning, field, None)


def dress(widget: w.DOMWidget, name: str) -> None:
    """Gives a widget its label, tooltip and CSS class; the label is what a screen reader says."""
    widget.add_class(f"explorer-{name.replace('_', '-')}")
    widget.description, widget.tooltip = LABELS[name], TIPS[name]
    widget.style.description_width = LABEL_WIDTH
    widget.layout.width = "100%"


def _choice(name: str, options: Iterable[Any]) -> w.Dropdown:
    widget = w.Dropdown(options=list(options))
    dress(widget, name)
    return widget


def names(axis: str) -> tuple[str, ...]:
    """What the menu of an axis offers."""
    return (*([NO_CLIPPING] if axis == "rule" else []), *registry.names(axis))


def _menu(name: str, axis: str, read: Callable[[Experiment], Any]) -> Control:
    inside = axis not in ("model", "loss")
    widget = _choice(name, names(axis))
    if inside:
        widget.tooltip = TIPS[name] + "\n" + "\n".join(f"{m.name}: {m.help}" for m in registry.methods(axis))
    return Control(name, widget, read, lambda value: {f"pruning.{name}" if inside else name: value})


def _device(device: str) -> Control:
    found = ["auto", "cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    widget = _choice("device", dict.fromkeys([*found, device]))
    widget.value = device
    return Control("device", widget, lambda _: widget.value, lambda _: {})


def _rule() -> Control:
    """One rule at a time; a chain that the Experiment came with is one entry more."""
    widget = _choice("rule", names("rule"))
    widget.tooltip = TIPS["rule"] + "\n" + "\n".join(f"{m.name}: {m.help}" for m in registry.methods("rule"))

    def read(experiment: Experiment) -> str:
        return CHAINED.join(experiment.clipping.rules) if experiment.clipping else NO_CLIPPING

    def changes(value: str) -> Changes:
        return {"clipping": None} if value == NO_CLIPPING else {"clipping.rule": tuple(value.split(CHAINED))}

    return Control("rule", widget, read, changes)


def _max_norm(experiment: Experiment) -> float | None:
    clipping = experiment.clipping
    return clipping.max_norm if clipping and clipping.bounded else None


def _optimizer() -> Control:
    widget = _choice("optimizer", OPTIMIZERS)

    def read(experiment: Experiment) -> str:
        return "Adam" if experiment.optimizer == "adam" else "momentum" if experiment.momentum else "SGD"

    def changes(value: str) -> Changes:
        optimizer, momentum = OPTIMIZERS[value]
        return {"optimizer": optimizer, "momentum": momentum}

    return Control("optimizer", widget, read, changes)


def _slider(name: str, path: str, read: Callable[[Experiment], Any], decades: tuple[int, int]) -> Control:
    low, high = decades
    widget = w.FloatLogSlider(min=low, max=high, step=0.05, readout_format=".3g", continuous_update=True)
    dress(widget, name)
    return Control(name, widget, read, lambda value: {path: float(f"{value:.3g}")})


def _epochs() -> Control:
    widget = w.IntSlider(min=1, max=20, continuous_update=False)
    dress(widget, "epochs")
    return Control("epochs", widget, lambda e: e.epochs, lambda value: {"epochs": value})


def _widen(widget: w.ValueWidget, value: Any) -> None:
    if isinstance(widget, w.Dropdown) and value not in widget.options:
        widget.options = [*widget.options, value]
    elif isinstance(widget, w.IntSlider):
        widget.max = max(widget.max, value)


def presets_menu() -> w.Dropdown:
    """The presets by title; none is chosen until somebody does."""
    menu = w.Dropdown(options=[(NO_PRESET, ""), *((p.title, name) for name, p in presets.items())])
    dress(menu, "preset")
    return menu


class Threshold:
    """The threshold's slider: even for a share, logarithmic for a score; one of the two is shown."""

    def __init__(self, on_move: Callable[[float], None]) -> None:
        self.share = w.FloatSlider(min=0, max=0.995, step=0.005, readout_format=".1%")
        self.score = w.FloatLogSlider(min=-8, max=2, step=0.02, readout_format=".3g")
        for slider in (self.share, self.score):
            dress(slider, "threshold")
            slider.observe(lambda change: on_move(_rounded(change["new"])), "value")
        self._on_move = on_move
        self.box = w.VBox([self.share, self.score])

    def settle(self, share: float, score: float) -> None:
        """Takes the values that the sliders have on the page, where they have not come yet."""
        hidden = self.share.layout.display == "none"
        slider, value = (self.score, score) if hidden else (self.share, share)
        if value != slider.value:
            self._on_move(_rounded(value))

    def show(self, experiment: Experiment) -> None:
        """Shows the slider of the Experiment's unit at its value."""
        pruning = experiment.pruning
        share = pruning is None or pruning.unit == "sparsity"
        for slider, shown in ((self.share, share), (self.score, not share)):
            slider.layout.display = "" if shown else "none"
            slider.disabled = pruning is None
        if pruning is None:
            return
        value = pruning.threshold
        if share:
            self.share.max = max(self.share.max, value)
            self.share.value = value
        else:
            self.score.value = min(max(value, 1e-8), 100.0)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
