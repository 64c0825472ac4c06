"""Units as pictures: the weights that lead into each, what is pruned of them, and whether it is dead."""

import torch

from explorer.engine.analysis import mask_stats
from explorer.engine.analysis.mask_stats import LayerGraph
from explorer.engine.network.layout import Layer
from explorer.ui.session.frames import Frame
from explorer.ui.widgets.image_grid import ImageSheet

# Every string that a person reads here; the sentences with numbers in them stand in the methods.
UNITS, FILTERS, OUTPUTS = ("hidden unit", "hidden units"), ("filter", "filters"), ("output", "outputs")
PRUNED, DEAD_LEGEND = "pruned", "dead"
NO_READER = "What reads these units is not known, so only weights that lead in count."

MOST = 300  # pictures at once
SIZES = ((2, 140), (8, 84), (24, 72), (160, 42), (MOST, 28))  # up to so many units, pixels of each
LEAST = 3  # pixels of a weight, where a picture is made of kernels


class LayerUnits:
    """A layer's units, counted once a frame.

    Args:
        frame: whose weights and mask.
        graph: how its network is wired.
        layer: one of its layers.
        by_kept: whether those that keep most weights come first in the pictures.
    """

    def __init__(self, frame: Frame, graph: LayerGraph, layer: Layer, *, by_kept: bool = False) -> None:
        self.layer, self.graph, self._view = layer, graph, frame.view
        self.first, self.by_kept = layer is graph.first, by_kept
        self.filters = layer.weight.shape[2:].numel() > 1 or (self.first and graph.filters)
        self.alive = mask_stats.keep_mask(frame.view, layer.weight)
        self.count, self.fan_in = len(self.alive), layer.weight.shape[1:].numel()
        readers = graph.readers(layer, frame.trainer.network.layout.layers)
        out = mask_stats.fan_out(self.count, [mask_stats.passes_signal(frame.view, slot) for slot in readers])
        self.fan_out = sum(slot.shape.numel() for slot in readers) // self.count
        self._into = mask_stats.fan_in(self.alive)
        self.into, self.out = self._into.tolist(), None if out is None else out.tolist()
        self.dead = mask_stats.dead(self._into, out).tolist()
        self.last = graph.dependencies[layer.name].last
        self.unit, units = OUTPUTS if self.last else FILTERS if self.filters else UNITS
        self.units = self.unit if self.count == 1 else units  # what they are called

    def dead_share(self) -> str:
        """Return how many of the units are dead, in words."""
        return f"{sum(self.dead)} of {self.count:,} {self.units}"

    def dead_summary(self) -> str:
        """Return a sentence on how many units are dead, and why."""
        if not any(self.dead):
            return f"No {self.unit} of {self.layer.name} is dead."
        if self.out is not None:
            no_in, no_out = self.into.count(0), self.out.count(0)
            return f"{self.dead_share()} are dead: {no_in} with no weight in, {no_out} with none out."
        unread = "" if self.last else f" {NO_READER}"
        return f"{self.dead_share()} are dead: no weight leads in.{unread}"

    def sheet(self) -> ImageSheet:
        """Return a picture of each unit's weights; a filter that reads many maps has a kernel for each."""
        order = self._order()
        size = next(pixels for most, pixels in SIZES if len(order) <= most)
        weights = self.layer.weight.of(self._view.row).view(self.count, -1)
        alive = self.alive.view(self.count, -1)
        scale = mask_stats.colour_range(weights, alive)
        codes = mask_stats.quantised(weights[order], alive[order], scale)
        shape, title = self.layer.weight.shape, f"{self.layer.name}: weights of {self.count:,} {self.units}"
        if self.first:
            rows, columns = self.graph.window
        else:
            kernels = codes.view(len(order), shape[1], shape[2:-1].numel(), shape[-1])
            codes, title = mask_stats.side_by_side(kernels), f"{title}, a kernel for each of {shape[1]} maps"
            rows, columns = codes.shape[1:]
            size = columns * max(LEAST, round(size / columns))
        places, most, some = order.tolist(), max(1, *self.into), len(order) < self.count
        return ImageSheet(
            name="units" if self.first else "kernels",
            kind="weights",
            rows=rows,
            columns=columns,
            codes=codes.cpu().numpy().tobytes(),
            width=size,
            height=round(size * rows / columns),
            title=title,
            note=f"The first {len(order)} of {self.count:,} are shown." if some else "",
            text=f"The weights of each of the {self.count} {self.units} as a picture. {self.dead_summary()}",
            tips=[self._tip(i) for i in places],
            meters=[self.into[i] / most for i in places],
            dead=[self.dead[i] for i in places],
            legend={
                "none": PRUNED,
                "low": f"−{scale:.2g}",
                "high": f"+{scale:.2g}",
                "dead": DEAD_LEGEND,
                "meter": f"weights kept (full: {most:,})",
            },
        )

    def _order(self) -> torch.Tensor:
        if self.by_kept:
            return torch.sort(self._into, descending=True, stable=True).indices[:MOST]
        return torch.arange(self.count, device=self._into.device)[:MOST]

    def _tip(self, i: int) -> str:
        weights_in = f"{self.unit} {i}: {self.into[i]:,} of {self.fan_in:,} weights in"
        return weights_in if self.out is None else f"{weights_in}, {self.out[i]:,} of {self.fan_out:,} out"
