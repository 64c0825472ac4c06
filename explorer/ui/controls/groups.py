"""Where the controls stand: the buttons, and groups that fold."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets as w

from explorer.ui.controls.controls import toggle_class

# Every string that a person reads here.
BUTTONS = {
    "train": ("Train", "Train from the beginning"),
    "pause": ("Pause", "Hold between two steps; the result stays the same"),
    "stop": ("Stop", "End the run; what there is stays"),
    "reset": ("Reset", "Back to the first settings and an untrained network"),
}
RESUME = "Resume"
GROUPS = {
    "Data and model": ("dataset", "normalise", "validation", "model", "loss", "seed", "device"),
    "Pruning": (
        *("criterion", "granularity", "allocation", "unit", "threshold"),
        *("schedule", "begin_epoch", "end_epoch"),
    ),
    "Gradients": ("rule", "max_norm"),
    "Training": ("optimizer", "lr", "lr_decay", "epochs", "batch_size", "weight_decay", "l1"),
}
FOLDED = ("Data and model",)  # at first
FOLD = "Show or hide these controls"


def buttons(on_click: Mapping[str, Callable[[Any], None]]) -> dict[str, w.Button]:
    """Return the buttons by name; `on_click[name]` is what each does."""
    row = {}
    for name, (label, tip) in BUTTONS.items():
        row[name] = w.Button(description=label, tooltip=tip).add_class(f"explorer-{name}")
        row[name].on_click(on_click[name])
    row["train"].button_style = "primary"
    return row


class ControlGroups:
    """The controls in groups that fold. The style sheet folds them, so that it needs no kernel.

    Args:
        parts: the widgets of each control by its name, the control itself first.
    """

    def __init__(self, parts: Mapping[str, Iterable[w.Widget]]) -> None:
        self._parts = {name: list(widgets) for name, widgets in parts.items()}
        self._boxes = {}
        for title, names in GROUPS.items():
            head = w.ToggleButton(value=title not in FOLDED, description=title, tooltip=FOLD)
            head.add_class("explorer-group-head")
            body = w.VBox([widget for name in names for widget in self._parts[name]])
            group = w.VBox([head, body.add_class("explorer-group-body")])
            slug = title.lower().replace(" ", "-")
            self._boxes[title] = group.add_class("explorer-group").add_class(f"explorer-group-{slug}")
        self.box = w.VBox(list(self._boxes.values()))

    @property
    def names(self) -> list[str]:
        """The names of all controls."""
        return list(self._parts)

    def reveal(self, name: str, on: bool) -> None:
        """Show or hide a control by name; a group with none left is hidden as well."""
        for widget in self._parts[name]:
            toggle_class(widget, "explorer-hidden", not on)
        for title, members in GROUPS.items():
            hidden = ["explorer-hidden" in self._parts[name][0]._dom_classes for name in members]
            toggle_class(self._boxes[title], "explorer-hidden", all(hidden))
