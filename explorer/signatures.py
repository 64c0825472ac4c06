"""What a method's signature says: what it asks for, and its options with their types.

All of it is checked when the method is registered. What is said of a wrong name or value is here, too.
"""

import difflib
import inspect
import math
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from explorer.traits import CALLED_WITH, OFFERED

SHOWN = 100  # characters of what was given, in a message
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = SHOWN


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter of a method: a number or a choice that the user may set."""

    name: str
    default: Any
    annotation: Any
    method: str = ""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def plain_default(self) -> Any:
        """The default as an Experiment would hold it: lists are tuples."""
        return tuple(self.default) if isinstance(self.default, list) else self.default

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        """What checks a value; making it takes far longer than a check."""
        return TypeAdapter(self.annotation)

    def check(self, value: Any) -> Any:
        """Return the value in the option's own type; raise ValueError with what is allowed."""
        if isinstance(value, bool) and not isinstance(self.default, bool):  # True == 1, but is no number
            raise ValueError(f"{self.name} = {value!r}: must be like {self.default!r}, not a truth value")
        if not _finite(value):
            raise ValueError(f"{self.name} = {show(value)}: must be finite")
        try:
            return self._validate(value)
        except ValidationError as error:
            raise ValueError(f"{self.name} = {show(value)}: {error.errors()[0]['msg'].lower()}") from None

    def _validate(self, value: Any) -> Any:
        """Return the value in the option's own type; an Experiment holds lists as tuples."""
        try:
            checked = self._adapter.validate_python(value, strict=True)
        except ValidationError:
            if not isinstance(value, tuple):
                raise
            checked = self._adapter.validate_python(list(value), strict=True)
        return tuple(checked) if isinstance(checked, list) else checked

    def check_type(self, what: str) -> None:
        """Raise ValueError where the type is none, or the default is not of it."""
        try:
            if not self.required:
                self._validate(self.default)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].lower()
            text = f"{what}: the default of option {self.name!r}, {show(self.default)}, does not fit its type"
            raise ValueError(f"{text}: {problem}") from None
        except PydanticSchemaGenerationError:
            text = f"{what}: the type of option {self.name!r}, {cut(str(self.annotation))}, cannot be checked"
            raise ValueError(f"{text}; use numbers, text, Literal or lists of these") from None


def _finite(value: Any) -> bool:
    """Whether no number in a value is infinite or NaN: JSON has neither."""
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def needs_of(function: Callable[..., Any], axis: str, what: str) -> tuple[str, ...]:
    """Return what a function asks for; raise ValueError where the machine cannot call it."""
    plain = inspect.unwrap(function)  # one with a cache is
    if not (inspect.isfunction(plain) or inspect.isclass(plain)):
        raise ValueError(
            f"{what}: a {type(function).__name__} has no signature and docstring of its own to be read; wrap "
            "it in a function: def, with options behind * and their types"
        )
    parameters = [p for p in _parameters(function, what) if p.kind is not p.KEYWORD_ONLY]
    needs, called = tuple(p.name for p in parameters), CALLED_WITH.get(axis)
    if variable := [str(p) for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]:
        raise ValueError(f"{what} takes {variable[0]}, which names nothing: write each parameter out")
    if called is not None and len(needs) != len(called):
        head = f"def {axis}({', '.join([*called, '*', 'option: int = 1'])})"
        given, by_call = (", ".join(each) or "nothing" for each in (needs, called))
        raise ValueError(
            f"{what} takes {given}, but is called with {by_call}; options stand behind *: {head}"
        )
    for need in needs if called is None else ():
        if need not in OFFERED[axis]:
            raise ValueError(unknown(f"parameter of {what}", need, OFFERED[axis]))
    return needs


def options_of(function: Callable[..., Any], method: str, what: str) -> dict[str, Option]:
    """Return a function's options; raise ValueError where the type of one is lost."""
    parameters = [p for p in _parameters(function, what) if p.kind is p.KEYWORD_ONLY]
    if not parameters:
        return {}
    try:
        hints = get_type_hints(
            function.__init__ if inspect.isclass(function) else function, include_extras=True
        )
    except (NameError, TypeError) as error:
        raise ValueError(f"{what}: the types of its options cannot be read: {error}") from None
    options = {}
    for p in parameters:
        if p.name not in hints:
            raise ValueError(f"{what}: option {p.name!r} has no type; write it like {p.name}: int = 1")
        options[p.name] = option = Option(p.name, p.default, hints[p.name], method)
        option.check_type(what)
    return options


def _parameters(function: Callable[..., Any], what: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: its signature cannot be read: {error}") from None


def unknown(what: str, given: object, allowed: Iterable[str]) -> str:
    """Return the text of an error about a name: what was given, the nearest match, all that is allowed."""
    known, text = list(allowed), cut(str(given))
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.55)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = repr(text if isinstance(given, str) else given)
    return f"{what} = {shown} is not known{hint} Allowed: {', '.join(known) or 'none'}".replace(
        "known Allowed", "known. Allowed"
    )


def show(value: object) -> str:
    """Return a value as code, cut where it is long: somebody may paste anything."""
    try:
        return cut(_SHORT.repr(value))
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of thousands of digits"


def cut(text: str) -> str:
    """Return a text, without its middle where it is long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}…{text[-SHOWN // 4 :]}"
