"""What a tab is: one view of the run, drawn only while it is shown; and what several of them use."""

import bisect
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import ipywidgets as w
import numpy as np

from explorer import figures
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.session.frames import Frame, Point
from explorer.ui.session.session import Session
from explorer.ui.session.snapshots import SavedRun
from explorer.ui.widgets.pinned_runs import PinnedRuns

MOST_POINTS = 300  # of a curve
Charts = dict[str, alt.TopLevelMixin]
Tables = dict[tuple[str, str], Any]  # (chart, dataset) to a table


@dataclass
class Context:
    """What a tab may use; `session` changes with the device, so ask for it each time."""

    session: Session
    go_to: Callable[[Experiment], None]  # moves the controls there, and begins anew if a run is under way
    report: Callable[[Exception], None]  # puts an error into the error box
    guarded: Callable[[Callable[[Any], None]], Callable[[Any], None]]  # a callback whose errors go there
    commit: Callable[[float], None] = lambda _: None  # sets the threshold, as letting its slider go does
    restore: Callable[[SavedRun], None] = lambda _: None  # shows a run again, and moves the controls to it
    pins: PinnedRuns = field(default_factory=PinnedRuns)  # the runs that are compared


class Tab:
    """One view of the run. Subclass it in a file of its own and list that in `explorer/ui/tabs`.

    All but `__init__` and the hooks run on the session's worker, between two steps.
    """

    name: str  # CSS class `explorer-tab-<name>`
    title: str
    tip: str
    wide: tuple[str, ...] = ()  # charts that take the whole width
    panel: w.Widget | None = None  # above the charts
    below: w.Widget | None = None

    def __init__(self, context: Context) -> None:
        self.context = context

    def key(self, trainer: Trainer) -> Hashable:
        """Return what the charts depend on, by default layers and length: they are made anew with it."""
        return tuple(trainer.observer.edges), trainer.lanes[0].experiment.epochs

    def charts(self, trainer: Trainer) -> Charts:  # noqa: ARG002
        """Return the live charts by name; names are unique among all tabs."""
        return {}

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Return the data of the charts at a frame; fill the tab's own widgets."""
        return {}

    def pictures(self) -> Charts:
        """Return what the tab shows beside its charts as figures for export; may be called on any thread."""
        return {}

    def overview(self, trainer: Trainer) -> tuple[str, ...]:  # noqa: ARG002
        """Return the charts that an overview of the run has beside those of its record."""
        return ()

    def on_show(self) -> None:
        """Prepare for the next frame: the tab is chosen."""

    def on_hide(self) -> None:
        """Let go of what the run owns: another tab is chosen."""

    def close(self) -> None:
        """Stop the threads that the tab started: the explorer ends."""


def columns(rows: list[tuple[Any, ...]], names: tuple[str, ...]) -> dict[str, Any]:
    """Return rows as a table of columns."""
    if not rows:
        return {name: [] for name in names}
    values = list(zip(*rows, strict=True))
    texts = [isinstance(column[0], str) for column in values]
    return {
        name: list(column) if text else np.array(column)
        for name, column, text in zip(names, values, texts, strict=True)
    }


def until(points: list[Point], step: int) -> list[Point]:
    """Return the points up to a step; they are in order."""
    return points[: bisect.bisect_right(points, step, key=lambda point: point.step)]


def thinned(points: list[Point]) -> list[Point]:
    """Return no more points than a chart can show, the last one always: a long run costs a frame no more."""
    evaluated = [point for point in points if "val_accuracy" in point.lanes[0]]
    others = [point for point in points if "val_accuracy" not in point.lanes[0]]
    return sorted([*_some(evaluated), *_some(others)], key=lambda point: point.step)


def _some(points: list[Point]) -> list[Point]:
    """Return every second, fourth, … point: those that are there stay until there are twice as many."""
    every = 1
    while len(points) > every * MOST_POINTS:
        every *= 2
    last = points[-1:] if (len(points) - 1) % every else []
    return [*points[::every], *last]


def events(frame: Frame) -> dict[str, Any]:
    """Return prune events and slider moves so far, as the "events" dataset of a figure over epochs."""
    trainer = frame.trainer
    so_far = [event for event in trainer.lanes[0].history.events if event[0] <= frame.step]
    return figures.event_table(so_far, 1 / trainer.per_epoch)
