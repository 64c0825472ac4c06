"""Widgets for values: from an option's annotation, the widget that sets it and what the widget shows.

The annotation's range and choices come as JSON schema, which pydantic makes of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import ipywidgets as w
from pydantic import TypeAdapter

from explorer.registry import Option

# Every string that a person reads here, beside errors.
AUTOMATIC = "automatic"
NUMBERS = "0.1, 0.2, …"

LONGEST = 200  # steps of a slider for whole numbers; more are typed
DECADES = 100  # a range that spans so much is a logarithmic slider
SMALL = 0.05  # so is one that begins at 0 and whose default is so small a share of it
LARGEST = 10**9


@dataclass(frozen=True)
class Field:
    """A widget, how a value is formatted for it, and how its own value is parsed."""

    widget: w.ValueWidget
    format: Callable[[Any], Any] = lambda value: value
    parse: Callable[[Any], Any] = lambda value: value


def field(option: Option) -> Field:
    """Return a new widget for an option."""
    schema = TypeAdapter(option.annotation).json_schema()
    default = None if option.required else option.default
    if "enum" in schema:
        return Field(w.Dropdown(options=schema["enum"]))
    if "anyOf" in schema:  # a number, or None
        whole = any(part.get("type") == "integer" for part in schema["anyOf"])
        return optional_number(option.name, int if whole else float)
    match schema["type"]:
        case "boolean":
            return Field(w.Checkbox(indent=True))
        case "array":
            return _numbers(option.name)
        case "integer":
            return _whole(schema)
        case _:
            return _real(schema, default)


def optional_number(name: str, kind: type = float) -> Field:
    """Return a field for a number that may be left out."""

    def parse(text: str) -> Any:
        try:
            return kind(text) if text.strip() else None
        except ValueError:
            raise ValueError(f"{name} = {text!r}: must be a number, or empty for the default") from None

    widget = w.Text(placeholder=AUTOMATIC, continuous_update=False)
    return Field(widget, lambda value: "" if value is None else f"{value:g}", parse)


def _numbers(name: str) -> Field:
    def parse(text: str) -> Any:
        try:
            return tuple(float(part) for part in text.replace(";", ",").strip(" ,()").split(","))
        except ValueError:
            raise ValueError(
                f"{name} = {text!r}: must be numbers with commas between them, such as 0.08, 0.09, 0.26"
            ) from None

    widget = w.Text(placeholder=NUMBERS, continuous_update=False)
    return Field(widget, lambda values: ", ".join(f"{value:g}" for value in values or ()), parse)


def _whole(schema: dict[str, Any]) -> Field:
    low, high = schema.get("minimum", -LARGEST), schema.get("maximum", LARGEST)
    if high - low <= LONGEST:
        return Field(w.IntSlider(min=low, max=high, continuous_update=False))
    return Field(w.BoundedIntText(min=low, max=high))


def _real(schema: dict[str, Any], default: Any) -> Field:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None or high is None:
        bounds = {"min": -LARGEST if low is None else low, "max": LARGEST if high is None else high}
        return Field(w.BoundedFloatText(**bounds, step=0.01))
    if low > 0 and high / low >= DECADES:
        return log_slider(log10(low), log10(high))
    if low == 0 and default is not None and 0 < default <= SMALL * high:
        return log_slider(floor(log10(default)) - 2, log10(high))
    step = (high - low) / 100
    low += step * ("exclusiveMinimum" in schema)
    high -= step * ("exclusiveMaximum" in schema)
    slider = w.FloatSlider(min=low, max=high, step=step, readout_format=".3g", continuous_update=False)
    return Field(slider, parse=rounded)


def log_slider(low: float, high: float, *, live: bool = False) -> Field:
    """Return a logarithmic slider from 10**low to 10**high; a live one reports while it is dragged."""
    digits = ".3g" if live else ".2g"
    slider = w.FloatLogSlider(min=low, max=high, step=0.05, readout_format=digits, continuous_update=live)
    return Field(slider, parse=rounded)


def is_rounding_echo(widget: w.ValueWidget, value: Any, present: Any) -> bool:
    """Return whether this is but the present value, as the page puts it onto a logarithmic slider's steps."""
    if not isinstance(widget, w.FloatLogSlider) or not present:
        return False
    return bool(abs(log10(value / present)) < 0.51 * widget.step)


def rounded(value: float) -> float:
    """Return a slider's value without the noise of its arithmetic."""
    return float(f"{value:.3g}")


def widen(widget: w.ValueWidget, value: Any) -> None:
    """Make room in a menu or a slider for a value that lies outside of it."""
    if isinstance(widget, w.Dropdown):
        values = [option[1] if isinstance(option, tuple) else option for option in widget.options]
        if value not in values:
            in_pairs = widget.options and isinstance(widget.options[0], tuple)
            widget.options = [*widget.options, (f"{value:g}", value) if in_pairs else value]
    elif isinstance(widget, w.FloatLogSlider):
        widget.min, widget.max = min(widget.min, log10(value)), max(widget.max, log10(value))
    elif hasattr(widget, "max"):
        widget.min, widget.max = min(widget.min, value), max(widget.max, value)
