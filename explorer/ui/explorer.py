"""Explorer: the widget. Controls on the left; on the right the status line over tabs of live charts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from explorer import registry
from explorer.engine.training.run import Run
from explorer.experiment import Experiment
from explorer.presets import PRESETS, experiment_of
from explorer.ui.controls import controls, groups, method_options, status_line
from explorer.ui.controls.compatible_changes import keep_sparsity, with_required_changes
from explorer.ui.controls.controls import Changes, Control
from explorer.ui.controls.fields import is_rounding_echo
from explorer.ui.controls.guard import Guard
from explorer.ui.controls.history_slider import HistorySlider
from explorer.ui.controls.method_options import MethodOptions
from explorer.ui.controls.threshold import Threshold
from explorer.ui.session.frames import Frame
from explorer.ui.session.reaction import ACTIVE
from explorer.ui.session.session import Session
from explorer.ui.session.snapshots import SavedRun
from explorer.ui.tabs import Context, Tab
from explorer.ui.tabs.tab_panel import TabPanel
from explorer.ui.widgets.page import Page

CSS = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


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
        self._first = self._good = Experiment() if experiment is None else experiment_of(experiment)
        self._twin, self._tag = twin, 0
        self._guard = Guard(on_error=lambda: self._sync(self.experiment), on_warning=self._remark)
        self.session = self._new_session(self._first, device)
        self._context = Context(
            *(self.session, self._go_to, self._on_error, self._guard.wrap),
            commit=self._commit_threshold,
            restore=self._restore,
        )
        self._make_controls(device)
        self._gallery = TabPanel(self._context, head=[self._head(), self._guard.error_box])
        self._chart = self._gallery.chart
        self._page = Page(self._threshold.on_page_event, (self._threshold.share, self._threshold.score))
        style = w.HTML(f"<style>{CSS}</style>").add_class("explorer-style")
        super().__init__([style, self._page, self._body()])
        self._page.root = self.model_id
        self.add_class("explorer")
        self._sync(self._first)
        self.hide(*([hide] if isinstance(hide, str) else hide))
        registry.watch(self._on_registered)
        self.session.prepare()

    # -- what callers use -----------------------------------------------------------------------------

    @property
    def experiment(self) -> Experiment:
        """Where the controls stand; setting it, to a preset's name too, begins anew if a run is under way."""
        return self.session.experiment

    @experiment.setter
    def experiment(self, experiment: Experiment | str) -> None:
        self._go_to(experiment_of(experiment))

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

    @property
    def tabs(self) -> Mapping[str, Tab]:
        """The tabs by name; `e.tabs["runs"].pin()` pins the run."""
        return self._gallery.tabs

    @property
    def controls(self) -> Mapping[str, w.Widget]:
        """The main widget of each control, to move as a hand would: `e.controls["lr"].value = 0.2`.

        By the names that `hide` takes, tabs aside: fields ("lr", "criterion", "threshold", whose slider is
        that of the unit in use), options that the chosen methods have ("rounds"), the buttons ("train",
        "pause", "stop", "reset"), "preset", "history", "export", "progress" and "status"; also "hint" and
        "error", which hold the remark and the error that are told now.
        """
        return {
            **{name: control.widget for name, control in self._controls.items()},
            **self._options.widgets,
            **self._standalone,
            "threshold": self._threshold.slider,
            "history": self._history.slider,
            "hint": self._hint,
            "error": self._guard.error_box,
        }

    def wait(self, timeout: float | None = None) -> Run:
        """Wait for the run to end and return it."""
        return self.session.wait(timeout)

    def stop(self) -> None:
        """End the run."""
        self.session.stop()

    def hide(self, *names: str) -> None:
        """Take controls and tabs off the page by name, such as "loss", "export", "eps" or "gradients"."""
        self._reveal(names, on=False)

    def show(self, *names: str) -> None:
        """Bring controls and tabs back that were hidden."""
        self._reveal(names, on=True)

    def close(self) -> None:
        """End the session and take the widget off the page."""
        if "session" in vars(self):  # else it was refused before it had any parts
            self._threshold.close()
            self._gallery.close()
            self.session.close()
            for part in _parts_of(self):
                part.close()
        super().close()

    # -- the parts ------------------------------------------------------------------------------------

    def _new_session(self, experiment: Experiment, device: str) -> Session:
        return Session(experiment, device, self._twin, on_frame=self._on_frame, on_error=self._on_error)

    def _make_controls(self, device: str) -> None:
        self._options = MethodOptions(self._observe)
        self._controls = controls.build(device)
        for control in self._controls.values():
            self._observe(control)
        self._threshold = Threshold(
            lambda: self.session, self._guard, on_commit=lambda: self._sync_preset(self.experiment)
        )
        self._preset = controls.presets_menu()
        self._preset.observe(self._guard.wrap(self._on_preset), "value")
        self._hint = w.HTML().add_class("explorer-hint")
        actions = {"train": self._train, "pause": self._pause, "stop": self.stop, "reset": self._reset}
        self._button = groups.buttons({name: self._on_click(action) for name, action in actions.items()})

    def _head(self) -> w.Widget:
        self._progress = w.FloatProgress(min=0, max=1).add_class("explorer-progress")
        self._status = w.HTML().add_class("explorer-status")
        self._history = HistorySlider(lambda: self.session, self._guard)
        self._past = w.Box([self._history.box]).add_class("explorer-past")  # keeps its place
        return w.VBox([self._status, self._progress, self._past]).add_class("explorer-head")

    def _body(self) -> w.Widget:
        boxes = self._options.boxes
        parts = {
            name: [control.widget, *([boxes[name]] if name in boxes else [])]
            for name, control in self._controls.items()
        }
        self._groups = groups.ControlGroups({**parts, "threshold": [self._threshold.box]})
        row = w.HBox([*self._button.values(), self._gallery.export]).add_class("explorer-buttons")
        self._standalone = {
            **self._button,
            "export": self._gallery.export,
            "preset": self._preset,
            "history": self._past,
            "progress": self._progress,
            "status": self._status,
        }
        side = w.VBox([row, self._preset, self._hint, self._groups.box]).add_class("explorer-controls")
        return w.HBox([side, self._gallery.box]).add_class("explorer-body")

    def _reveal(self, names: Iterable[str], on: bool) -> None:
        options = method_options.option_names()
        allowed = [*self._groups.names, *self._standalone, *self._gallery.tabs, *options]
        for name in names:
            if name not in allowed:
                raise ValueError(registry.unknown("control", name, allowed))
            if name in self._standalone:
                controls.toggle_class(self._standalone[name], "explorer-hidden", not on)
            elif name in self._gallery.tabs:
                self._gallery.reveal(name, on)
            elif name in options:
                self._options.reveal(name, on)
            else:
                self._groups.reveal(name, on)

    # -- from the controls ----------------------------------------------------------------------------

    def _observe(self, control: Control) -> None:
        """Have a control change the Experiment."""

        def on_move(change: Any) -> None:
            if control.name == "device":
                self._change_device(change["new"])
            elif not is_rounding_echo(control.widget, change["new"], control.read(self.experiment)):
                self._change(control.changes(change["new"]))

        control.widget.observe(self._guard.wrap(on_move), "value")

    def _change(self, changes: Changes) -> None:
        changes, remark = with_required_changes(self.experiment, changes)
        changes = {**changes, **keep_sparsity(self.session, changes)}
        self._hint.value = ""
        self.session.set(changes)
        self._sync(self.experiment)
        self._remark(remark)

    def _remark(self, text: str) -> None:
        if text:
            self._hint.value = f"<p>{escape(text)}</p>"

    def _change_device(self, device: str) -> None:
        self.session.close()
        self.session = self._context.session = self._new_session(self.experiment, device)
        self.session.prepare()

    def _on_preset(self, change: Any) -> None:
        if change["new"]:
            preset = PRESETS[change["new"]]
            self._go_to(preset.experiment)
            self._hint.value = f"<p>{escape(preset.commentary)}</p><p><i>{escape(preset.source)}</i></p>"

    def _on_registered(self, axis: str) -> None:
        """Offer a method that somebody has just registered, in a notebook say."""
        control = self._controls.get(axis)
        if control is not None:
            name = control.widget.value
            with self._guard.muted():
                control.widget.options = tuple(dict.fromkeys([*controls.menu_names(axis), name]))
                control.widget.value = name

    def _on_click(self, action: Callable[[], object]) -> Callable[[Any], None]:
        return self._guard.wrap(lambda _: action())

    def _train(self) -> None:
        self._threshold.release()
        self.session.start(self.experiment)

    def _pause(self) -> None:
        if self.session.status == "paused":
            self.session.resume()
        else:
            self.session.pause()

    def _reset(self) -> None:
        self._hint.value = ""
        self._sync(self._first)
        self.session.reset(self._first)

    # -- to the controls ------------------------------------------------------------------------------

    def _go_to(self, experiment: Experiment) -> None:
        """Move everything to an Experiment; begin anew if a run is under way."""
        with self._guard.lock:
            self._guard.clear()
            self._sync(experiment)
            (self.session.start if self.session.status in ACTIVE else self.session.reset)(experiment)

    def _commit_threshold(self, threshold: float) -> None:
        """Move the slider to a threshold and let it go there."""
        self._threshold.commit(threshold)
        self._sync(self.experiment)

    def _restore(self, saved: SavedRun) -> None:
        """Show a run again that was saved, and move the controls to it."""
        self._sync(saved.snapshot.lanes[0].experiment)
        self.session.restore(saved)

    def _sync(self, experiment: Experiment) -> None:
        """Move every control to the Experiment, without hearing itself."""
        with self._guard.muted():
            for control in self._controls.values():
                control.sync(experiment)
            self._options.sync(experiment)
            self._threshold.sync(experiment)
            self._sync_preset(experiment)

    def _sync_preset(self, experiment: Experiment) -> None:
        """Take a preset's name and commentary away where the controls are no longer at it."""
        if self._preset.value and PRESETS[self._preset.value].experiment != experiment:
            self._preset.value = self._hint.value = ""

    # -- from the worker ------------------------------------------------------------------------------

    def _on_frame(self, frame: Frame) -> None:
        self._good = frame.trainer.lanes[0].experiment
        self._tag += 1
        with self._guard.muted():  # the run moves widgets here, and no hand
            self._controls["validation"].adapt(self._good)  # its data set is known by now
            self._gallery.draw(frame, self._tag)
            self._progress.value = status_line.progress(frame)
            self._history.sync(frame)
            self._status.value = status_line.line(frame)
        paused = frame.status == "paused"
        self._button["pause"].description = groups.RESUME if paused else groups.BUTTONS["pause"][0]
        self._button["pause"].disabled = self._button["stop"].disabled = frame.status not in ACTIVE
        if frame.advice:
            self._guard.tell(frame.advice)

    def _on_error(self, error: Exception) -> None:
        """Tell what went wrong, and go back to what last worked."""
        self._guard.tell(error)
        if self.session.experiment != self._good:
            self.session.experiment = self._good
            self._sync(self._good)
            self.session.prepare()


def _parts_of(widget: w.Widget) -> Iterator[w.Widget]:
    """Yield all widgets that a widget is made of: ipywidgets keeps each of them until it is closed itself."""
    for child in getattr(widget, "children", ()):
        yield from _parts_of(child)
        yield child
    for name in ("layout", "style"):
        if isinstance(part := getattr(widget, name, None), w.Widget):
            yield part
