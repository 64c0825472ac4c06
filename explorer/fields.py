"""The kinds of fields that an Experiment has, and what is said where a value does not fit one."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainSerializer, ValidationError

from explorer.signatures import cut, show, unknown

LARGEST = 2**63 - 1  # what 64 bits hold
MOST_PROBLEMS = 2  # are told at once


class Options(dict[str, Any]):
    """A dictionary that cannot be changed, so that an Experiment stays what its hash says."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "an Experiment is frozen; make another with exp.replace({'pruning.options.NAME': value})"
        )

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = _refuse
    __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))  # values may be lists; equal bags have equal names, which is enough

    def __reduce__(self) -> Any:
        return Options, (dict(self),)


def not_bool(value: Any) -> Any:
    """Refuse True and False, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _no_signed_zero(value: float) -> float:
    return value + 0.0  # -0.0 equals 0.0, so it must not be written or hashed as another number


def frozen(value: Mapping[str, Any]) -> Options:
    """Return options that cannot be changed, lists in them as tuples."""
    return Options({k: tuple(v) if isinstance(v, list) else v for k, v in value.items()})


Number = Annotated[
    float, BeforeValidator(not_bool), Field(allow_inf_nan=False), AfterValidator(_no_signed_zero)
]
NotNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
WholeNumber = Annotated[int, BeforeValidator(not_bool), Field(ge=0, le=LARGEST)]
Count = Annotated[WholeNumber, Field(ge=1)]
Bag = Annotated[dict[str, Any], AfterValidator(frozen), PlainSerializer(dict)]


def explain(cls: type[BaseModel], error: ValidationError) -> str:
    """Return what is wrong with the fields of a part, in a few hundred characters however much was given."""
    lines = []
    for problem in error.errors()[:MOST_PROBLEMS]:
        path = ".".join(cut(str(p)) for p in problem["loc"] if not str(p).startswith("function-"))
        given = problem["input"]
        if problem["type"] == "extra_forbidden":
            lines.append(unknown("field", path, cls.model_fields))
        elif problem["type"] == "value_error":
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(message if " = " in message or not path else f"{path} = {show(given)}: {message}")
        else:
            message = problem["msg"]
            rule = message.removeprefix("Input should be ")
            text = f"must be {rule}" if rule != message else f"{message[0].lower()}{message[1:]}"
            value = "nan" if isinstance(given, float) and math.isnan(given) else show(given)
            lines.append(f"{path} = {value}: {text}")
    more = error.error_count() - len(lines)
    lines += [f"and {more:,} more"] if more > 0 else []
    return f"{cls.__name__}: " + "; ".join(lines)
