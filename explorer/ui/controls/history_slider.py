"""The scrubber: a slider over the records of the run, to see it as it was, and to go on from there."""

import threading
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import Session

# Every string that a person reads here.
LABEL, TIP = "History", "Drag to see the run as it was at a record: each quarter epoch and each prune event"
NOW, NOW_TIP = "Back to now", "Shows the present again"
BRANCH = "Branch from here"
BRANCH_TIP = "Train on from this moment, with the settings that the controls have now"
THINNED = "The weights of this moment are no longer kept; those of epochs {} are"
AT, LATEST = "epoch {:g}", "now"


class HistorySlider:
    """A slider, what it stands at, and two buttons; nothing to see before there are two records."""

    def __init__(
        self,
        session: Callable[[], Session],
        guarded: Callable[[Callable[[Any], None]], Callable[[Any], None]],
    ) -> None:
        self._session = session
        self._records: list[int] = []  # all that the run will have
        self._marks: tuple[Trainer, set[int]] | None = None  # what they were worked out from
        self._seen = 0  # how many of them there are
        self._per_epoch = 1
        self._mine = threading.local()  # `quiet` in a thread whose code moves the slider
        self.slider = w.IntSlider(min=0, max=1, readout=False, description=LABEL, tooltip=TIP)
        self.slider.style.description_width = "initial"
        self.slider.add_class("explorer-scrub-slider")
        self.said = w.HTML().add_class("explorer-scrub-said")
        self.now = w.Button(description=NOW, tooltip=NOW_TIP).add_class("explorer-scrub-now")
        self.branch = w.Button(description=BRANCH, tooltip=BRANCH_TIP).add_class("explorer-scrub-branch")
        self.box = w.HBox([self.slider, self.said, self.branch, self.now]).add_class("explorer-scrub")
        moved = guarded(self._moved)
        # not heard while it follows: the lock that a guarded callback takes may wait for this very thread
        self.slider.observe(lambda c: None if getattr(self._mine, "quiet", False) else moved(c), "value")
        self.now.on_click(guarded(lambda _: self._session().view_step(None)))
        self.branch.on_click(guarded(lambda _: self._go_on()))
        self._reveal(past=False)

    def show(self, frame: Frame) -> None:
        """Follows the run: to the newest record, or to the one that is looked at."""
        trainer, past = frame.trainer, frame.viewed_step
        marks = (trainer, _marked(trainer))
        if marks != self._marks:  # sorted once: a long run has thousands
            self._marks, self._records = marks, sorted(trainer.record_steps | marks[1])
        self._per_epoch, history = trainer.per_epoch, trainer.lanes[0].history.history
        self._seen = bisect_right(self._records, history[-1][0]) if history else 0
        self.box.layout.display = "none" if self._seen < 2 else None
        if self._seen < 2:
            return
        at = self._seen - 1 if past is None else self._at(past)
        self._mine.quiet = True
        try:
            self.slider.max = len(self._records) - 1
            if past is None or self.slider.value not in (at, *self._beyond()):
                self.slider.value = at
        finally:
            self._mine.quiet = False
        self.said.value = LATEST if past is None else AT.format(round(past / trainer.per_epoch, 2))
        self._reveal(past=past is not None)
        if past is not None:
            self._offer(past)

    def _beyond(self) -> range:
        return range(self._seen, len(self._records))

    def _at(self, step: int) -> int:
        """The place of a step among the records."""
        return bisect_right(self._records, step) - 1

    def _offer(self, step: int) -> None:
        """Offers the branch where the weights are there, and says why where they are not."""
        kept = self._session().snapshots.steps
        self.branch.disabled = step not in kept
        epochs = ", ".join(f"{round(each / self._per_epoch, 2):g}" for each in kept)
        self.branch.tooltip = THINNED.format(epochs) if self.branch.disabled else BRANCH_TIP

    def _reveal(self, *, past: bool) -> None:
        for button in (self.now, self.branch):
            button.layout.visibility = None if past else "hidden"

    def _moved(self, change: Any) -> None:
        at = change["new"]
        self._session().view_step(self._records[at] if at < self._seen - 1 else None)

    def _go_on(self) -> None:
        session = self._session()
        if session.viewed_step is not None:
            session.branch(session.viewed_step)


def _marked(trainer: Trainer) -> set[int]:
    """The steps that are recorded because something happens there, past and to come."""
    events = {step for lane in trainer.lanes if lane.noted for step in lane.plan}
    happened = {step for step, what, *_ in trainer.lanes[0].history.events if what == "prune"}
    return {step for step in events | happened if step <= trainer.total}
