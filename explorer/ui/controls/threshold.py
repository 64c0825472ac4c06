"""The threshold's slider: tried out while it is dragged, set when it is let go."""

import math
import threading
from collections.abc import Callable
from typing import TypeAlias

import ipywidgets as w

from explorer import registry
from explorer.experiment import Experiment
from explorer.ui.controls import labels
from explorer.ui.controls.controls import label_widget
from explorer.ui.controls.guard import Guard
from explorer.ui.session.session import Session

SHARE_LABEL = "Threshold (%)"  # its field takes what is typed as it stands there
# Steps of the sliders: coarse, and for what lies between; percent, and decades
SHARE_STEPS, SCORE_STEPS = (0.5, 0.01), (0.02, 0.0001)
RELEASE_SECONDS = 0.6  # a threshold that rests this long was let go, where the page can't say so

Slider: TypeAlias = w.FloatSlider | w.FloatLogSlider


class Threshold:
    """Two sliders, percent for a share, logarithmic for a score; one of the two is shown.

    Args:
        session: returns the session, which changes with the device.
        guard: wraps the callbacks.
        on_commit: called after a threshold was set.
    """

    def __init__(self, session: Callable[[], Session], guard: Guard, on_commit: Callable[[], object]) -> None:
        self.share = w.FloatSlider(min=0, max=99.5, step=SHARE_STEPS[0], readout_format=".1f")
        self.score = w.FloatLogSlider(min=-8, max=2, step=SCORE_STEPS[0], readout_format=".3g")
        self.pending: float | None = None  # tried out, and not set yet
        self.timer: threading.Timer | None = None
        self._grabbed = False
        self._echo: float | None = None  # what the page may answer with though nobody moved the slider
        self._session, self._guard, self._on_commit = session, guard, on_commit
        label, tooltip = labels.CONTROLS["threshold"]
        for slider, name in ((self.share, SHARE_LABEL), (self.score, label)):
            label_widget(slider, "threshold", name, tooltip)
            slider.observe(guard.wrap(lambda change: self._on_move(change["owner"], change["new"])), "value")
        self.box = w.VBox([self.share, self.score])

    @property
    def slider(self) -> Slider:
        """The slider that is shown."""
        return self.score if self.share.layout.display == "none" else self.share

    def sync(self, experiment: Experiment) -> None:
        """Show the slider of the Experiment's unit at its value."""
        pruning = experiment.pruning
        share = pruning is None or pruning.unit == "sparsity"
        for slider, here in ((self.share, share), (self.score, not share)):
            slider.layout.display = "" if here else "none"
            slider.disabled = pruning is None or fixed(pruning.granularity)
        if pruning is None:
            return
        if share:
            percent = _percent(pruning.threshold)
            self.share.max = max(self.share.max, percent)
            self._place(self.share, percent, _step(percent, SHARE_STEPS))
        else:
            score = _within(pruning.threshold)
            self._place(self.score, score, _step(math.log10(score), SCORE_STEPS))

    def on_page_event(self, what: str, values: list[float]) -> None:
        """Hear of a "grab" or "release" on the page, with the values that the two sliders have there."""
        self._grabbed, self._echo = what == "grab", None
        if what == "release":
            self._guard.wrap(lambda _: self._let_go(*values))(None)

    def release(self) -> None:
        """Set the threshold that was tried out, unless the slider is still held."""
        if self._grabbed:
            return
        self.close()
        threshold, self.pending = self.pending, None
        if threshold is not None:
            self._session().set({"pruning.threshold": threshold})
            self._on_commit()

    def commit(self, threshold: float) -> None:
        """Set a threshold, as if the slider were let go there."""
        self._grabbed = False
        self._preview(threshold)
        self.release()

    def close(self) -> None:
        """End the waiting."""
        if self.timer is not None:
            self.timer.cancel()

    def _preview(self, threshold: float) -> None:
        self._session().preview(threshold)
        self.pending = threshold

    def _on_move(self, slider: Slider, value: float) -> None:
        threshold = self._threshold_of(slider, value)
        before = self._committed() if self.pending is None else self.pending
        if threshold == before or self._is_echo(threshold):
            return  # the page's echo of what it was told
        self._preview(threshold)
        self._start_release_timer()

    def _let_go(self, share: float, score: float) -> None:
        """Take the value that the slider has on the page, whose own message may still be on its way."""
        slider, value = (self.share, share) if self.slider is self.share else (self.score, score)
        if value != slider.value:
            self._on_move(slider, value)
        self.release()

    def _committed(self) -> float | None:
        """Return the threshold that is set; None where there is none."""
        pruning = self._session().experiment.pruning
        return pruning.threshold if pruning else None

    def _threshold_of(self, slider: Slider, value: float) -> float:
        """Return the threshold that a slider's value stands for."""
        return float(f"{value / 100 if slider is self.share else value:.4g}")

    def _place(self, slider: Slider, value: float, step: float) -> None:
        """Move a slider; its step comes first, as the page rounds to it, and echoes the value it had."""
        self._echo = self._threshold_of(slider, slider.value) if slider.step != step else None
        slider.step = step
        slider.value = value

    def _is_echo(self, threshold: float) -> bool:
        """Return whether this is only the threshold that is set, as the page rounds it to the steps."""
        before = self._committed()
        if self._grabbed or self.pending is not None or before is None:
            return False
        if threshold == self._echo:
            self._echo = None
            return True
        now, then, steps = _percent(threshold), _percent(before), SHARE_STEPS
        if self.slider is self.score:
            now, then, steps = math.log10(_within(threshold)), math.log10(_within(before)), SCORE_STEPS
        return _step(then, steps) != steps[0] and abs(now - then) <= 0.501 * steps[0]

    def _start_release_timer(self) -> None:
        """Count a threshold as let go when it rests; the page says so sooner where it can."""
        self.close()
        self.timer = threading.Timer(RELEASE_SECONDS, self._guard.wrap(lambda _: self.release()), (None,))
        self.timer.daemon = True
        self.timer.start()


def fixed(granularity: str) -> bool:
    """Return whether the granularity's own options say how much falls."""
    return registry.get("granularity", granularity).traits.threshold is not None


def _within(score: float) -> float:
    """Return a score that the slider can show."""
    return min(max(score, 1e-8), 100.0)


def _step(position: float, steps: tuple[float, float]) -> float:
    """Return the coarse step where it leads to a position, else the fine one: the page rounds to it."""
    places = position / steps[0]
    return steps[0] if abs(places - round(places)) < 1e-6 else steps[1]


def _percent(share: float) -> float:
    return float(f"{100 * share:.12g}")  # 57 % is not 56.99999999999999
