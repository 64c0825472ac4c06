"""The threshold in all its currencies: a row of fields, each of which sets it."""

import time
from collections.abc import Hashable
from typing import TYPE_CHECKING

import ipywidgets as w

from explorer.engine.analysis.threshold_units import ThresholdConverter, ThresholdRange
from explorer.experiment import Pruning
from explorer.ui.controls.threshold import fixed
from explorer.ui.session.frames import Frame
from explorer.ui.session.snapshots import as_of

if TYPE_CHECKING:  # the tabs import this
    from explorer.ui.tabs.tab import Context

# Every string that a person reads here.
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
RANGE = "The smallest and the largest of the layers: {}. One number here becomes one cut-off for all layers."
USED = "This is the unit in use."
NOT_HERE = "This has no meaning with the method chosen, or waits for its scores."
NO_NUMBER = "{} = {!r}: type a number, such as {}"
EXAMPLES = {"percentile": "90 %", "sparsity": "90 %", "compression": "10 ×"}
PLAIN_EXAMPLE = "0.05"
NOTHING = "–"
OF_PRESENT = "Cut-offs are those of the weights at epoch {:.3g}."
OF_BRINK = "Cut-offs are those of the weights just before the first prune event, epoch {:.3g}."
THEN = "It is shown as it was; press “Back to now” to set another one."
NO_PRUNING = "This run prunes nothing, so there is no threshold."

SIGNS = {"percentile": (100, " %"), "sparsity": (100, " %"), "compression": (1, " ×")}
SECONDS = 0.5  # between two looks at weights that are still being trained
SHARE = 0.02  # of the time may go into these looks
PATIENCE = 20  # seconds


class ThresholdFields:
    """The fields, the sentence below them, and the rates by which they are filled."""

    def __init__(self, context: "Context") -> None:
        self.context = context
        self.fields = {name: self._field(name) for name in LABELS}
        self.told = w.HTML().add_class("explorer-as-told")
        self.box = w.HBox(list(self.fields.values())).add_class("explorer-currencies")
        self._exchange: ThresholdConverter | None = None
        self._key: Hashable = None
        self._shown: tuple[ThresholdConverter, float, bool] | None = None
        self._at = 0, 0  # whose weights and of which step the rates are
        self._looked = self._cost = 0.0

    def _field(self, name: str) -> w.Text:
        field = w.Text(description=LABELS[name], continuous_update=False)
        field.add_class("explorer-as").add_class(f"explorer-as-{name}")
        # not heard while a frame fills it: the guard is muted then
        field.observe(self.context.guarded(lambda change: self._typed(name, change["new"])), "value")
        return field

    # -- filled by the worker -------------------------------------------------------------------------

    def forget(self) -> None:
        """Lets go of the weights."""
        self._exchange, self._key, self._shown = None, None, None

    def draw(self, frame: Frame) -> None:
        """Fills the fields with what the threshold of a frame is worth."""
        pruning, past = frame.lanes[0].experiment.pruning, frame.viewed_step is not None
        if pruning is None:
            self._fill({}, None, past=past)
            self._shown = None
            self.told.value = f"<p>{NO_PRUNING}</p>"
            return
        exchange = self._rates(frame, pruning)
        tried = frame.preview is not None
        threshold = frame.preview if frame.preview is not None else pruning.threshold
        if (exchange, threshold, past) != self._shown:
            worth = exchange.in_all_units(threshold, frame.decision if tried else None)
            self._fill(worth, exchange.pruning, past=past)
            self._shown = exchange, threshold, past
        source = OF_PRESENT if frame.pre_prune is None else OF_BRINK
        told = source.format(self._at[1] / frame.trainer.per_epoch)
        self.told.value = f"<p>{as_of(frame)}{told}</p>"

    def _rates(self, frame: Frame, pruning: Pruning) -> ThresholdConverter:
        """The rates, taken anew where the pruning is another one, and seldom where only the weights moved."""
        trainer, started = frame.trainer, time.perf_counter()
        _, step = trainer.prune_base(frame.snapshot)
        bare = pruning.model_copy(update={"threshold": 0.0})
        key = tuple(trainer.observer.edges), id(frame.pre_prune), bare
        training = frame.status == "training" and frame.viewed_step is None
        rest = max(SECONDS, self._cost / SHARE) if training else 0.0
        moved = (id(trainer), step) != self._at
        if self._exchange is None or key != self._key or (moved and started - self._looked > rest):
            self._exchange = ThresholdConverter.of(trainer, point=frame.snapshot)
            self._key, self._at = key, (id(trainer), step)
            self._looked = time.perf_counter()
            self._cost = self._looked - started
        return self._exchange

    def _fill(self, worth: dict[str, ThresholdRange], pruning: Pruning | None, *, past: bool) -> None:
        for name, field in self.fields.items():
            _show(field, name, worth.get(name), pruning, past=past)

    # -- from the fields ------------------------------------------------------------------------------

    def _typed(self, name: str, text: str) -> None:
        """Sets the threshold to what was typed into a field."""
        session = self.context.session
        try:
            value = parsed(name, text)
            chosen = session.experiment
            rate = session.call(lambda trainer: ThresholdConverter.of(trainer, chosen).threshold(name, value))
            self.context.settle(rate.result(PATIENCE))
        finally:
            self._shown = None
            session.refresh()  # what was typed gives way to what it came to


def parsed(name: str, text: str) -> float:
    """What was typed, as a number; raises ValueError with an example where it is none."""
    factor, _ = SIGNS.get(name, (1, ""))
    bare = text.replace("−", "-").replace(",", ".").strip().rstrip("%×x").strip()
    try:
        return float(f"{float(bare) / factor:.12g}")  # 91.3 % is 0.913, not 0.9129999999999999
    except ValueError:
        example = EXAMPLES.get(name, PLAIN_EXAMPLE)
        raise ValueError(NO_NUMBER.format(LABELS[name].lower(), text, example)) from None


def shown(name: str, worth: ThresholdRange | None) -> str:
    """A threshold as text: all digits that it takes to cut the same weights; of a range, three."""
    if worth is None:
        return NOTHING
    factor, sign = SIGNS.get(name, (1, ""))
    if worth.one:
        return f"{factor * worth.low:.9g}{sign}"
    return f"{worth.low:.3g} – {worth.high:.3g}"


def _show(
    field: w.Text, name: str, worth: ThresholdRange | None, pruning: Pruning | None, *, past: bool = False
) -> None:
    text = shown(name, worth)
    field.value = text
    field.disabled = past or worth is None or pruning is None or fixed(pruning.granularity)
    if pruning is None:
        return
    plain = pruning.criterion == "magnitude" and pruning.granularity == "weight"
    field.description = WEIGHT if name == "score" and plain else LABELS[name]
    unit = "percentile" if pruning.unit == "sparsity" else pruning.unit
    words = [TIPS[name], USED if name == unit else "", THEN if past else EDIT]
    if worth is None:
        words = [TIPS[name], NOT_HERE]
    elif not worth.one:
        words.insert(1, RANGE.format(text))
    field.tooltip = " ".join(filter(None, words))
    (field.add_class if name == unit else field.remove_class)("explorer-as-used")
