"""Where things stand: buttons, groups of controls that fold, and the status line."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from pathlib import Path

import ipywidgets as w

from explorer.ui.controls.controls import mark

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
REPORT = " Press Reset; if it comes again, please report it."

CSS = (Path(__file__).parents[1] / "explorer.css").read_text(encoding="utf-8")


def style() -> w.HTML:
    """The style sheet."""
    return w.HTML(f"<style>{CSS}</style>").add_class("explorer-style")


def buttons(press: Callable[[str], Callable[[w.Button], None]]) -> dict[str, w.Button]:
    """The buttons by name; `press(name)` is what each does."""
    made = {}
    for name, (label, tip) in BUTTONS.items():
        made[name] = w.Button(description=label, tooltip=tip).add_class(f"explorer-{name}")
        made[name].on_click(press(name))
    made["train"].button_style = "primary"
    return made


class ControlGroups:
    """The controls in groups that fold. The style sheet folds them, so that it needs no kernel."""

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
        """Shows or hides a control by name; a group with none left is hidden as well."""
        for widget in self._parts[name]:
            mark(widget, "explorer-hidden", not on)
        for title, members in GROUPS.items():
            hidden = ["explorer-hidden" in self._parts[name][0]._dom_classes for name in members]
            mark(self._boxes[title], "explorer-hidden", all(hidden))


def alert(error: Exception | str) -> str:
    """An error as HTML, with what to do where it is none of the user's."""
    text = str(error).rstrip(".")
    if isinstance(error, str | ValueError):
        return f'<div role="alert">{escape(text)}.</div>'
    named = ": ".join(filter(None, [type(error).__name__, text]))
    return f'<div role="alert">{escape(named)}.{REPORT}</div>'


def parts_of(widget: w.Widget) -> Iterator[w.Widget]:
    """All widgets that a widget is made of: ipywidgets keeps each of them until it is closed itself."""
    for child in getattr(widget, "children", ()):
        yield from parts_of(child)
        yield child
    for name in ("layout", "style"):
        if isinstance(part := getattr(widget, name, None), w.Widget):
            yield part
