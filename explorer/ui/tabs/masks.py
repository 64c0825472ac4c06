"""Masks: which pixels are still read, what each unit looks at, and which units are dead."""

from collections.abc import Hashable
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np
import torch
from torch import Tensor

from explorer import figures
from explorer.engine.analysis import mask_stats
from explorer.engine.analysis.mask_stats import LayerGraph
from explorer.engine.network.layout import Layer
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import Session
from explorer.ui.session.snapshots import as_of
from explorer.ui.session.throttle import Throttle
from explorer.ui.tabs.parts.unit_images import LayerUnits
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables
from explorer.ui.widgets.image_grid import ImageGrid, ImageSheet

# Every string that a person reads here; the sentences with numbers in them stand below.
ORDER, ORDERS = "Order", (("as in the network", "network"), ("most weights kept first", "kept"))
ORDER_TIP = "In which order the units stand"
NOT_YET, NOTHING = "Nothing is pruned yet. ", "This run prunes nothing. "
NO_PICTURES = "so there are no pictures of its units."
NO_LAYERS = "This network has no Linear or Conv layer that could be pruned."
MAP, MAP_OF_FILTERS = "Kept weights of each pixel", "Filters keeping each place"
MAP_NONE = "none"
PIXEL_TIP = "Each pixel is a weight."
BLOCK_TIP = "Each pixel is a block of weights: the more are kept, the stronger."

SECONDS = 0.5  # between two pictures while it trains, unless the mask changes
UNITS_PIXELS = 720  # for all pictures of units in a figure
MAP_PIXELS = 196  # a picture of all pixels, and of another layer
BLOCKS = (100, 160)  # of another layer's picture, at most
HALF_WIDTH = 94  # where other layers stand two by two


class Masks(Tab):
    """What the mask leaves of the layer that reads the image, and of the others."""

    name = "masks"
    title = "Masks"
    tip = "Which pixels are still read, what each unit looks at, and which units are dead"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.maps, self.units = ImageGrid(), ImageGrid()
        self.maps.add_class("explorer-masks-maps")
        self.units.add_class("explorer-masks-units")
        self.summary_text = w.HTML().add_class("explorer-masks-told")
        self.order = w.Dropdown(options=ORDERS, description=ORDER, tooltip=ORDER_TIP)
        self.order.add_class("explorer-masks-order")
        self.order.observe(context.guarded(lambda _: self._reorder()), "value")
        pictures = w.HBox([self.maps, w.VBox([self.order, self.units])]).add_class("explorer-masks-pictures")
        self.panel = w.VBox([self.summary_text, pictures]).add_class("explorer-masks")
        self._trainer: Trainer | None = None
        self._graph: LayerGraph  # of its network
        self._throttle = Throttle(SECONDS)
        self._as_of = ""  # of the pictures

    def on_show(self) -> None:
        """Draw at the next frame, whatever was drawn last."""
        self._throttle.reset()

    def on_hide(self) -> None:
        """Let go of the network."""
        self._trainer = None

    def pictures(self) -> Charts:
        """Return what is read and kept, and the units."""
        maps: list[Any] = list(self.maps.sheets)
        units: list[Any] = list(self.units.sheets)
        units[:1] = [replace(sheet, note=self._as_of + sheet.note) for sheet in units[:1]]
        parts = {"masks-maps": (maps, MAP_PIXELS), "masks-units": (units, UNITS_PIXELS)}
        return {name: figures.tiles(sheets, width=width) for name, (sheets, width) in parts.items() if sheets}

    def key(self, trainer: Trainer) -> Hashable:  # noqa: ARG002
        """Return nothing, as there are no charts."""
        return None

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Draw where the mask has changed, and twice a second where only the weights have."""
        trainer, past = frame.trainer, frame.viewed_step is not None
        key = (
            *(id(trainer), frame.status, frame.preview, frame.sparsity),
            *(len(frame.lanes[0].history.events), frame.viewed_step, past and frame.weights_step),
        )
        if not self._throttle.due(key, frame.step):
            return {}
        with self._throttle.work(key, frame.step):
            if trainer is not self._trainer:
                pixels = trainer.split.train[slice(1)].inputs(True, frame.view.row.dtype)
                self._trainer = trainer
                self._graph = mask_stats.layer_graph(trainer.network, frame.view, pixels)
            self.draw(frame)
        return {}

    def draw(self, frame: Frame) -> None:
        """Set all pictures and words."""
        graph, layers = self._graph, frame.trainer.network.layout.layers
        by_kept = self.order.value == "kept"
        units = {layer: LayerUnits(frame, graph, layer, by_kept=by_kept) for layer in layers}
        first = units.get(graph.first) if graph.first else None
        pictured = [each for each in units.values() if each is first or (each.filters and not each.first)]
        rest = [each.layer for each in units.values() if each not in pictured]
        width = MAP_PIXELS if len(rest) <= 2 else HALF_WIDTH
        maps = [pixel_map(first)] if first else []
        self._as_of = as_of(frame)
        self.maps.show(*maps, *(layer_map(frame, layer, width) for layer in rest))
        self.units.show(*(each.sheet() for each in pictured))
        self.order.layout.display = None if any(each.count > 1 for each in pictured) else "none"
        self.summary_text.value = f"<p>{escape(_summary(frame, first, list(units.values())))}</p>"

    def _reorder(self) -> None:
        self._throttle.reset()
        self.context.session.refresh()


def pixel_map(units: LayerUnits) -> ImageSheet:
    """Return how many units of the layer that reads the image keep each pixel's weight."""
    counts = _per_input(units)
    title = MAP_OF_FILTERS if units.filters else MAP
    none, most = int((counts == 0).sum()), int(counts.max())
    rows, columns = counts.shape
    return ImageSheet(
        name="map",
        kind="counts",
        rows=rows,
        columns=columns,
        codes=counts.astype("<u2").tobytes(),
        width=MAP_PIXELS,
        height=round(MAP_PIXELS * rows / columns),
        title=title,
        text=f"{title}, from 0 to {most}; {none} of {counts.size} have none.",
        cell=f"row {{row}}, column {{column}}: {{value}} of {units.count}",  # filled in on the page
        legend={"none": MAP_NONE, "low": "1", "high": f"{most:,} of {units.count:,}"},
    )


def _per_input(units: LayerUnits) -> np.ndarray:
    """Return the counts of the map, int [rows, columns]."""
    return mask_stats.per_input(units.alive, units.graph.window).cpu().numpy()


def layer_map(frame: Frame, layer: Layer, width: int) -> ImageSheet:
    """Return what a layer keeps, block by block."""
    alive = mask_stats.keep_mask(frame.view, layer.weight)
    shares = mask_stats.blocks(alive, BLOCKS)
    rows, columns = shares.shape
    count, size = int(alive.sum()), alive.numel()
    text = f"{layer.name} keeps {count:,} of {size:,} weights; units run down, inputs across."
    return ImageSheet(
        name="layer",
        kind="shares",
        rows=rows,
        columns=columns,
        codes=_bytes(shares),
        width=width,
        height=min(width, max(20, round(width * rows / columns))),
        title=f"{layer.name}: {100 * count / size:.1f} % kept",
        text=text,
        tips=[f"{text} {PIXEL_TIP if shares.numel() == size else BLOCK_TIP}"],
    )


def _bytes(shares: Tensor) -> bytes:
    """Return shares as a byte each; what is not 0 never becomes 0."""
    data: bytes = (shares * 255).ceil_().to(torch.uint8).cpu().numpy().tobytes()
    return data


# -- sentences ----------------------------------------------------------------------------------------


def _summary(frame: Frame, first: LayerUnits | None, units: list[LayerUnits]) -> str:
    """Say how much of the first layer is kept, what it does not read, and which units are dead."""
    if not units:
        return NO_LAYERS
    unpruned = NOT_YET if frame.lanes[0].experiment.pruning else NOTHING
    start = as_of(frame) + (unpruned if frame.view.mask is None else "")
    if first is None:
        pixels = frame.trainer.split.train.pixels.shape[1:].numel()
        return f"{start}No layer that can be pruned reads the {pixels} pixels directly, {NO_PICTURES}"
    dead = [f"{u.dead_share()} of {u.layer.name}" for u in units if u is not first and any(u.dead)]
    elsewhere = f" Dead in other layers: {', '.join(dead)}." if dead else ""
    count, size = sum(first.into), first.alive.numel()
    share = f"{100 * count / size:.1f}\N{NO-BREAK SPACE}%"
    density = f"{first.layer.name} keeps {count:,} of its {size:,} weights ({share})."
    return f"{start}{density} {_inputs_read(first)} {first.dead_summary()}{elsewhere}"


def _inputs_read(units: LayerUnits) -> str:
    counts = _per_input(units)
    none, size = int((counts == 0).sum()), counts.size
    if units.filters:
        unread = f"{none:,} of {size:,} places are kept by no filter."
        return unread if none else f"Each of the {size:,} places is kept by some filter."
    return (
        f"{none:,} of {size:,} pixels are read by no unit." if none else "Every pixel is read by some unit."
    )
