"""Runs: pin what came of this one, compare it with the next, go back to it, share its settings."""

from collections.abc import Hashable

import ipywidgets as w

from explorer import figures
from explorer.engine.training.train import run_of
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import Session
from explorer.ui.tabs.live import accuracies, pinned_curves
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables, events
from explorer.ui.widgets.experiment_text import ExperimentText
from explorer.ui.widgets.pinned_runs import PinnedRun
from explorer.ui.widgets.runs_table import RunsTable

# Every string that a person reads here.
PIN, PIN_TIP = "Pin this run", "Keep this run as it is now, to compare the next ones with it"

NAMES = 220  # pixels of a name in the legend
PATIENCE = 60  # seconds for the worker to get there; it takes a step, or the making of a first frame


class Runs(Tab):
    """Runs side by side."""

    name = "runs"
    title = "Runs"
    tip = "Pin runs, compare them, bring one back, and share settings as text"
    wide = ("runs",)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.table = RunsTable(context.guarded(self._act))
        self.share = ExperimentText(context.go_to)
        pin = w.Button(description=PIN, tooltip=PIN_TIP).add_class("explorer-pin")
        pin.on_click(context.guarded(self._on_pin))
        self.panel = w.VBox([pin, self.table]).add_class("explorer-runs")
        self.below = w.VBox([self.share])
        context.pins.on_change = self._refresh

    def pin(self) -> PinnedRun:
        """Pin the run as it is now, between two steps; raise ValueError where it can't be."""
        session = self.context.session
        pin: PinnedRun = session.call(lambda trainer: self._add(trainer, session)).result(PATIENCE)
        return pin

    def key(self, trainer: Trainer) -> Hashable:
        """Return the length of the longest run, how many images it was evaluated on, and the names."""
        return self._epochs(trainer), self._subtitle(trainer), tuple(self.context.pins.names.items())

    def charts(self, trainer: Trainer) -> Charts:
        """Return one chart of all."""
        names = self.context.pins.names
        subtitle, epochs = self._subtitle(trainer), self._epochs(trainer)
        return {"runs": figures.accuracy(subtitle=subtitle, epochs=epochs, pins=names, names=NAMES)}

    def tables(self, frame: Frame, session: Session) -> Tables:
        """Return the curves so far."""
        self.share.show(session.experiment)
        return {
            ("runs", "points"): accuracies(frame, session),
            ("runs", "events"): events(frame),
            **pinned_curves("runs", self.context.pins),
        }

    def _epochs(self, trainer: Trainer) -> int:
        each = [trainer.lanes[0].experiment, *(pin.experiment for pin in self.context.pins.runs)]
        return max(experiment.epochs for experiment in each)

    def _subtitle(self, trainer: Trainer) -> str:
        counts = [trainer.lanes[0].experiment.validation, *(pin.images for pin in self.context.pins.runs)]
        few, many = min(counts), max(counts)
        n = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        return f"the present run and the pinned ones, n = {n} validation images, 1 seed each"

    def _on_pin(self, _button: w.Button) -> None:
        self.pin()

    def _add(self, trainer: Trainer, session: Session) -> PinnedRun:
        """Pin the run, on the worker."""
        saved = session.saved_run(trainer)
        run = run_of(trainer, saved.status)
        return self.context.pins.add(saved, run.summary, run.dense.summary if run.dense else None)

    def _act(self, request: tuple[str, int, str]) -> None:
        """Do what was asked for at a row of the table."""
        what, ident, name = request
        pins = self.context.pins
        if what == "rename":
            pins.rename(ident, name)
        elif what == "remove":
            pins.remove(ident)
        else:
            self.context.restore(pins.get(ident).saved)

    def _refresh(self) -> None:
        self.table.show(self.context.pins.runs)
        self.context.session.refresh()
