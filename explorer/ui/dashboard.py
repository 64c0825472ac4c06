"""Explorer: the widget. Controls on the left, live charts on the right, one status line below."""

import threading
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from explorer import presets, registry
from explorer.engine.run import Run
from explorer.engine.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui import controls, status
from explorer.ui.frames import Frame
from explorer.ui.gallery import Gallery
from explorer.ui.session import ACTIVE, Session
from explorer.ui.tabs import Context

BUTTONS = {
    "train": ("Train", "Train from the beginning"),
    "pause": ("Pause", "Hold between two steps; the result stays the same"),
    "stop": ("Stop", "End the run; what there is stays"),
    "reset": ("Reset", "Back to the first settings and an untrained network"),
}
SWITCHED = "{criterion} scores whole units, so granularity is now {granularity}."
RELEASE_SECONDS = 0.6  # a threshold that rests this long was let go, where the page can't say so
CSS = (Path(__file__).parent / "dashboard.css").read_text(encoding="utf-8")


class Explorer(w.VBox):
    """The live pruning explorer.

    Args:
        experiment: where the controls stand at first: an Experiment or a preset's name.
        device: "auto", "cpu" or "cuda".
        twin: train the dense twin beside each pruned run.
    """

    def __init__(
        self, experiment: Experiment | str | None = None, device: str = "auto", twin: bool = True
    ) -> None:
        self._first = _start(experiment)
        self._twin, self._tag, self._held = twin, 0, False
        self._timer: threading.Timer | None = None
        self._quiet = False
        self._controls = controls.build(device)
        self._threshold = controls.Threshold(self._on_threshold)
        self._preset = controls.presets_menu()
        self._preset.observe(self._guarded(self._on_preset), "value")
        self.session = self._session(device)
        self._context = Context(self.session, self._go_to, self._on_error, self._guarded)
        self._gallery = Gallery(self._context)
        self._chart = self._gallery.chart
        self._chart.on_release(self._on_release, (self._threshold.share, self._threshold.score))
        super().__init__([w.HTML(f"<style>{CSS}</style>"), self._body(), self._foot()])
        self.add_class("explorer")
        for control in self._controls.values():
            control.widget.observe(self._moved(control), "value")
        self._show(self._first)
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
    def tab(self) -> str:
        """The name of the tab that is shown; settable."""
        return self._gallery.selected

    @tab.setter
    def tab(self, name: str) -> None:
        self._gallery.selected = name

    def _go_to(self, experiment: Experiment) -> None:
        active = self.session.status in ACTIVE
        self._show(experiment)
        if active:
            self.session.start(experiment)
        else:
            self.session.reset(experiment)

    @property
    def run(self) -> Run:
        """The run as it is now."""
        return self.session.run

    def wait(self, timeout: float | None = None) -> Run:
        """Waits for the run to end and returns it."""
        return self.session.wait(timeout)

    def stop(self) -> None:
        """Ends the run."""
        self.session.stop()

    def close(self) -> None:
        """Ends the session and takes the widget off the page."""
        if "session" in vars(self):  # else it was refused before it had any parts
            if self._timer is not None:
                self._timer.cancel()
            self._gallery.close()
            self.session.close()
            for part in _parts(self):
                part.close()
        super().close()

    # -- the parts ------------------------------------------------------------------------------------

    def _session(self, device: str) -> Session:
        return Session(self._first, device, self._twin, on_frame=self._on_frame, on_error=self._on_error)

    def _body(self) -> w.Widget:
        groups = []
        for title, names in controls.GROUPS.items():
            parts = [self._threshold.box if n == "threshold" else self._controls[n].widget for n in names]
            groups.append(w.VBox([w.HTML(f"<h4>{title}</h4>"), *parts]))
        self._hint = w.HTML().add_class("explorer-hint")
        side = w.VBox([self._buttons(), self._preset, *groups, self._hint]).add_class("explorer-controls")
        return w.HBox([side, self._gallery.box]).add_class("explorer-body")

    def _buttons(self) -> w.Widget:
        self._button: dict[str, w.Button] = {}
        for name, (label, tip) in BUTTONS.items():
            button = w.Button(description=label, tooltip=tip).add_class(f"explorer-{name}")
            button.on_click(self._guarded(lambda _, act=f"_on_{name}": getattr(self, act)()))
            self._button[name] = button
        self._button["train"].button_style = "primary"
        return w.HBox(list(self._button.values())).add_class("explorer-buttons")

    def _foot(self) -> w.Widget:
        self._progress = w.FloatProgress(min=0, max=1).add_class("explorer-progress")
        self._status = w.HTML().add_class("explorer-status")
        self._error = w.HTML().add_class("explorer-error")
        return w.VBox([self._progress, self._status, self._error]).add_class("explorer-foot")

    # -- from the controls ----------------------------------------------------------------------------

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """A callback whose errors are told in the error box, not lost in a log."""

        def guarded(change: Any) -> None:
            if self._quiet:
                return
            try:
                callback(change)
            except Exception as error:  # noqa: BLE001  whatever it is, the person at the slider must see it
                self._on_error(error)
                self._show(self.experiment)
            else:
                self._error.value = ""

        return guarded

    def _moved(self, control: controls.Control) -> Callable[[Any], None]:
        def moved(change: Any) -> None:
            if control.name == "device":
                self._change_device(change["new"])
                return
            changes = self._together(control.changes(change["new"]))
            self.session.set(changes)
            self._preset.value = ""
            self._show(self.experiment)

        return self._guarded(moved)

    def _on_registered(self, axis: str) -> None:
        """Offers a method that somebody has just registered, in a notebook say."""
        control = self._controls.get(axis)
        if control is not None:
            chosen = control.widget.value
            self._quiet = True
            control.widget.options = tuple(dict.fromkeys([*controls.names(axis), chosen]))
            control.widget.value = chosen
            self._quiet = False

    def _on_preset(self, change: Any) -> None:
        if not change["new"]:
            return
        preset = presets[change["new"]]
        self.experiment = preset.experiment
        self._hint.value = f"<p>{escape(preset.commentary)}</p><p><i>{escape(preset.source)}</i></p>"

    def _together(self, changes: controls.Changes) -> controls.Changes:
        """Adds what has to change with it: the granularity of a criterion that scores whole units."""
        self._hint.value = ""
        criterion, pruning = changes.get("pruning.criterion"), self.experiment.pruning
        only = criterion and registry.get("criterion", criterion).traits.get("granularity")
        if only and pruning is not None and pruning.granularity not in only:
            self._hint.value = SWITCHED.format(criterion=criterion, granularity=only[0])
            changes = {**changes, "pruning.granularity": only[0]}
        return {**changes, **self._same_sparsity(changes)}

    def _same_sparsity(self, changes: controls.Changes) -> controls.Changes:
        """The threshold that prunes as much as before, where the unit or the score changes its meaning."""
        if not {"pruning.unit", "pruning.criterion"} & set(changes) or self.experiment.pruning is None:
            return {}
        before = self.experiment
        if "pruning.unit" not in changes and before.pruning.unit == "sparsity":
            return {}
        after = before.replace({**changes, "pruning.threshold": 0.0})

        def equivalent(trainer: Trainer) -> float:
            view, _ = trainer.source()
            return trainer.pruner.equivalent(view, before, after)

        digits = 4 if after.pruning.unit == "sparsity" else 7  # a score's are those of a float32
        return {"pruning.threshold": float(f"{self.session.call(equivalent).result(5):.{digits}g}")}

    def _change_device(self, device: str) -> None:
        experiment = self.experiment
        self.session.close()
        self.session = self._context.session = self._session(device)
        self.session.experiment = experiment
        self.session.prepare()

    def _on_threshold(self, value: float) -> None:
        def moved(_: Any) -> None:
            pruning = self.experiment.pruning
            if pruning is None or value == (pruning.threshold if self._wanted is None else self._wanted):
                return  # the page's echo of what it was told
            self.session.preview(value)
            self._wanted = value
            self._rest()

        self._guarded(moved)(None)

    def _rest(self) -> None:
        """Counts a threshold as let go when it rests; the page says so sooner where it can."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(RELEASE_SECONDS, self._guarded(lambda _: self._release()), (None,))
        self._timer.daemon = True
        self._timer.start()

    def _on_release(self, what: str, values: list[float]) -> None:
        self._held = what == "grab"
        if what == "release":
            self._threshold.settle(*values)  # the slider's own last message may still be on its way
            self._guarded(lambda _: self._release())(None)

    def _release(self) -> None:
        if self._held:
            return
        if self._timer is not None:
            self._timer.cancel()
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self.session.set({"pruning.threshold": wanted})

    _wanted: float | None = None

    def _on_train(self) -> None:
        self._release()
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
        self._preset.value = ""
        self._show(self._first)
        self.session.reset(self._first)

    # -- to the page ----------------------------------------------------------------------------------

    def _show(self, experiment: Experiment) -> None:
        """Moves every control to the Experiment, without hearing itself."""
        self._quiet = True
        try:
            for control in self._controls.values():
                control.show(experiment)
            self._threshold.show(experiment)
        finally:
            self._quiet = False

    def _on_frame(self, frame: Frame) -> None:
        self._tag += 1
        self._gallery.draw(frame, self._tag)
        self._progress.value = status.progress(frame)
        self._tell(frame)

    def _tell(self, frame: Frame) -> None:
        self._status.value = status.line(frame)
        paused = frame.status == "paused"
        self._button["pause"].description = "Resume" if paused else "Pause"
        self._button["pause"].disabled = self._button["stop"].disabled = frame.status not in ACTIVE
        if frame.advice:
            self._error.value = _alert(frame.advice)

    def _on_error(self, error: Exception) -> None:
        advice = "" if isinstance(error, ValueError) else " Press Reset; if it comes again, please report it."
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        self._error.value = _alert(f"{kind}{error}.{advice}".replace("..", "."))


def _parts(widget: w.Widget) -> Iterator[w.Widget]:
    """All widgets that a widget is made of: ipywidgets keeps each of them until it is closed itself."""
    for child in getattr(widget, "children", ()):
        yield from _parts(child)
        yield child
    for name in ("layout", "style"):
        if isinstance(part := getattr(widget, name, None), w.Widget):
            yield part


def _start(experiment: Experiment | str | None) -> Experiment:
    if isinstance(experiment, str):
        if experiment not in presets:
            raise ValueError(registry.unknown("preset", experiment, presets))
        return presets[experiment].experiment
    if not isinstance(experiment, Experiment | None):
        raise ValueError(
            f"experiment = {experiment!r}: give an explorer.Experiment, a preset's name, or nothing"
        )
    return experiment or Experiment()


def _alert(text: str) -> str:
    return f'<div role="alert">{escape(text)}</div>'
