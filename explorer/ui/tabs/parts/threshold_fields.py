"""The threshold in all its units: a row of fields, each of which sets it."""

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from explorer.engine.analysis.threshold_units import ThresholdConverter, ThresholdRange
from explorer.experiment import Pruning
from explorer.ui.controls.threshold import fixed
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import Session
from explorer.ui.session.snapshots import as_of
from explorer.ui.session.throttle import Throttle

# Every string that a person reads here; the sentences with numbers in them stand below.
LABELS = {
    "score": "Score",
    "std": "k · std",
    "mean": "k · mean",
    "percentile": "Percentile",
    "sparsity": "Sparsity",
    "compression": "Compression",
}
WEIGHT = "|w|"  # where the score is the weight's size
TIPS = {
    "score": "What scores less than this falls.",
    "std": "The cut-off over the layer's standard deviation: of weights for magnitude, else of scores.",
    "mean": "The cut-off over the layer's mean score.",
    "percentile": "The share of units that fall: of weights, neurons or filters.",
    "sparsity": "The share of all prunable weights that fall.",
    "compression": "Prunable weights over kept weights.",
}
EDIT = "Type another value and press Enter: it sets the threshold, as letting the slider go does."
ONE_FOR_ALL = "One number here becomes one cut-off for all layers."
USED = "This is the unit in use."
NOT_HERE = "This has no meaning with the method chosen, or waits for its scores."
EXAMPLES = {"percentile": "90 %", "sparsity": "90 %", "compression": "10 ×"}
PLAIN_EXAMPLE = "0.05"
NOTHING = "–"
THEN = "It is shown as it was; press “Back to now” to set another one."
NO_PRUNING = "This run prunes nothing, so there is no threshold."

SIGNS = {"percentile": (100, " %"), "sparsity": (100, " %"), "compression": (1, " ×")}
SECONDS = 0.5  # between two looks at weights that are still being trained
SHARE = 0.02  # of the time may go into these looks
PATIENCE = 20  # seconds


class ThresholdFields:
    """A field for each unit of the threshold, and a sentence that says whose weights they are about.

    Args:
        session: gives the session, which changes with the device.
        guarded: wraps a callback so that its errors are told.
        commit: sets the threshold, as letting its slider go does.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        guarded: Callable[[Callable[[Any], None]], Callable[[Any], None]],
        commit: Callable[[float], None],
    ) -> None:
        self._session, self._guarded, self._commit = session, guarded, commit
        self.fields = {name: self._field(name) for name in LABELS}
        self.source_text = w.HTML().add_class("explorer-as-told")
        self.box = w.HBox(list(self.fields.values())).add_class("explorer-currencies")
        self._mine = threading.local()  # `quiet` in the thread that fills the fields
        self._converter: ThresholdConverter | None = None
        self._step = 0  # of the weights that it is about
        self._throttle = Throttle(SECONDS, SHARE)
        self._contents: tuple[ThresholdConverter, float, bool] | None = None  # of the fields

    def _field(self, name: str) -> w.Text:
        field = w.Text(description=LABELS[name], continuous_update=False)
        field.add_class("explorer-as").add_class(f"explorer-as-{name}")
        typed = self._guarded(lambda change: self._on_typed(name, change["new"]))
        # not heard while it is filled: who holds the lock of guarded callbacks may be waiting for this thread
        field.observe(lambda change: None if getattr(self._mine, "quiet", False) else typed(change), "value")
        return field

    # -- filled by the worker -------------------------------------------------------------------------

    def release(self) -> None:
        """Let go of the weights."""
        self._converter, self._contents = None, None
        self._throttle.reset()

    def draw(self, frame: Frame) -> None:
        """Fill the fields with the threshold of a frame in each unit."""
        pruning, past = frame.lanes[0].experiment.pruning, frame.viewed_step is not None
        if pruning is None:
            self._fill({}, None, past=past)
            self._contents = None
            self.source_text.value = f"<p>{NO_PRUNING}</p>"
            return
        converter = self._convert(frame, pruning)
        threshold = pruning.threshold if frame.preview is None else frame.preview
        if (converter, threshold, past) != self._contents:
            ranges = converter.in_all_units(threshold, None if frame.preview is None else frame.decision)
            self._fill(ranges, converter.pruning, past=past)
            self._contents = converter, threshold, past
        self.source_text.value = f"<p>{as_of(frame)}{_source(frame, self._step)}</p>"

    def _convert(self, frame: Frame, pruning: Pruning) -> ThresholdConverter:
        """Return the converter, made anew for another pruning, and seldom where only the weights moved."""
        trainer, (_, step) = frame.trainer, frame.trainer.prune_base(frame.snapshot)
        key = (
            tuple(trainer.observer.edges),
            id(frame.pre_prune),
            pruning.model_copy(update={"threshold": 0.0}),
        )
        drift, training = (id(trainer), step), frame.status == "training" and frame.viewed_step is None
        if self._converter is None or self._throttle.due(key, drift, pause=training):
            with self._throttle.work(key, drift):
                self._converter, self._step = ThresholdConverter.of(trainer, point=frame.snapshot), step
        return self._converter

    def _fill(self, ranges: dict[str, ThresholdRange], pruning: Pruning | None, *, past: bool) -> None:
        self._mine.quiet = True
        try:
            for name, field in self.fields.items():
                _fill_field(field, name, ranges.get(name), pruning, past=past)
        finally:
            self._mine.quiet = False

    # -- from the fields ------------------------------------------------------------------------------

    def _on_typed(self, name: str, text: str) -> None:
        """Set the threshold to what was typed into a field."""
        session = self._session()
        try:
            value, experiment = parse(name, text), session.experiment
            in_use = session.call(lambda t: ThresholdConverter.of(t, experiment).threshold(name, value))
            self._commit(in_use.result(PATIENCE))
        finally:
            self._contents = None
            session.refresh()  # what was typed gives way to what it came to


def parse(name: str, text: str) -> float:
    """Return what was typed as a number; raise ValueError with an example where it is none."""
    factor, _ = SIGNS.get(name, (1, ""))
    bare = text.replace("−", "-").replace(",", ".").strip().rstrip("%×x").strip()
    try:
        return float(f"{float(bare) / factor:.12g}")  # 91.3 % is 0.913, not 0.9129999999999999
    except ValueError:
        example = EXAMPLES.get(name, PLAIN_EXAMPLE)
        raise ValueError(f"{LABELS[name].lower()} = {text!r}: type a number, such as {example}") from None


def format_range(name: str, threshold: ThresholdRange | None) -> str:
    """Return a threshold as text: all digits that it takes to cut the same weights; of a range, three."""
    if threshold is None:
        return NOTHING
    factor, sign = SIGNS.get(name, (1, ""))
    if threshold.one:
        return f"{factor * threshold.low:.9g}{sign}"
    return f"{threshold.low:.3g} – {threshold.high:.3g}"


def cuts_weights(pruning: Pruning | None) -> bool:
    """Return whether no score but a weight's own size decides, so that the threshold is a size of weights."""
    return pruning is None or (pruning.criterion, pruning.granularity) == ("magnitude", "weight")


def _fill_field(
    field: w.Text, name: str, threshold: ThresholdRange | None, pruning: Pruning | None, *, past: bool
) -> None:
    field.value = format_range(name, threshold)
    field.disabled = past or threshold is None or pruning is None or fixed(pruning.granularity)
    if pruning is None:
        return
    used = name == ("percentile" if pruning.unit == "sparsity" else pruning.unit)
    field.description = WEIGHT if name == "score" and cuts_weights(pruning) else LABELS[name]
    field.tooltip = _tooltip(name, threshold, used=used, past=past)
    (field.add_class if used else field.remove_class)("explorer-as-used")


# -- sentences ----------------------------------------------------------------------------------------


def _tooltip(name: str, threshold: ThresholdRange | None, *, used: bool, past: bool) -> str:
    if threshold is None:
        return f"{TIPS[name]} {NOT_HERE}"
    layers = f"The smallest and the largest of the layers: {format_range(name, threshold)}. {ONE_FOR_ALL}"
    parts = TIPS[name], "" if threshold.one else layers, USED if used else "", THEN if past else EDIT
    return " ".join(filter(None, parts))


def _source(frame: Frame, step: int) -> str:
    """Say which weights a threshold would cut."""
    epoch = f"{step / frame.trainer.per_epoch:.3g}"
    if frame.pre_prune is None:
        return f"Cut-offs are those of the weights at epoch {epoch}."
    return f"Cut-offs are those of the weights just before the first prune event, epoch {epoch}."
