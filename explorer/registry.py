"""A method is a function: its signature and its docstring are its schema.

Positional parameters name what a method needs, keyword-only parameters are its options (their annotation
gives the range or the choices), the docstring's first line is the tooltip, and the lines that begin with
"Formula:" and "Reference:" say what it computes and where it comes from. Menus, validation, the sweep, the
table in the README and the contract tests are all read from here.
"""

import importlib
import inspect
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Generic, Literal, overload

from typing_extensions import TypeVar  # comes with pydantic; typing has it with defaults from 3.13 on

from explorer.signatures import Option, needs_of, options_of, show, unknown
from explorer.traits import (
    BY_AXIS,
    CriterionTraits,
    DatasetTraits,
    GranularityTraits,
    LossTraits,
    ModelTraits,
    OptimizerTraits,
    PruningTraits,
    RuleTraits,
    ScheduleTraits,
    UnitTraits,
)

__all__ = [
    "HOMES",
    "SCIENCE",
    "Method",
    "Option",
    "add_traits",
    "get",
    "methods",
    "names",
    "register",
    "show",
    "table",
    "unknown",
    "watch",
]

# Where the methods of each axis live; a module registers its own when it is first asked for.
HOMES = {
    "criterion": "explorer.methods.criteria",
    "granularity": "explorer.methods.granularity",
    "allocation": "explorer.methods.allocation",
    "schedule": "explorer.methods.schedules",
    "unit": "explorer.methods.units",
    "rule": "explorer.methods.clipping",
    "model": "explorer.engine.network.models",
    "dataset": "explorer.engine.data.datasets",
    "loss": "explorer.engine.network.losses",
    "optimizer": "explorer.engine.network.optimizers",
    "lr_decay": "explorer.methods.lr_decay",
}

SCIENCE = ("criterion", "granularity", "allocation", "unit", "schedule", "rule", "lr_decay")

T = TypeVar("T", default=Any)  # an axis's traits

_METHODS: dict[str, dict[str, "Method"]] = {axis: {} for axis in HOMES}
_WATCHERS: "list[weakref.WeakMethod[Callable[[str], None]]]" = []


@dataclass(frozen=True)
class Method(Generic[T]):
    """A registered function, what its signature and docstring say of it, and its traits."""

    axis: str
    name: str
    function: Callable[..., Any]
    needs: tuple[str, ...]
    options: Mapping[str, Option]
    help: str
    formula: str
    reference: str
    traits: T

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **options)

    def own(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of a bag of options that belongs to this method."""
        return {name: value for name, value in options.items() if name in self.options}

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of this method: those in a bag as they are, the others at their defaults."""
        return {name: options.get(name, option.default) for name, option in self.options.items()}


def register(
    axis: str, name: str, *, override: bool = False, **traits: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function under a name that users type; it stays an ordinary function.

    The traits of each axis stand in `explorer/traits.py`, with what its methods are called with. One of the
    explorer's own gives way to another of its name only where `override` says so.

    Raises:
        ValueError: where a trait is not known or lacking, the function cannot be called as the machine does,
            or the name is the explorer's own.
    """
    if axis not in HOMES:
        raise ValueError(unknown("axis", axis, HOMES))
    checked = _traits(axis, name, traits)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        what = f"{axis} {name!r}"
        own = getattr(function, "__module__", None) or ""
        if not own.startswith("explorer.") and not override and _is_own(axis, name):
            raise ValueError(
                f"{what} is the explorer's own: take another name, or register({axis!r}, {name!r}, "
                "override=True) to have yours in its place"
            )
        text = inspect.cleandoc(function.__doc__ or "")
        _METHODS[axis][name] = Method(
            axis=axis,
            name=name,
            function=function,
            needs=needs_of(function, axis, what),
            options=options_of(function, name, what),
            help=text.partition("\n")[0],
            formula=_section(text, "Formula"),
            reference=_section(text, "Reference"),
            traits=checked,
        )
        for watcher in [alive for ref in _WATCHERS if (alive := ref()) is not None]:
            watcher(axis)
        return function

    return decorate


def add_traits(method: Method[T], **measured: Any) -> Method[T]:
    """Complete the traits of a registered method by what was measured; those that are given stay."""
    traits: Any = method.traits
    unknown_yet = {name: value for name, value in measured.items() if getattr(traits, name) is None}
    full = replace(method, traits=replace(traits, **unknown_yet))
    _METHODS[method.axis][method.name] = full
    return full


def _traits(axis: str, name: str, given: Mapping[str, Any]) -> Any:
    """Return the axis's own dataclass of traits; raise ValueError with those that there are."""
    allowed = {field.name: field for field in fields(BY_AXIS[axis])}
    for trait in given:
        if trait not in allowed:
            raise ValueError(unknown(f"trait of {axis} {name!r}", trait, allowed))
    for trait, field in allowed.items():
        if trait not in given and field.default is field.default_factory is MISSING:
            raise ValueError(
                f"{axis} {name!r} lacks the trait {trait!r}; register({axis!r}, {name!r}, {trait}=...)"
            )
    return BY_AXIS[axis](**given)


def watch(method: Callable[[str], None]) -> None:
    """Call a bound method with the axis whenever something is registered, while its object lives."""
    _WATCHERS[:] = [ref for ref in _WATCHERS if ref() is not None]
    _WATCHERS.append(weakref.WeakMethod(method))


@overload
def get(axis: Literal["criterion"], name: str) -> Method[CriterionTraits]: ...
@overload
def get(axis: Literal["granularity"], name: str) -> Method[GranularityTraits]: ...
@overload
def get(axis: Literal["allocation"], name: str) -> Method[PruningTraits]: ...
@overload
def get(axis: Literal["schedule"], name: str) -> Method[ScheduleTraits]: ...
@overload
def get(axis: Literal["unit"], name: str) -> Method[UnitTraits]: ...
@overload
def get(axis: Literal["rule"], name: str) -> Method[RuleTraits]: ...
@overload
def get(axis: Literal["model"], name: str) -> Method[ModelTraits]: ...
@overload
def get(axis: Literal["dataset"], name: str) -> Method[DatasetTraits]: ...
@overload
def get(axis: Literal["loss"], name: str) -> Method[LossTraits]: ...
@overload
def get(axis: Literal["optimizer"], name: str) -> Method[OptimizerTraits]: ...
@overload
def get(axis: str, name: str) -> Method: ...
def get(axis: str, name: str) -> Method:
    """Return the method of that name; raise ValueError with the names there are and the nearest one."""
    methods = _load(axis)
    if name not in methods:
        raise ValueError(unknown(axis, name, methods))
    return methods[name]


def names(axis: str) -> tuple[str, ...]:
    """Return all names on an axis, in the order of registration."""
    return tuple(_load(axis))


def methods(axis: str) -> tuple[Method, ...]:
    """Return all methods on an axis, in the order of registration."""
    return tuple(_load(axis).values())


def _load(axis: str) -> dict[str, Method]:
    if axis not in HOMES:
        raise ValueError(unknown("axis", axis, HOMES))
    importlib.import_module(HOMES[axis])
    return _METHODS[axis]


def _is_own(axis: str, name: str) -> bool:
    """Whether the explorer itself has a method of that name."""
    present = _load(axis).get(name)
    return present is not None and present.function.__module__.startswith("explorer.")


def _section(text: str, title: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(f"{title}:")]
    return lines[0].removeprefix(f"{title}:").strip() if lines else ""


def table(axes: Iterable[str]) -> str:
    """Return all methods of these axes as a Markdown table, for the README; a test holds the two equal."""
    head = "| | name | what it does | formula | reference |\n| --- | --- | --- | --- | --- |"
    rows = [
        [axis if i == 0 else "", f"`{m.name}`", _cell(m.help), _cell(m.formula), _cell(m.reference)]
        for axis in axes
        for i, m in enumerate(methods(axis))
    ]
    return "\n".join([head, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _cell(text: str) -> str:
    """Escape text that a bar or a bare link would break out of its cell."""
    before, link, address = text.replace("|", "\\|").partition("https://")
    return f"[{before.rstrip(', ')}](https://{address})" if link else before


if __name__ == "__main__":
    print(importlib.import_module("explorer.registry").table(SCIENCE))
