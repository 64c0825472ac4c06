"""Pinned runs: their names and numbers, what tells them apart, and which order is more than chance."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from explorer import registry
from explorer.engine.training.branch import diff, fields
from explorer.experiment import Experiment
from explorer.ui.controls import labels
from explorer.ui.session.snapshots import SavedRun

# Every string that a person reads here.
FULL = "{} runs are pinned, and there is no room for more: remove one first"
TWICE = "this run is pinned already, as {!r}"
UNTRAINED = "there is nothing to pin yet: press Train first"
DENSE, MORE, COPY = "dense", "{}, +{}", "{} ({})"
PERCENT = "{:.3g} %"
MISSING = "–"
YES, NO = "yes", "no"

MOST = 8
NAMED = 2  # settings in a name, beside method and threshold
HEAD = ("pruning.criterion", "pruning.threshold")
Z95 = 1.959964
# 97.5 % quantiles of Student's t by degrees of freedom; beyond eight pinned runs there are none
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365)


@dataclass
class Pin:
    """A run that was pinned, its numbers as they were then."""

    kept: SavedRun
    ident: int
    slot: int  # its colour
    name: str
    accuracy: float | None  # on the validation images, 0 to 1
    dense: float | None
    sparsity: float
    clip_rate: float
    images: int  # that the accuracy was measured on

    @property
    def experiment(self) -> Experiment:
        """Its settings."""
        return self.kept.snapshot.lanes[0].experiment

    @property
    def steered(self) -> bool:
        """Whether settings were moved on the way, so that the Experiment alone does not make it."""
        return self.kept.snapshot.lanes[0].steered

    @property
    def shift(self) -> float | None:
        """Accuracy less that of the dense twin, in points."""
        return None if self.accuracy is None or self.dense is None else 100 * (self.accuracy - self.dense)

    @property
    def recipe(self) -> Any:
        """What runs share that differ in nothing but the seed."""
        same = self.experiment.replace(seed=0).hash, self.kept.snapshot.step, self.kept.status == "diverged"
        return (same, self.ident) if self.steered else (same, None)


@dataclass
class Group:
    """Runs of one recipe, and the interval in which its accuracy lies."""

    pins: list[Pin]
    accuracy: float | None
    spread: float | None  # standard deviation over seeds; None for one
    low: float
    high: float
    first: int = 1  # the ranks that it may have
    last: int = 1

    @property
    def certain(self) -> bool:
        """Whether its rank is more than chance."""
        return self.first == self.last


@dataclass
class Pins:
    """All pinned runs; whoever draws them is told of changes."""

    pins: list[Pin] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None
    _next: int = 0

    @property
    def names(self) -> dict[str, int]:
        """Name to the number of its colour."""
        return {pin.name: pin.slot for pin in self.pins}

    def check(self, kept: SavedRun) -> None:
        """Raises ValueError where a run can't be pinned."""
        if not kept.snapshot.step:
            raise ValueError(UNTRAINED)
        if len(self.pins) >= MOST:
            raise ValueError(FULL.format(MOST))
        lane = kept.snapshot.lanes[0]
        for pin in self.pins:
            if lane.experiment == pin.experiment and _trace(kept) == _trace(pin.kept):
                raise ValueError(TWICE.format(pin.name))

    def add(self, kept: SavedRun, summary: dict[str, Any], dense: dict[str, Any] | None) -> Pin:
        """Pins a run with the numbers of its summary and its twin's."""
        self.check(kept)
        free = next(i for i in range(MOST) if all(pin.slot != i for pin in self.pins))
        pin = Pin(
            kept=kept,
            ident=self._next,
            slot=free,
            name=self._named(kept.snapshot.lanes[0].experiment),
            accuracy=summary["val_accuracy"],
            dense=dense["val_accuracy"] if dense else None,
            sparsity=summary["sparsity"],
            clip_rate=summary["clip_rate"],
            images=summary["validation_images"],
        )
        self._next += 1
        self.pins = [*self.pins, pin]
        self.changed()
        return pin

    def get(self, ident: int) -> Pin:
        """A pinned run by its number."""
        return next(pin for pin in self.pins if pin.ident == ident)

    def remove(self, ident: int) -> None:
        """Takes a run away."""
        self.pins = [pin for pin in self.pins if pin.ident != ident]
        self.changed()

    def rename(self, ident: int, name: str) -> None:
        """Gives a run another name; an empty one leaves it as it is."""
        pin = self.get(ident)
        others = [other.name for other in self.pins if other is not pin]
        pin.name = _unlike(name.strip() or pin.name, others)
        self.changed()

    def _named(self, experiment: Experiment) -> str:
        """Method and threshold, and what else differs from the run that was pinned last."""
        last = self.pins[-1].experiment if self.pins else experiment
        changes = diff(last, experiment)
        parts = [
            f"{leaf(name)} {said(name, new)}"
            for name, (_, new) in changes.items()
            if name not in HEAD and new is not None
        ]
        name = ", ".join([headline(experiment), *parts[:NAMED]])
        name = MORE.format(name, len(parts) - NAMED) if len(parts) > NAMED else name
        return _unlike(name, [pin.name for pin in self.pins])


def _trace(kept: SavedRun) -> tuple[Any, ...]:
    """What tells two runs of one Experiment apart."""
    lane = kept.snapshot.lanes[0]
    return kept.snapshot.step, len(kept.snapshot.lanes), lane.steered and lane.history.events


def _unlike(name: str, others: Sequence[str]) -> str:
    copies = (COPY.format(name, i) for i in range(2, MOST + 2))
    return name if name not in others else next(c for c in copies if c not in others)


def headline(experiment: Experiment) -> str:
    """Method and threshold in a few words."""
    pruning = experiment.pruning
    if pruning is None:
        return DENSE
    share = pruning.unit == "sparsity"
    threshold = PERCENT.format(100 * pruning.threshold) if share else f"{pruning.threshold:g} {pruning.unit}"
    return f"{pruning.criterion} {threshold}"


def label(name: str) -> str:
    """What a setting is called on the page, by its dotted name."""
    place, _, last = name.rpartition(".")
    if place.endswith("options"):
        return labels.option_label(last)
    return labels.LABELS.get(last, leaf(name).capitalize())


def leaf(name: str) -> str:
    """The last part of a dotted name, as words."""
    return name.rsplit(".", 1)[-1].replace("_", " ")


def said(name: str, value: Any) -> str:
    """A setting's value in words."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, tuple | list):
        return " + ".join(map(str, value))
    if name.endswith("threshold") and isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def columns(groups: Sequence[Group]) -> dict[str, list[str]]:
    """The settings that differ between recipes, by dotted name; the seed is not one."""
    flat = [fields(group.pins[0].experiment) for group in groups]
    found = {}
    for name in dict.fromkeys(name for each in flat for name in each if name != "seed"):
        values = [each[name] for each in flat if name in each]
        option = ".options." in name  # its absence says something: another method, or the default
        if any(value != values[0] for value in values) or (option and len(values) < len(flat)):
            found[name] = [said(name, each.get(name)) for each in flat]
    return found


# -- what is more than chance -------------------------------------------------------------------------


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share that was counted on n images.

    Formula: (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n)
    Reference: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    z = Z95**2 / n
    middle = share + z / 2
    half = math.sqrt(z * share * (1 - share) + z * z / 4)
    return (middle - half) / (1 + z), (middle + half) / (1 + z)


def pooled(pins: Iterable[Pin]) -> list[Group]:
    """The runs by recipe, the best accuracy first, each with the ranks that it may have."""
    by_recipe: dict[Any, list[Pin]] = {}
    for pin in pins:
        by_recipe.setdefault(pin.recipe, []).append(pin)
    groups = [_group(each) for each in by_recipe.values()]
    groups.sort(key=lambda group: -1.0 if group.accuracy is None else group.accuracy, reverse=True)
    for group in groups:
        group.first = 1 + sum(other.low > group.high for other in groups)
        group.last = len(groups) - sum(other.high < group.low for other in groups)
    return groups


def _group(pins: list[Pin]) -> Group:
    found = [pin.accuracy for pin in pins if pin.accuracy is not None]
    if not found:
        return Group(pins, None, None, -math.inf, math.inf)
    mean = fmean(found)
    low, high = wilson(mean, pins[0].images)
    if len(found) == 1:
        return Group(pins, mean, None, low, high)
    spread = stdev(found)
    half = T95[len(found) - 2] * spread / math.sqrt(len(found))
    # all seeds are judged by the same images, so their mean is no surer than those allow
    return Group(pins, mean, spread, min(low, mean - half), max(high, mean + half))


def comparable(pins: Sequence[Pin]) -> bool:
    """Whether accuracies were measured on images and labels of one kind."""
    return len({_task(pin.experiment) for pin in pins}) <= 1


def _task(experiment: Experiment) -> tuple[str, str]:
    own = registry.get("model", experiment.model).traits.labels is not None
    return experiment.dataset, f"{experiment.model} {dict(experiment.model_options)}" if own else ""
