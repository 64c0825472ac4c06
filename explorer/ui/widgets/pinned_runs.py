"""Pinned runs: their names and numbers, what tells them apart, and which order is more than chance.

No widget: what `runs_table` shows and the figures draw.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from explorer import registry
from explorer.engine.training.branch import diff, fields
from explorer.experiment import Experiment
from explorer.study.intervals import t_interval, wilson_interval
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


@dataclass
class PinnedRun:
    """A run that was pinned, its numbers as they were then."""

    saved: SavedRun
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
        return self.saved.snapshot.lanes[0].experiment

    @property
    def steered(self) -> bool:
        """Whether settings were moved on the way, so that the Experiment alone does not make it."""
        return self.saved.snapshot.lanes[0].steered

    @property
    def shift(self) -> float | None:
        """Accuracy less that of the dense twin, in points."""
        return None if self.accuracy is None or self.dense is None else 100 * (self.accuracy - self.dense)

    @property
    def recipe(self) -> Any:
        """What runs share that differ in nothing but the seed."""
        same = self.experiment.replace(seed=0).hash, self.saved.snapshot.step, self.saved.status == "diverged"
        return (same, self.ident) if self.steered else (same, None)


@dataclass
class RunGroup:
    """Runs of one recipe, and the interval in which its accuracy lies."""

    runs: list[PinnedRun]
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
class PinnedRuns:
    """All pinned runs; `on_change` is called where there are others, or a name is another."""

    runs: list[PinnedRun] = field(default_factory=list)
    on_change: Callable[[], None] = lambda: None
    _next: int = 0

    @property
    def names(self) -> dict[str, int]:
        """Name to the number of its colour."""
        return {run.name: run.slot for run in self.runs}

    def check(self, saved: SavedRun) -> None:
        """Raise ValueError where a run can't be pinned."""
        if not saved.snapshot.step:
            raise ValueError(UNTRAINED)
        if len(self.runs) >= MOST:
            raise ValueError(FULL.format(MOST))
        lane = saved.snapshot.lanes[0]
        for run in self.runs:
            if lane.experiment == run.experiment and _trace(saved) == _trace(run.saved):
                raise ValueError(TWICE.format(run.name))

    def add(self, saved: SavedRun, summary: dict[str, Any], dense: dict[str, Any] | None) -> PinnedRun:
        """Pin a run with the numbers of its summary and its twin's."""
        self.check(saved)
        free = next(i for i in range(MOST) if all(run.slot != i for run in self.runs))
        run = PinnedRun(
            saved=saved,
            ident=self._next,
            slot=free,
            name=self.name_for(saved.snapshot.lanes[0].experiment),
            accuracy=summary["val_accuracy"],
            dense=dense["val_accuracy"] if dense else None,
            sparsity=summary["sparsity"],
            clip_rate=summary["clip_rate"],
            images=summary["validation_images"],
        )
        self._next += 1
        self.runs = [*self.runs, run]
        self.on_change()
        return run

    def get(self, ident: int) -> PinnedRun:
        """Return a pinned run by its number."""
        return next(run for run in self.runs if run.ident == ident)

    def remove(self, ident: int) -> None:
        """Take a run away."""
        self.runs = [run for run in self.runs if run.ident != ident]
        self.on_change()

    def rename(self, ident: int, name: str) -> None:
        """Give a run another name; an empty one leaves it as it is."""
        run = self.get(ident)
        others = [other.name for other in self.runs if other is not run]
        run.name = _unique(name.strip() or run.name, others)
        self.on_change()

    def name_for(self, experiment: Experiment) -> str:
        """Name a run by method and threshold, and by what else differs from the one pinned last."""
        last = self.runs[-1].experiment if self.runs else experiment
        changes = diff(last, experiment)
        parts = [
            f"{leaf(name)} {format_value(name, new)}"
            for name, (_, new) in changes.items()
            if name not in HEAD and new is not None
        ]
        name = ", ".join([headline(experiment), *parts[:NAMED]])
        name = MORE.format(name, len(parts) - NAMED) if len(parts) > NAMED else name
        return _unique(name, [run.name for run in self.runs])


def _trace(saved: SavedRun) -> tuple[Any, ...]:
    """Return what tells two runs of one Experiment apart."""
    lane = saved.snapshot.lanes[0]
    return saved.snapshot.step, len(saved.snapshot.lanes), lane.steered and lane.history.events


def _unique(name: str, others: Sequence[str]) -> str:
    copies = (COPY.format(name, i) for i in range(2, MOST + 2))
    return name if name not in others else next(c for c in copies if c not in others)


# -- in words -----------------------------------------------------------------------------------------


def headline(experiment: Experiment) -> str:
    """Say method and threshold in a few words."""
    pruning = experiment.pruning
    if pruning is None:
        return DENSE
    share = pruning.unit == "sparsity"
    threshold = PERCENT.format(100 * pruning.threshold) if share else f"{pruning.threshold:g} {pruning.unit}"
    return f"{pruning.criterion} {threshold}"


def label(name: str) -> str:
    """Return what a setting is called on the page, by its dotted name."""
    place, _, last = name.rpartition(".")
    if place.endswith("options"):
        return labels.option_label(last)
    return labels.LABELS.get(last, leaf(name).capitalize())


def leaf(name: str) -> str:
    """Return the last part of a dotted name, as words."""
    return name.rsplit(".", 1)[-1].replace("_", " ")


def format_value(name: str, value: Any) -> str:
    """Say a setting's value in words."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, tuple | list):
        return " + ".join(map(str, value))
    if name.endswith("threshold") and isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def differing_settings(groups: Sequence[RunGroup]) -> dict[str, list[str]]:
    """Return the settings that differ between recipes, by dotted name; the seed is not one."""
    flat = [fields(each.runs[0].experiment) for each in groups]
    columns = {}
    for name in dict.fromkeys(name for each in flat for name in each if name != "seed"):
        values = [each[name] for each in flat if name in each]
        option = ".options." in name  # its absence says something: another method, or the default
        if any(value != values[0] for value in values) or (option and len(values) < len(flat)):
            columns[name] = [format_value(name, each.get(name)) for each in flat]
    return columns


# -- what is more than chance -------------------------------------------------------------------------


def group(runs: Iterable[PinnedRun]) -> list[RunGroup]:
    """Group runs by recipe, the best accuracy first, each with the ranks that it may have."""
    by_recipe: dict[Any, list[PinnedRun]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, []).append(run)
    groups = [_pool(each) for each in by_recipe.values()]
    groups.sort(key=lambda each: -1.0 if each.accuracy is None else each.accuracy, reverse=True)
    for each in groups:
        each.first = 1 + sum(other.low > each.high for other in groups)
        each.last = len(groups) - sum(other.high < each.low for other in groups)
    return groups


def _pool(runs: list[PinnedRun]) -> RunGroup:
    accuracies = [run.accuracy for run in runs if run.accuracy is not None]
    if not accuracies:
        return RunGroup(runs, None, None, -math.inf, math.inf)
    mean = fmean(accuracies)
    low, high = wilson_interval(mean, runs[0].images)
    if len(accuracies) == 1:
        return RunGroup(runs, mean, None, low, high)
    spread = stdev(accuracies)
    lowest, highest = t_interval(mean, spread, len(accuracies))
    # all seeds are judged by the same images, so their mean is no surer than those allow
    return RunGroup(runs, mean, spread, min(low, lowest), max(high, highest))


def comparable(runs: Sequence[PinnedRun]) -> bool:
    """Say whether accuracies were measured on images and labels of one kind."""
    return len({_task(run.experiment) for run in runs}) <= 1


def _task(experiment: Experiment) -> tuple[str, str]:
    own = registry.get("model", experiment.model).traits.labels is not None
    return experiment.dataset, f"{experiment.model} {dict(experiment.model_options)}" if own else ""
