"""The history slider: over the records of the run, to see it as it was, and to go on from there."""

from bisect import bisect_right
from collections.abc import Callable

import ipywidgets as w

from explorer.engine.training.trainer import Trainer
from explorer.ui.controls.guard import Guard
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import Session

# Every string that a person reads here.
LABEL, TIP = "History", "Drag to see the run as it was at a record: each quarter epoch and each prune event"
NOW, NOW_TIP = "Back to now", "Shows the present again"
BRANCH = "Branch from here"
BRANCH_TIP = "Train on from this moment, with the settings that the controls have now"
LATEST = "now"


class HistorySlider:
    """A slider, what it stands at, and two buttons; nothing to see before there are two records.

    Args:
        session: returns the session, which changes with the device.
        guard: wraps the callbacks; muted while `sync` moves the slider.
    """

    def __init__(self, session: Callable[[], Session], guard: Guard) -> None:
        self._session = session
        self._steps: list[int] = []  # of all records that the run will have
        self._events: tuple[Trainer, set[int]] | None = None  # what they were worked out from
        self._count = 0  # of records that there are
        self.slider = w.IntSlider(min=0, max=1, readout=False, description=LABEL, tooltip=TIP)
        self.slider.style.description_width = "initial"
        self.slider.add_class("explorer-scrub-slider")
        self.position = w.HTML().add_class("explorer-scrub-said")
        self.now = w.Button(description=NOW, tooltip=NOW_TIP).add_class("explorer-scrub-now")
        self.branch = w.Button(description=BRANCH, tooltip=BRANCH_TIP).add_class("explorer-scrub-branch")
        self.box = w.HBox([self.slider, self.position, self.branch, self.now]).add_class("explorer-scrub")
        self.slider.observe(guard.wrap(lambda change: self._view(change["new"])), "value")
        self.now.on_click(guard.wrap(lambda _: self._session().view_step(None)))
        self.branch.on_click(guard.wrap(lambda _: self._branch()))
        self._reveal_buttons(past=False)

    def sync(self, frame: Frame) -> None:
        """Follow the run: to the newest record, or to the one that is looked at."""
        trainer, step = frame.trainer, frame.viewed_step
        self._count_records(trainer)
        self.box.layout.display = "none" if self._count < 2 else None
        if self._count < 2:
            return
        place = self._count - 1 if step is None else bisect_right(self._steps, step) - 1
        to_come = range(self._count, len(self._steps))
        self.slider.max = len(self._steps) - 1
        if step is None or self.slider.value not in (place, *to_come):
            self.slider.value = place
        self.position.value = LATEST if step is None else f"epoch {round(step / trainer.per_epoch, 2):g}"
        self._reveal_buttons(past=step is not None)
        if step is not None:
            self._offer_branch(step, trainer.per_epoch)

    def _count_records(self, trainer: Trainer) -> None:
        events = (trainer, _event_steps(trainer))
        if events != self._events:  # sorted once: a long run has thousands
            self._events, self._steps = events, sorted(trainer.record_steps | events[1])
        history = trainer.lanes[0].history.history
        self._count = bisect_right(self._steps, history[-1][0]) if history else 0

    def _offer_branch(self, step: int, per_epoch: int) -> None:
        """Offer the branch where the weights are there, and say why where they are not."""
        steps = self._session().snapshots.steps
        self.branch.disabled = step not in steps
        epochs = ", ".join(f"{round(each / per_epoch, 2):g}" for each in steps)
        thinned = f"The weights of this moment are no longer kept; those of epochs {epochs} are"
        self.branch.tooltip = thinned if self.branch.disabled else BRANCH_TIP

    def _reveal_buttons(self, *, past: bool) -> None:
        for button in (self.now, self.branch):
            button.layout.visibility = None if past else "hidden"

    def _view(self, place: int) -> None:
        self._session().view_step(self._steps[place] if place < self._count - 1 else None)

    def _branch(self) -> None:
        session = self._session()
        if session.viewed_step is not None:
            session.branch(session.viewed_step)


def _event_steps(trainer: Trainer) -> set[int]:
    """Return the steps that are recorded because something happens there, past and to come."""
    planned = {step for lane in trainer.lanes if lane.records_each_event for step in lane.plan}
    past = {step for step, what, *_ in trainer.lanes[0].history.events if what == "prune"}
    return {step for step in planned | past if step <= trainer.total}
