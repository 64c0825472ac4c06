"""What each layer keeps, as bars, with an alarm before a layer is cut through."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from explorer import registry
from explorer.engine.training.metrics import count_kept
from explorer.experiment import Pruning
from explorer.ui.controls import labels
from explorer.ui.session.frames import Frame

# Every string that a person reads here.
TITLE = "Weights kept, layer by layer"
TRIED = "Weights that this threshold would keep, layer by layer"
ROW = "{name} keeps {kept:,} of {all:,} weights: {share}, {each:.3g} per output unit"
LOW = "{name} keeps {share} of its weights, {each:.2g} per output unit: it is about to be cut through."
NONE = "{name} keeps none of its {all:,} weights: nothing gets through."
TRY = "Try {}."
SPREAD, LESS = "allocation {}", "a lower threshold"
COUNTED = " with unit “sparsity”"
SPARE = f"“{labels.OPTIONS['spare_last']}” under Granularity"
MORE = "So it is with {} more: {}."
OR, AND = " or ", ", "

SHARE = 0.01  # a layer that keeps less of its weights is close to its end
EACH = 1  # and so is one that keeps fewer weights per output unit
LINES = 2  # of alarm, at most
EVEN = ("uniform", "erk")  # allocations that leave every layer something
MARKS = {"": "", "low": "⚠", "none": "✕"}


@dataclass(frozen=True)
class LayerDensity:
    """What a layer keeps."""

    name: str
    kept: int
    all: int
    outputs: int
    last: bool = False  # of the network

    @property
    def share(self) -> float:
        """Of its weights."""
        return self.kept / self.all

    @property
    def each(self) -> float:
        """Weights per output unit, on average."""
        return self.kept / self.outputs

    @property
    def alarm(self) -> str:
        """How bad it is: "" for fine, "low" or "none"."""
        if not self.kept:
            return "none"
        return "low" if self.share < SHARE or self.each < EACH else ""

    def told(self, words: str) -> str:
        """Its numbers in words."""
        return words.format(name=self.name, kept=self.kept, all=self.all, share=percent(self), each=self.each)


def keeps(frame: Frame) -> list[LayerDensity]:
    """What each layer of a frame keeps, also while a threshold is tried out, and in the past as recorded."""
    mask, layers = frame.view.mask, frame.trainer.network.layout.layers
    then = {} if frame.viewed_step is None else _recorded(frame, frame.viewed_step)
    found = []
    for layer in layers:
        slot = layer.weight
        total = slot.stop - slot.start
        if layer.name in then:
            kept = round((1 - then[layer.name]) * total)
        else:
            kept = total if mask is None else int(count_kept(slot.of(mask)))
        found.append(LayerDensity(layer.name, kept, total, slot.shape[0], layer is layers[-1]))
    return found


def _recorded(frame: Frame, step: int) -> dict[str, float]:
    """The sparsity of each layer at the last record up to a step."""
    rows = frame.trainer.lanes[0].history.history
    return {la: value for at, _, metric, la, value in rows if at <= step and metric == "sparsity" and la}


def percent(keep: LayerDensity) -> str:
    """The share that is kept, with the digits that tell it from all and from none."""
    if keep.kept in (0, keep.all):
        return f"{100 * keep.share:.0f} %"
    digits = 2 if keep.share < 10 * SHARE else 1
    least = 10**-digits
    return f"{min(max(100 * keep.share, least), 100 - least):.{digits}f} %"


def alarms(found: Iterable[LayerDensity], pruning: Pruning | None) -> list[str]:
    """What is wrong and what to try, the worst layer first; empty where all is well."""
    bad = sorted((keep for keep in found if keep.alarm), key=lambda keep: keep.share)
    if not bad:
        return []
    lines = [keep.told(NONE if keep.alarm == "none" else LOW) for keep in bad[:LINES]]
    rest = [keep.name for keep in bad[LINES:]]
    if rest:
        lines.append(MORE.format(len(rest), AND.join(rest)))
    return [*lines, TRY.format(OR.join(_remedies(bad, pruning)))]


def _remedies(bad: Iterable[LayerDensity], pruning: Pruning | None) -> list[str]:
    """What could help: an allocation that leaves each layer its part, the last layer spared, less pruning."""
    found = [LESS]
    if pruning is None:
        return found
    granularity = registry.get("granularity", pruning.granularity)
    spared = pruning.options.get("spare_last", "spare_last" not in granularity.options)
    if any(keep.last for keep in bad) and not spared:
        found.insert(0, SPARE)
    if pruning.allocation not in EVEN and granularity.traits.threshold is None:
        counted = registry.get("unit", pruning.unit).traits.counts
        names = OR.join(f"“{name}”" for name in EVEN)
        found.insert(0, SPREAD.format(names) + ("" if counted else COUNTED))
    return found


def html(found: Iterable[LayerDensity], pruning: Pruning | None, *, tried: bool) -> str:
    """Bars and alarm."""
    found = list(found)
    rows = "".join(_row(keep) for keep in found)
    lines = alarms(found, pruning)
    worst = "none" if any(keep.alarm == "none" for keep in found) else "low"
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    alarm = f'<div class="explorer-alarm explorer-alarm-{worst}" role="status">{said}</div>' if lines else ""
    title = TRIED if tried else TITLE
    return f'<p class="explorer-keeps-title">{title}</p><ul class="explorer-keeps">{rows}</ul>{alarm}'


def _row(keep: LayerDensity) -> str:
    told = escape(keep.told(ROW))
    mark = f"<b>{MARKS[keep.alarm]}</b>" if keep.alarm else ""
    return (
        f'<li class="explorer-keep explorer-keep-{keep.alarm or "fine"}" data-layer="{escape(keep.name)}" '
        f'title="{told}" aria-label="{told}"><span>{escape(keep.name)}</span>'
        f'<i><i style="width:{100 * keep.share:.3f}%"></i></i><span>{mark}{percent(keep)}</span></li>'
    )
