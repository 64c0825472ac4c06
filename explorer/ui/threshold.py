"""The threshold's slider: tried out while it is dragged, set when it is let go."""

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from explorer import registry
from explorer.experiment import Experiment
from explorer.ui.controls import dress

RELEASE_SECONDS = 0.6  # a threshold that rests this long was let go, where the page can't say so


class Threshold:
    """Two sliders, even for a share, logarithmic for a score; one of the two is shown.

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
        self.share = w.FloatSlider(min=0, max=0.995, step=0.005, readout_format=".1%")
        self.score = w.FloatLogSlider(min=-8, max=2, step=0.02, readout_format=".3g")
        self.wanted: float | None = None  # tried out, and not set yet
        self.timer: threading.Timer | None = None
        self._held = False
        self._guarded, self._present, self._attempt, self._settle = guarded, present, attempt, settle
        for slider in (self.share, self.score):
            dress(slider, "threshold")
            slider.observe(guarded(lambda change: self._move(_rounded(change["new"]))), "value")
        self.box = w.VBox([self.share, self.score])

    def show(self, experiment: Experiment) -> None:
        """Shows the slider of the Experiment's unit at its value."""
        pruning = experiment.pruning
        share = pruning is None or pruning.unit == "sparsity"
        for slider, shown in ((self.share, share), (self.score, not share)):
            slider.layout.display = "" if shown else "none"
            slider.disabled = pruning is None or _fixed(pruning.granularity)
        if pruning is None:
            return
        if share:
            self.share.max = max(self.share.max, pruning.threshold)
            self.share.value = pruning.threshold
        else:
            self.score.value = min(max(pruning.threshold, 1e-8), 100.0)

    def hear(self, what: str, values: list[float]) -> None:
        """What the page says of the sliders: "grab" or "release", with the values that they have there."""
        self._held = what == "grab"
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

    def close(self) -> None:
        """Ends the waiting."""
        if self.timer is not None:
            self.timer.cancel()

    def _move(self, value: float) -> None:
        if value == (self._present() if self.wanted is None else self.wanted):
            return  # the page's echo of what it was told
        self._attempt(value)
        self.wanted = value
        self._rest()

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
            self._move(_rounded(value))
        self.release()


def _fixed(granularity: str) -> bool:
    """Whether the granularity's own options say how much falls."""
    return "threshold" in registry.get("granularity", granularity).traits


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
