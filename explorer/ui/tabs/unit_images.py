"""Units as pictures: the weights that lead into each, what is pruned of them, and whether it is dead."""

from functools import cached_property
from typing import Any

import torch

from explorer.engine.analysis import mask_stats
from explorer.engine.analysis.mask_stats import LayerGraph
from explorer.engine.network.layout import Layer
from explorer.ui.session.frames import Frame
from explorer.ui.widgets.image_grid import ImageSheet

# Every string that a person reads here.
UNITS, FILTERS, OUTPUTS = ("hidden unit", "hidden units"), ("filter", "filters"), ("output", "outputs")
TITLE = "{name}: weights of {all:,} {units}"
OF_KERNELS = ", a kernel for each of {kernels} maps"
SOME = "The first {shown} of {all:,} are shown."
TEXT = "The weights of each of the {all} {units} as a picture. {told}"
TIP = "{unit} {i}: {into:,} of {fan_in:,} weights in"
TIP_OUT = ", {out:,} of {fan_out:,} out"
PRUNED, DEAD_LEGEND, METER = "pruned", "dead", "weights kept (full: {:,})"
NONE_DEAD = "No {unit} of {name} is dead."
DEAD = "{dead} of {all:,} {units} are dead: {no_in} with no weight in, {no_out} with none out."
DEAD_IN = "{dead} of {all:,} {units} are dead: no weight leads in."
NO_READER = "What reads these units is not known, so only weights that lead in count."
COUNT = "{dead} of {all:,} {units} of {name}"

MOST = 300  # pictures at once
SIZES = ((2, 140), (8, 84), (24, 72), (160, 42), (MOST, 28))  # up to so many units, pixels of each
LEAST = 3  # pixels of a weight, where a picture is made of kernels


class Units:
    """A layer's units, counted once a frame."""

    def __init__(self, frame: Frame, wiring: LayerGraph, layer: Layer, *, by_kept: bool = False) -> None:
        self.layer, self.wiring, self._view = layer, wiring, frame.view
        self.first, self.by_kept = layer is wiring.first, by_kept
        self.filters = layer.weight.shape[2:].numel() > 1 or (self.first and wiring.filters)
        self.alive = mask_stats.keep_mask(frame.view, layer.weight)
        self.count, self.fan_in = len(self.alive), layer.weight.shape[1:].numel()
        readers = wiring.readers(layer, frame.trainer.network.layout.layers)
        out = mask_stats.fan_out(self.count, [mask_stats.passes_signal(frame.view, slot) for slot in readers])
        self.fan_out = sum(slot.shape.numel() for slot in readers) // self.count
        self._into = mask_stats.fan_in(self.alive)
        self.into, self.out = self._into.tolist(), None if out is None else out.tolist()
        self.dead = mask_stats.dead(self._into, out).tolist()
        self.last = wiring.dependencies[layer.name].last

    @cached_property
    def named(self) -> dict[str, Any]:
        """How many units it has and what they are called, for sentences."""
        one, many = OUTPUTS if self.last else FILTERS if self.filters else UNITS
        return {
            "name": self.layer.name,
            "all": self.count,
            "unit": one,
            "units": one if self.count == 1 else many,
            "dead": sum(self.dead),
        }

    def told_dead(self) -> str:
        """How many units are dead, in words."""
        if not any(self.dead):
            return NONE_DEAD.format(**self.named)
        if self.out is None:
            return DEAD_IN.format(**self.named) + ("" if self.last else f" {NO_READER}")
        return DEAD.format(no_in=self.into.count(0), no_out=self.out.count(0), **self.named)

    def pictures(self) -> ImageSheet:
        """Each unit's weights; those of a filter that reads many maps are a kernel for each, side by side."""
        order = self._order()
        size = next(pixels for most, pixels in SIZES if len(order) <= most)
        weights = self.layer.weight.of(self._view.row).view(self.count, -1)
        alive = self.alive.view(self.count, -1)
        scale = mask_stats.colour_range(weights, alive)
        codes = mask_stats.quantised(weights[order], alive[order], scale)
        shape, title = self.layer.weight.shape, TITLE
        if self.first:
            rows, columns = self.wiring.window
        else:
            kernels = codes.view(len(order), shape[1], shape[2:-1].numel(), shape[-1])
            codes, title = mask_stats.side_by_side(kernels), TITLE + OF_KERNELS
            rows, columns = codes.shape[1:]
            size = columns * max(LEAST, round(size / columns))
        places, most = order.tolist(), max(1, *self.into)
        return ImageSheet(
            name="units" if self.first else "kernels",
            kind="weights",
            rows=rows,
            columns=columns,
            codes=codes.cpu().numpy().tobytes(),
            width=size,
            height=round(size * rows / columns),
            title=title.format(kernels=shape[1], **self.named),
            note=SOME.format(shown=len(order), all=self.count) if len(order) < self.count else "",
            text=TEXT.format(told=self.told_dead(), **self.named),
            tips=[self._tip(i) for i in places],
            meters=[self.into[i] / most for i in places],
            dead=[self.dead[i] for i in places],
            legend={
                "none": PRUNED,
                "low": f"−{scale:.2g}",
                "high": f"+{scale:.2g}",
                "dead": DEAD_LEGEND,
                "meter": METER.format(most),
            },
        )

    def _order(self) -> torch.Tensor:
        if self.by_kept:
            return torch.sort(self._into, descending=True, stable=True).indices[:MOST]
        return torch.arange(self.count, device=self._into.device)[:MOST]

    def _tip(self, i: int) -> str:
        tip = TIP.format(unit=self.named["unit"], i=i, into=self.into[i], fan_in=self.fan_in)
        if self.out is not None:
            tip += TIP_OUT.format(out=self.out[i], fan_out=self.fan_out)
        return tip
