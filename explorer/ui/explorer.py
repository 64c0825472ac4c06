"""Explorer: the widget. Controls on the left; on the right the status line over tabs of live charts."""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import ipywidgets as w

from explorer import presets, registry
from explorer.engine.training.run import Run
from explorer.experiment import Experiment
from explorer.ui.controls import controls, fields, groups, method_options, status_line
from explorer.ui.controls.compatible_changes import PATHS, completed, same_sparsity
from explorer.ui.controls.history_slider import HistorySlider
from explorer.ui.controls.method_options import PLACES, MethodOptions
from explorer.ui.controls.threshold import Threshold
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import ACTIVE, Session
from explorer.ui.session.snapshots import SavedRun
from explorer.ui.tabs import Context
from explorer.ui.tabs.tab_panel import TabPanel
from explorer.ui.widgets.page import Page

# A change of one of these may ask for others, or not fit the network.
STRUCTURAL = {*PATHS.values(), *PLACES.values(), "clipping"}


class Explorer(w.VBox):
    """The live pruning explorer.

    Args:
        experiment: where the controls stand at first: an Experiment or a preset's name.
        device: "auto", "cpu" or "cuda".
        twin: train the dense twin beside each pruned run.
        hide: names of controls, buttons and tabs to leave out; `show(name)` brings one back.
    """

    def __init__(
        self,
        experiment: Experiment | str | None = None,
        device: str = "auto",
        twin: bool = True,
        hide: Iterable[str] = (),
    ) -> None:
        self._first = self._good = controls.start(experiment)
        self._twin, self._tag = twin, 0
        self._mine = threading.local()  # `quiet` in a thread whose code moves the controls
        self._lock = threading.RLock()  # one change after another: callbacks come on several threads
        self._error = w.HTML().add_class("explorer-error")
        self._options = MethodOptions(self._listen)
        self._controls = controls.build(device)
        self._threshold = Threshold(self._guarded, self._present, self._attempt, self._settle)
        self._preset = controls.presets_menu()
        self._preset.observe(self._guarded(self._on_preset), "value")
        self.session = self._session(device)
        self._context = Context(
            *(self.session, self._go_to, self._on_error, self._guarded),
            settle=self._go_to_threshold,
            restore=self._bring_back,
        )
        self._gallery = TabPanel(self._context, head=[self._head(), self._error])
        self._chart = self._gallery.chart
        self._page = Page(self._threshold.hear, (self._threshold.share, self._threshold.score))
        super().__init__([groups.style(), self._page, self._body()])
        self._page.root = self.model_id
        self.add_class("explorer")
        for control in self._controls.values():
            self._listen(control)
        self._show(self._first)
        self.hide(*([hide] if isinstance(hide, str) else hide))
        registry.watch(self._on_registered)
        self.session.prepare()

    # -- what callers use -----------------------------------------------------------------------------

    @property
    def experiment(self) -> Experiment:
        """Where the controls stand; setting it moves them, and begins anew if a run is under way."""
        return self.session.experiment

    @experiment.setter
    def experiment(self, experiment: Experiment) -> None:
        self._go_to(experiment)

    @property
    def run(self) -> Run:
        """The run as it is now."""
        return self.session.run

    @property
    def tab(self) -> str:
        """The name of the tab that is shown; settable."""
        return self._gallery.selected

    @tab.setter
    def tab(self, name: str) -> None:
        self._gallery.selected = name

    def wait(self, timeout: float | None = None) -> Run:
        """Waits for the run to end and returns it."""
        return self.session.wait(timeout)

    def stop(self) -> None:
        """Ends the run."""
        self.session.stop()

    def hide(self, *names: str) -> None:
        """Takes controls and tabs off the page by name, such as "loss", "export", "eps" or "gradients"."""
        self._reveal(names, on=False)

    def show(self, *names: str) -> None:
        """Brings controls and tabs back that were hidden."""
        self._reveal(names, on=True)

    def close(self) -> None:
        """Ends the session and takes the widget off the page."""
        if "session" in vars(self):  # else it was refused before it had any parts
            self._threshold.close()
            self._gallery.close()
            self.session.close()
            for part in groups.parts_of(self):
                part.close()
        super().close()

    # -- the parts ------------------------------------------------------------------------------------

    def _session(self, device: str) -> Session:
        experiment = self.session.experiment if "session" in vars(self) else self._first
        return Session(experiment, device, self._twin, on_frame=self._on_frame, on_error=self._on_error)

    def _body(self) -> w.Widget:
        boxes = self._options.boxes
        parts = {
            name: [control.widget, *([boxes[name]] if name in boxes else [])]
            for name, control in self._controls.items()
        }
        self._groups = groups.ControlGroups({**parts, "threshold": [self._threshold.box]})
        self._button = groups.buttons(self._pressed)
        self._hint = w.HTML().add_class("explorer-hint")
        row = w.HBox([*self._button.values(), self._gallery.export]).add_class("explorer-buttons")
        self._alone = {
            **self._button,
            "export": self._gallery.export,
            "preset": self._preset,
            "history": self._past,
            "progress": self._progress,
            "status": self._status,
        }
        side = w.VBox([row, self._preset, self._hint, self._groups.box]).add_class("explorer-controls")
        return w.HBox([side, self._gallery.box]).add_class("explorer-body")

    def _head(self) -> w.Widget:
        self._progress = w.FloatProgress(min=0, max=1).add_class("explorer-progress")
        self._status = w.HTML().add_class("explorer-status")
        self._scrub = HistorySlider(lambda: self.session, self._guarded)
        self._past = w.Box([self._scrub.box]).add_class("explorer-past")  # keeps its place
        return w.VBox([self._status, self._progress, self._past]).add_class("explorer-head")

    def _reveal(self, names: Iterable[str], on: bool) -> None:
        known = [*self._groups.names, *self._alone, *self._gallery.tabs, *method_options.names()]
        for name in names:
            if name not in known:
                raise ValueError(registry.unknown("control", name, known))
            if name in self._alone:
                controls.mark(self._alone[name], "explorer-hidden", not on)
            elif name in self._gallery.tabs:
                self._gallery.reveal(name, on)
            elif name in method_options.names():
                self._options.reveal(name, on)
            else:
                self._groups.reveal(name, on)

    # -- from the controls ----------------------------------------------------------------------------

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """A callback whose errors and warnings are told in the widget, not lost in a log."""

        def guarded(change: Any) -> None:
            if getattr(self._mine, "quiet", False):
                return  # moved by code in this very thread; other threads are heard
            with self._lock:
                try:
                    with warnings.catch_warnings(record=True) as caught:
                        warnings.simplefilter("always")
                        callback(change)
                except Exception as error:  # noqa: BLE001  whatever it is, the person at the slider must see it
                    self._error.value = groups.alert(error)
                    self._show(self.experiment)
                else:
                    self._error.value = ""
                    if caught:
                        self._remark(str(caught[0].message))

        return guarded

    def _listen(self, control: controls.Control) -> None:
        """Has a control change the Experiment."""

        def moved(change: Any) -> None:
            if control.name == "device":
                self._change_device(change["new"])
            elif not fields.echoes(control.widget, change["new"], control.read(self.experiment)):
                self._change(control.changes(change["new"]))

        control.widget.observe(self._guarded(moved), "value")

    def _change(self, changes: controls.Changes) -> None:
        remark = ""
        if any(path in STRUCTURAL or path.rpartition(".")[0] in STRUCTURAL for path in changes):
            changes, remark = completed(self.experiment, changes)
            changes = {**changes, **same_sparsity(self.session, changes)}
        self._hint.value = ""
        self.session.set(changes)
        self._show(self.experiment)
        self._remark(remark)

    def _remark(self, text: str) -> None:
        if text:
            self._hint.value = f"<p>{escape(text)}</p>"

    def _on_registered(self, axis: str) -> None:
        """Offers a method that somebody has just registered, in a notebook say."""
        control = self._controls.get(axis)
        if control is not None:
            chosen = control.widget.value
            with self._quietly():
                control.widget.options = tuple(dict.fromkeys([*controls.names(axis), chosen]))
                control.widget.value = chosen

    def _on_preset(self, change: Any) -> None:
        if not change["new"]:
            return
        preset = presets[change["new"]]
        self._go_to(preset.experiment)
        self._hint.value = f"<p>{escape(preset.commentary)}</p><p><i>{escape(preset.source)}</i></p>"

    def _change_device(self, device: str) -> None:
        self.session.close()
        self.session = self._context.session = self._session(device)
        self.session.prepare()

    # the threshold: where it stands, trying one out, setting it

    def _present(self) -> float | None:
        return self.experiment.pruning.threshold if self.experiment.pruning else None

    def _attempt(self, value: float) -> None:
        self.session.preview(value)

    def _settle(self, value: float) -> None:
        self.session.set({"pruning.threshold": value})
        self._name(self.experiment)

    def _go_to_threshold(self, value: float) -> None:
        """Moves the slider to a threshold and lets it go there."""
        self._threshold.go(value)
        self._show(self.experiment)

    # the buttons

    def _pressed(self, name: str) -> Callable[[w.Button], None]:
        return self._guarded(lambda _: getattr(self, f"_on_{name}")())

    def _on_train(self) -> None:
        self._threshold.release()
        self.session.start(self.experiment)

    def _on_pause(self) -> None:
        if self.session.status == "paused":
            self.session.resume()
        else:
            self.session.pause()

    def _on_stop(self) -> None:
        self.session.stop()

    def _on_reset(self) -> None:
        self._hint.value = ""
        self._show(self._first)
        self.session.reset(self._first)

    # -- to the page ----------------------------------------------------------------------------------

    def _go_to(self, experiment: Experiment) -> None:
        """Moves everything to an Experiment; begins anew if a run is under way."""
        with self._lock:
            self._error.value = ""
            self._show(experiment)
            (self.session.start if self.session.status in ACTIVE else self.session.reset)(experiment)

    def _bring_back(self, kept: SavedRun) -> None:
        """Shows a run again that was kept, and moves the controls to it."""
        self._show(kept.point.lanes[0].experiment)
        self.session.revive(kept)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """While it lasts, what this thread does to the controls is not heard."""
        self._mine.quiet = True
        try:
            yield
        finally:
            self._mine.quiet = False

    def _show(self, experiment: Experiment) -> None:
        """Moves every control to the Experiment, without hearing itself."""
        with self._quietly():
            for control in self._controls.values():
                control.show(experiment)
            self._options.show(experiment)
            self._threshold.show(experiment)
            self._name(experiment)

    def _name(self, experiment: Experiment) -> None:
        """Takes a preset's name and commentary away where the controls are no longer at it."""
        if self._preset.value and presets[self._preset.value].experiment != experiment:
            self._preset.value = self._hint.value = ""

    def _on_frame(self, frame: Frame) -> None:
        self._good = frame.trainer.lanes[0].experiment
        self._tag += 1
        self._gallery.draw(frame, self._tag)
        self._progress.value = status_line.progress(frame)
        self._scrub.show(frame)
        self._status.value = status_line.line(frame)
        paused = frame.status == "paused"
        self._button["pause"].description = groups.RESUME if paused else groups.BUTTONS["pause"][0]
        self._button["pause"].disabled = self._button["stop"].disabled = frame.status not in ACTIVE
        if frame.advice:
            self._error.value = groups.alert(frame.advice)

    def _on_error(self, error: Exception) -> None:
        """Tells what went wrong, and goes back to what last worked."""
        self._error.value = groups.alert(error)
        if self.session.experiment != self._good:
            self.session.experiment = self._good
            self._show(self._good)
            self.session.prepare()
