"""Experiment: the frozen, full description of a run; the single truth of widget, JSON, code and figures."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from explorer import registry
from explorer.fields import (
    Bag,
    Count,
    NotNegative,
    Number,
    Options,
    Positive,
    WholeNumber,
    explain,
    frozen,
    not_bool,
)
from explorer.methods import compatibility
from explorer.signatures import cut

SCHEMA = 1  # goes into every hash; raised only when an old description comes to mean something else
METHODS = ("criterion", "granularity", "allocation", "unit", "schedule")  # the axes of a Pruning
MOST_EPOCHS = 100_000  # what a run holds from its start, such as when it records, grows with them
DEFAULT_END = 0.75  # of the whole training: what remains is for fine-tuning


def _one_of(axis: str) -> AfterValidator:
    """Hold a name to its registry; looked up when used, so that a method from a notebook counts at once."""

    def check(name: str) -> str:
        return registry.get(axis, name).name

    return AfterValidator(check)


class _Part(BaseModel):
    """What Experiment, Pruning and Clipping share: frozen, validated, with errors made for people."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    def __init__(self, /, **fields: Any) -> None:  # "/": a field that is called "self" is just unknown
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ValueError(explain(type(self), error)) from None

    def _set(self) -> dict[str, Any]:
        """Return the fields that are not at their defaults, of a part whose defaults are plain values."""
        fields = type(self).model_fields.items()
        return {name: v for name, field in fields if (v := getattr(self, name)) != field.default}

    def changed(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, in the order of declaration."""
        default = type(self)()
        return {n: v for n in type(self).model_fields if (v := getattr(self, n)) != getattr(default, n)}

    def code(self) -> str:
        """Return one Python expression: `eval(x.code(), {"ex": explorer}) == x`."""
        parts = [
            f"{n}={v.code() if isinstance(v, _Part) else _literal(v)}" for n, v in self.changed().items()
        ]
        return f"ex.{type(self).__name__}({', '.join(parts)})"

    def _check_options(self, field: str, *chosen: registry.Method) -> None:
        """Leave the options in their own types, and without those that say what is so by default."""
        given, checked = getattr(self, field), {}
        options = [option for method in chosen for option in method.options.values()]
        known = {option.name: None for option in options}
        for name in given:
            if name not in known:
                used = " + ".join(method.name for method in chosen)
                raise ValueError(f"{registry.unknown('option', name, known)} (options of {used})")
        for option in options:  # methods may share a name without sharing its default
            name = option.name
            if name in given and (value := option.check(given[name])) != option.plain_default:
                checked[name] = value
            elif option.required and name not in given:
                raise ValueError(
                    f"{field} lacks {name!r}: {option.method} needs it; options={{{name!r}: ...}}"
                )
        object.__setattr__(self, field, frozen({n: checked[n] for n in given if n in checked}))


class Pruning(_Part):
    """What to prune, by which score, how much, and when."""

    criterion: Annotated[str, _one_of("criterion")] = "magnitude"
    granularity: Annotated[str, _one_of("granularity")] = "weight"
    allocation: Annotated[str, _one_of("allocation")] = "global"
    threshold: Number = compatibility.DEFAULT
    unit: Annotated[str, _one_of("unit")] = "sparsity"
    schedule: Annotated[str, _one_of("schedule")] = "one-shot"
    begin_epoch: NotNegative | None = None
    end_epoch: NotNegative | None = None
    options: Bag = Options()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        criterion = registry.get("criterion", self.criterion)
        schedule = registry.get("schedule", self.schedule)
        compatibility.check_threshold(self.threshold, self.unit, signed=criterion.traits.signed)
        compatibility.check({axis: getattr(self, axis) for axis in METHODS})
        granularity, allocation = (registry.get(a, getattr(self, a)) for a in ("granularity", "allocation"))
        self._check_options("options", criterion, granularity, allocation, schedule)
        threshold = compatibility.threshold_of(granularity, self.options, self.threshold)
        object.__setattr__(self, "threshold", threshold)
        if None not in (self.begin_epoch, self.end_epoch) and self.end_epoch < self.begin_epoch:  # type: ignore[operator]
            raise ValueError(f"end_epoch = {self.end_epoch} lies before begin_epoch = {self.begin_epoch}")
        compatibility.warn({a: registry.get(a, getattr(self, a)) for a in METHODS}, self._set())
        return self

    @property
    def cuts_weights(self) -> bool:
        """Whether the threshold cuts weights by their own size: that is the score, not a norm of many."""
        return (self.criterion, self.granularity) == ("magnitude", "weight")

    def own(self, axis: str) -> dict[str, Any]:
        """Return the options that belong to the method chosen on that axis."""
        return registry.get(axis, getattr(self, axis)).own(self.options)


def _chain(given: Any) -> Any:
    """Return a clip rule, or several as a tuple; one alone is written without it, so that it has one hash."""
    rules = (given,) if isinstance(given, str) else given
    if not (isinstance(rules, tuple | list) and rules and all(isinstance(name, str) for name in rules)):
        raise ValueError("must be a clip rule's name, or a tuple of names; clipping=None clips nothing")
    names = tuple(registry.get("rule", name).name for name in rules)
    return names if len(names) > 1 else names[0]


class Clipping(_Part):
    """How the gradient is bounded before the optimizer sees it; a tuple of rules applies from left to right.

    `max_norm` is the bound of all rules that have one; where none has, setting it warns.
    """

    rule: Annotated[str | tuple[str, ...], BeforeValidator(_chain)] = "norm"
    max_norm: Positive = 1.0
    options: Bag = Options()

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules' names, in the order in which they are applied."""
        return (self.rule,) if isinstance(self.rule, str) else self.rule

    @property
    def bounded(self) -> bool:
        """Whether `max_norm` has an effect."""
        return any("max_norm" in registry.get("rule", name).needs for name in self.rules)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        rules = [registry.get("rule", name) for name in self.rules]
        self._check_options("options", *rules)
        compatibility.warn_of_rules(rules, self._set())
        return self


def most_held_out(training_images: int) -> int:
    """Return how many training images may be held out: one in sixty is left to train on."""
    return training_images * 59 // 60


class Experiment(_Part):
    """The full description of a run: data, model, training, pruning, clipping and seed.

    Every field has a default. `pruning=None` is a dense run and `clipping=None` an unclipped one. `epochs` is
    all the training there is, rounds of fine-tuning included; `validation` training images are held out.
    """

    model: Annotated[str, _one_of("model")] = "mlp-784-128-10"
    dataset: Annotated[str, _one_of("dataset")] = "mnist"
    normalise: bool = True
    loss: Annotated[str, _one_of("loss")] = "cross-entropy"
    optimizer: Annotated[str, _one_of("optimizer")] = "sgd"
    lr: Positive = 0.1
    lr_decay: Annotated[str, _one_of("lr_decay")] = "constant"
    momentum: Annotated[NotNegative, Field(lt=1)] = 0.0
    weight_decay: NotNegative = 0.0
    l1: NotNegative = 0.0
    batch_size: Count = 64
    epochs: Annotated[int, BeforeValidator(not_bool), Field(ge=1, le=MOST_EPOCHS)] = 3
    seed: WholeNumber = 0
    validation: WholeNumber = 5000
    pruning: Pruning | None = Field(default_factory=Pruning)
    clipping: Clipping | None = Field(default_factory=Clipping)
    model_options: Bag = Options()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_options("model_options", registry.get("model", self.model))
        self.check_sizes()
        for name in ("begin_epoch", "end_epoch"):
            epoch = getattr(self.pruning, name, None)
            if epoch is not None and epoch > self.epochs:
                reason = f"lies after the last epoch; allowed: 0 to {self.epochs}"
                raise ValueError(f"pruning.{name} = {epoch} {reason}")
        self._check_events()
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"momentum = {self.momentum} has no effect with optimizer {self.optimizer!r}; "
                "set momentum=0 or optimizer='sgd'"
            )
        return self

    def check_sizes(self) -> None:
        """Raise ValueError where the data set has too few images, if that is known without loading it."""
        sizes = registry.get("dataset", self.dataset).traits.sizes
        if sizes is None:
            return
        most, left = most_held_out(sizes[0]), sizes[0] - self.validation
        if self.validation > most:
            raise ValueError(f"validation = {self.validation}: must be less than or equal to {most}")
        if self.batch_size > left:
            raise ValueError(f"batch_size = {self.batch_size} is more than the {left} training images")

    def _check_events(self) -> None:
        """A schedule with a span needs room: without one event the run would be dense under another name."""
        if self.pruning is None:
            return
        criterion = registry.get("criterion", self.pruning.criterion)
        schedule = registry.get("schedule", self.pruning.schedule)
        begin, end = self.pruning.begin_epoch, self.pruning.end_epoch
        begin = schedule.traits.begin * self.epochs if begin is None else begin
        end = DEFAULT_END * self.epochs if end is None else end
        if self.pruning.options.get("tolerance") is not None and not self.validation:
            raise ValueError("tolerance compares validation accuracies, but validation = 0: hold images out")
        if schedule.traits.spans and begin >= end:
            raise ValueError(
                f"schedule = {self.pruning.schedule!r} would never prune: begin_epoch = {begin:g} does not "
                f"lie before end_epoch = {end:g} (by default {DEFAULT_END:g} of the epochs)"
            )
        compatibility.check_time(criterion, schedule, self.pruning.options, begin, end)

    def to_json(self) -> str:
        """Return this Experiment as JSON text; `Experiment.from_json` reads it back."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; raises ValueError where the text does not fit."""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:  # brackets without end, numbers of thousands of digits
            text = f"this is not JSON: {cut(str(error))}; expected what Experiment.to_json() returns"
            raise ValueError(text) from None
        if not isinstance(fields, dict):
            raise ValueError(f"an Experiment is a JSON object, this is {text[:40]!r}")
        return cls(**fields)

    @cached_property
    def hash(self) -> str:
        """12 hex digits that name this Experiment; fields at their defaults do not count."""
        changed = {n: v.changed() if isinstance(v, _Part) else v for n, v in self.changed().items()}
        text = json.dumps({"schema": SCHEMA, **changed}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def replace(self, dotted: Mapping[str, Any] | None = None, /, **fields: Any) -> Self:
        """Return a new Experiment with some fields changed; dotted names reach inside its parts and options.

        `exp.replace({"pruning.threshold": 0.95, "clipping.max_norm": 0.5}, lr=0.05)`. Where pruning or
        clipping is None, a dotted name starts from its defaults.
        """
        tree = self.model_dump()
        for path, value in {**(dotted or {}), **fields}.items():
            *parents, leaf = path.split(".")
            node = tree
            for parent in parents:
                if not isinstance(node.get(parent), dict):
                    node[parent] = {}
                node = node[parent]
            node[leaf] = _plain(value)
        return type(self)(**tree)

    def dense(self) -> Self:
        """Return the dense twin: the same training without pruning."""
        return self.replace(pruning=None)


def _plain(value: Any) -> Any:
    """Return a part or a bag as a dictionary that may be written to, the caller's own left alone."""
    if isinstance(value, _Part):
        return value.model_dump()
    return dict(value) if isinstance(value, Mapping) else value


def _literal(value: Any) -> str:
    return repr(dict(value)) if isinstance(value, Options) else repr(value)
