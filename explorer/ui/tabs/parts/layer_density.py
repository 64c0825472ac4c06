"""The share of its weights that each layer keeps, as bars, with an alarm before a layer is cut through."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from explorer import registry
from explorer.engine.training.metrics import count_kept
from explorer.experiment import Pruning
from explorer.ui.controls import labels
from explorer.ui.session.frames import Frame

# Every string that a person reads here; the sentences with numbers in them stand below.
TITLE = "Weights kept, layer by layer"
PREVIEW_TITLE = "Weights that this threshold would keep, layer by layer"
LESS = "a lower threshold"
SPARE = f"“{labels.OPTIONS['spare_last']}” under Granularity"
MARKS = {"": "", "low": "⚠", "none": "✕"}

LOW_DENSITY = 0.01  # a layer that keeps less of its weights is close to its end
LOW_PER_OUTPUT = 1  # and so is one that keeps fewer weights per output unit
LINES = 2  # of alarm, at most
EVEN = ("uniform", "erk")  # allocations that leave every layer something


@dataclass(frozen=True)
class LayerDensity:
    """How many of its weights a layer keeps."""

    name: str
    weights_kept: int
    weights: int
    outputs: int
    last: bool = False  # of the network

    @property
    def density(self) -> float:
        """The share of its weights that the layer keeps."""
        return self.weights_kept / self.weights

    @property
    def per_output(self) -> float:
        """Kept weights per output unit, on average."""
        return self.weights_kept / self.outputs

    @property
    def alarm(self) -> str:
        """How bad it is: "" for fine, "low" or "none"."""
        if not self.weights_kept:
            return "none"
        return "low" if self.density < LOW_DENSITY or self.per_output < LOW_PER_OUTPUT else ""

    @property
    def percent(self) -> str:
        """The density with the digits that tell it from all and from none."""
        if self.weights_kept in (0, self.weights):
            return f"{100 * self.density:.0f} %"
        digits = 2 if self.density < 10 * LOW_DENSITY else 1
        least = 10**-digits
        return f"{min(max(100 * self.density, least), 100 - least):.{digits}f} %"


def measure(frame: Frame) -> list[LayerDensity]:
    """Return what each layer of a frame keeps, or would at a previewed threshold; in the past as recorded."""
    mask, layers = frame.view.mask, frame.trainer.network.layout.layers
    recorded = {} if frame.viewed_step is None else _recorded_sparsity(frame, frame.viewed_step)
    densities = []
    for layer in layers:
        slot = layer.weight
        total = slot.stop - slot.start
        if layer.name in recorded:
            count = round((1 - recorded[layer.name]) * total)
        else:
            count = total if mask is None else int(count_kept(slot.of(mask)))
        densities.append(LayerDensity(layer.name, count, total, slot.shape[0], layer is layers[-1]))
    return densities


def _recorded_sparsity(frame: Frame, step: int) -> dict[str, float]:
    """Return the sparsity of each layer at the last record up to a step."""
    rows = frame.trainer.lanes[0].history.history  # goes further than the snapshot next to that step
    return {la: value for at, _, metric, la, value in rows if at <= step and metric == "sparsity" and la}


def html(layers: Sequence[LayerDensity], pruning: Pruning | None, *, preview: bool) -> str:
    """Return the bars and the alarm, for the pruning that left the layers so."""
    bars = f'<ul class="explorer-keeps">{"".join(map(_bar, layers))}</ul>'
    title = PREVIEW_TITLE if preview else TITLE
    return f'<p class="explorer-keeps-title">{title}</p>{bars}{_alarm_box(layers, pruning)}'


def _bar(layer: LayerDensity) -> str:
    text, name = escape(_bar_text(layer)), escape(layer.name)
    mark = f"<b>{MARKS[layer.alarm]}</b>" if layer.alarm else ""
    return (
        f'<li class="explorer-keep explorer-keep-{layer.alarm or "fine"}" data-layer="{name}" '
        f'title="{text}" aria-label="{text}"><span>{name}</span>'
        f'<i><i style="width:{100 * layer.density:.3f}%"></i></i><span>{mark}{layer.percent}</span></li>'
    )


def _alarm_box(layers: Sequence[LayerDensity], pruning: Pruning | None) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in alarms(layers, pruning))
    worst = "none" if any(layer.alarm == "none" for layer in layers) else "low"
    return f'<div class="explorer-alarm explorer-alarm-{worst}" role="status">{lines}</div>' if lines else ""


# -- sentences ----------------------------------------------------------------------------------------


def alarms(layers: Sequence[LayerDensity], pruning: Pruning | None) -> list[str]:
    """Return what is wrong and what to try, the worst layer first; nothing where all is well."""
    bad = sorted((layer for layer in layers if layer.alarm), key=lambda layer: layer.density)
    if not bad:
        return []
    others = [layer.name for layer in bad[LINES:]]
    more = [f"So it is with {len(others)} more: {', '.join(others)}."] if others else []
    return [*map(_alarm_text, bad[:LINES]), *more, f"Try {' or '.join(_remedies(bad, pruning))}."]


def _bar_text(layer: LayerDensity) -> str:
    return (
        f"{layer.name} keeps {layer.weights_kept:,} of {layer.weights:,} weights: {layer.percent}, "
        f"{layer.per_output:.3g} per output unit"
    )


def _alarm_text(layer: LayerDensity) -> str:
    if layer.alarm == "none":
        return f"{layer.name} keeps none of its {layer.weights:,} weights: nothing gets through."
    return (
        f"{layer.name} keeps {layer.percent} of its weights, {layer.per_output:.2g} per output unit: "
        "it is about to be cut through."
    )


def _remedies(bad: Sequence[LayerDensity], pruning: Pruning | None) -> list[str]:
    """Return what could help: another allocation, the last layer spared, less pruning."""
    if pruning is None:
        return [LESS]
    remedies = []
    granularity = registry.get("granularity", pruning.granularity)
    if pruning.allocation not in EVEN and granularity.traits.threshold is None:
        counts = registry.get("unit", pruning.unit).traits.counts
        allocations = " or ".join(f"“{name}”" for name in EVEN)
        remedies.append(f"allocation {allocations}" + ("" if counts else " with unit “sparsity”"))
    spared = pruning.options.get("spare_last", "spare_last" not in granularity.options)
    if any(layer.last for layer in bad) and not spared:
        remedies.append(SPARE)
    return [*remedies, LESS]
