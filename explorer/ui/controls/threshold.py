"""The threshold's slider: tried out while it is dragged, set when it is let go."""

import math
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from explorer import registry
from explorer.experiment import Experiment
from explorer.ui.controls.controls import dress

SHARE_LABEL = "Threshold (%)"  # its field takes what is typed as it stands there
# Steps of the sliders: coarse, and for what lies between; percent, and decades
SHARE_STEPS, SCORE_STEPS = (0.5, 0.01), (0.02, 0.0001)
RELEASE_SECONDS = 0.6  # a threshold that rests this long was let go, where the page can't say so


class Threshold:
    """Two sliders, percent for a share, logarithmic for a score; one of the two is shown.

    Args:
        guarded: wraps a callback so that its errors are told, and moves made by code are not heard.
        present: the threshold that is set; None where there is none.
        attempt: tries a threshold out.
        settle: sets it.
    """

    def __init__(
        self,
        guarded: Callable[[Callable[[Any], None]], Callable[[Any], None]],
        present: Callable[[], float | None],
        attempt: Callable[[float], None],
        settle: Callable[[float], None],
    ) -> None:
        self.share = w.FloatSlider(min=0, max=99.5, step=SHARE_STEPS[0], readout_format=".1f")
        self.score = w.FloatLogSlider(min=-8, max=2, step=SCORE_STEPS[0], readout_format=".3g")
        self.wanted: float | None = None  # tried out, and not set yet
        self.timer: threading.Timer | None = None
        self._held = False
        self._echo: float | None = None  # what the page may answer with though nobody moved the slider
        self._guarded, self._present, self._attempt, self._settle = guarded, present, attempt, settle
        for slider, label in ((self.share, SHARE_LABEL), (self.score, "")):
            dress(slider, "threshold", label)
            moved = guarded(lambda change: self._move(self._says(change["owner"], change["new"])))
            slider.observe(moved, "value")
        self.box = w.VBox([self.share, self.score])

    def show(self, experiment: Experiment) -> None:
        """Shows the slider of the Experiment's unit at its value."""
        pruning = experiment.pruning
        share = pruning is None or pruning.unit == "sparsity"
        for slider, shown in ((self.share, share), (self.score, not share)):
            slider.layout.display = "" if shown else "none"
            slider.disabled = pruning is None or fixed(pruning.granularity)
        if pruning is None:
            return
        if share:
            percent = _percent(pruning.threshold)
            self.share.max = max(self.share.max, percent)
            self._place(self.share, percent, _step(percent, SHARE_STEPS))
        else:
            value = _within(pruning.threshold)
            self._place(self.score, value, _step(math.log10(value), SCORE_STEPS))

    def _place(self, slider: w.FloatSlider | w.FloatLogSlider, value: float, step: float) -> None:
        """Moves a slider; its step comes first, as the page rounds to it, and echoes the value it had."""
        self._echo = self._says(slider, slider.value) if slider.step != step else None
        slider.step = step
        slider.value = value

    def _says(self, slider: w.FloatSlider | w.FloatLogSlider, value: float) -> float:
        """The threshold that a slider's value stands for."""
        return _rounded(value / 100 if slider is self.share else value)

    def hear(self, what: str, values: list[float]) -> None:
        """What the page says of the sliders: "grab" or "release", with the values that they have there."""
        self._held, self._echo = what == "grab", None
        if what == "release":
            self._guarded(lambda _: self._let_go(*values))(None)

    def release(self) -> None:
        """Sets the threshold that was tried out, unless it is still held."""
        if self._held:
            return
        self.close()
        wanted, self.wanted = self.wanted, None
        if wanted is not None:
            self._settle(wanted)

    def go(self, value: float) -> None:
        """Tries a threshold out and sets it, as if the slider were let go there."""
        self._held = False
        self._attempt(value)
        self.wanted = value
        self.release()

    def close(self) -> None:
        """Ends the waiting."""
        if self.timer is not None:
            self.timer.cancel()

    def _move(self, value: float) -> None:
        if value == (self._present() if self.wanted is None else self.wanted) or self._rounds(value):
            return  # the page's echo of what it was told
        self._attempt(value)
        self.wanted = value
        self._rest()

    def _rounds(self, value: float) -> bool:
        """Whether this is only the threshold that is set, as the page puts it onto the slider's steps."""
        present = self._present()
        if self._held or self.wanted is not None or present is None:
            return False
        if value == self._echo:
            self._echo = None
            return True
        now, then, steps = _percent(value), _percent(present), SHARE_STEPS
        if self.share.layout.display == "none":
            now, then, steps = math.log10(_within(value)), math.log10(_within(present)), SCORE_STEPS
        return _step(then, steps) != steps[0] and abs(now - then) <= 0.501 * steps[0]

    def _rest(self) -> None:
        """Counts a threshold as let go when it rests; the page says so sooner where it can."""
        self.close()
        self.timer = threading.Timer(RELEASE_SECONDS, self._guarded(lambda _: self.release()), (None,))
        self.timer.daemon = True
        self.timer.start()

    def _let_go(self, share: float, score: float) -> None:
        """Takes the value that the slider has on the page, whose own message may still be on its way."""
        hidden = self.share.layout.display == "none"
        slider, value = (self.score, score) if hidden else (self.share, share)
        if value != slider.value:
            self._move(self._says(slider, value))
        self.release()


def fixed(granularity: str) -> bool:
    """Whether the granularity's own options say how much falls."""
    return registry.get("granularity", granularity).traits.threshold is not None


def _within(score: float) -> float:
    """A score that the slider can show."""
    return min(max(score, 1e-8), 100.0)


def _step(position: float, steps: tuple[float, float]) -> float:
    """The coarse step where it leads to a position, else the fine one: the page rounds what lies between."""
    places = position / steps[0]
    return steps[0] if abs(places - round(places)) < 1e-6 else steps[1]


def _percent(share: float) -> float:
    return float(f"{100 * share:.12g}")  # 57 % is not 56.99999999999999


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
