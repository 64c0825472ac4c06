"""Masks: which pixels are still read, what each unit looks at, and which units are dead."""

import time
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
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables
from explorer.ui.tabs.unit_images import COUNT, Units
from explorer.ui.widgets.image_grid import ImageGrid, ImageSheet

# Every string that a person reads here.
TITLE, TIP = "Masks", "Which pixels are still read, what each unit looks at, and which units are dead"
ORDER, ORDERS = "Order", (("as in the network", "network"), ("most weights kept first", "kept"))
ORDER_TIP = "In which order the units stand"
KEPT = "{name} keeps {kept:,} of its {all:,} weights ({share:.1f}\N{NO-BREAK SPACE}%)."
UNREAD = "{none:,} of {all:,} pixels are read by no unit."
ALL_READ = "Every pixel is read by some unit."
UNREAD_TAPS = "{none:,} of {all:,} places are kept by no filter."
ALL_TAPS = "Each of the {all:,} places is kept by some filter."
DEAD_ELSEWHERE = "Dead in other layers: {}."
NOT_YET, NOTHING = "Nothing is pruned yet. ", "This run prunes nothing. "
NO_PIXELS = (
    "No layer that can be pruned reads the {pixels} pixels directly, so there are no pictures of its units."
)
NO_LAYERS = "This network has no Linear or Conv layer that could be pruned."
MAP, MAP_TAPS = "Kept weights of each pixel", "Filters keeping each place"
MAP_CELL = "row {row}, column {column}: {value} of "  # its numbers are filled in on the page
MAP_TEXT = "{title}, from 0 to {most}; {none} of {all} have none."
MAP_NONE, MAP_HIGH = "none", "{most:,} of {all:,}"
LAYER_TITLE = "{name}: {share:.1f} % kept"
LAYER_TEXT = "{name} keeps {kept:,} of {all:,} weights; units run down, inputs across."
LAYER_TIP = "{text} Each pixel is a weight."
LAYER_TIP_BLOCK = "{text} Each pixel is a block of weights: the more are kept, the stronger."

SECONDS = 0.5  # between two pictures while it trains, unless the mask changes
UNITS_PIXELS = 720  # for all pictures of units in a figure
MAP_PIXELS = 196  # a picture of all pixels, and of another layer
BLOCKS = (100, 160)  # of another layer's picture, at most
HALF_WIDTH = 94  # where other layers stand two by two


class Masks(Tab):
    """What the mask leaves of the layer that reads the image, and of the others."""

    name = "masks"
    title = TITLE
    tip = TIP

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.maps, self.units = ImageGrid(), ImageGrid()
        self.maps.add_class("explorer-masks-maps")
        self.units.add_class("explorer-masks-units")
        self.told = w.HTML().add_class("explorer-masks-told")
        self.order = w.Dropdown(options=ORDERS, description=ORDER, tooltip=ORDER_TIP)
        self.order.add_class("explorer-masks-order")
        self.order.observe(context.guarded(self._on_order), "value")
        pictures = w.HBox([self.maps, w.VBox([self.order, self.units])]).add_class("explorer-masks-pictures")
        self.panel = w.VBox([self.told, pictures]).add_class("explorer-masks")
        self._trainer: Trainer | None = None
        self._wiring: LayerGraph
        self._seen: Hashable = None
        self._drawn, self._as_of = 0.0, ""

    def shown(self) -> None:
        """Draws at the next frame, whatever was drawn last."""
        self._seen = None

    def pictures(self) -> Charts:
        """What is read and kept on the left, the units on the right."""
        sheets = {"masks-maps": list(self.maps.sheets), "masks-units": list(self.units.sheets)}
        widths = dict(zip(sheets, (MAP_PIXELS, UNITS_PIXELS), strict=True))
        for first in sheets["masks-units"][:1]:
            sheets["masks-units"][0] = replace(first, note=self._as_of + first.note)
        return {name: figures.tiles(each, width=widths[name]) for name, each in sheets.items() if each}

    def hidden(self) -> None:
        """Lets go of the network."""
        self._trainer = None

    def key(self, trainer: Trainer) -> Hashable:  # noqa: ARG002
        """There are no charts."""
        return None

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Draws where the mask has changed, and else twice a second."""
        trainer = frame.trainer
        seen = (
            id(trainer),
            frame.status,
            frame.preview,
            frame.sparsity,
            len(trainer.lanes[0].history.events),
            frame.past,
            frame.past is not None and frame.held,
        )
        still = frame.past is not None or time.perf_counter() - self._drawn < SECONDS
        if seen == self._seen and still:
            return {}
        if trainer is not self._trainer:
            pixels = trainer.split.train[slice(1)].inputs(True, frame.view.row.dtype)
            self._trainer, self._wiring = trainer, mask_stats.layer_graph(trainer.network, frame.view, pixels)
        self.draw(frame)
        self._seen, self._drawn = seen, time.perf_counter()
        return {}

    def draw(self, frame: Frame) -> None:
        """Sets all pictures and words."""
        wiring, layers = self._wiring, frame.trainer.network.layout.layers
        by_kept = self.order.value == "kept"
        units = {layer: Units(frame, wiring, layer, by_kept=by_kept) for layer in layers}
        first = units.get(wiring.first) if wiring.first else None
        pictured = [each for each in units.values() if each is first or (each.filters and not each.first)]
        rest = [each.layer for each in units.values() if each not in pictured]
        width = MAP_PIXELS if len(rest) <= 2 else HALF_WIDTH
        maps = [pixel_map(first)] if first else []
        self._as_of = as_of(frame)
        self.maps.show(*maps, *(other(frame, layer, width) for layer in rest))
        self.units.show(*(each.pictures() for each in pictured))
        self.order.layout.display = None if any(each.count > 1 for each in pictured) else "none"
        self.told.value = f"<p>{escape(_told(frame, first, list(units.values())))}</p>"

    def _on_order(self, change: Any) -> None:  # noqa: ARG002
        self._seen = None
        self.context.session.refresh()


def pixel_map(units: Units) -> ImageSheet:
    """How many units of the layer that reads the image keep each pixel's weight."""
    counts = _per_input(units)
    title = MAP_TAPS if units.filters else MAP
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
        text=MAP_TEXT.format(title=title, most=most, none=none, all=counts.size),
        cell=f"{MAP_CELL}{units.count}",
        legend={"none": MAP_NONE, "low": "1", "high": MAP_HIGH.format(most=most, all=units.count)},
    )


def _per_input(units: Units) -> np.ndarray:
    """The counts of the map, int [rows, columns]."""
    return mask_stats.per_input(units.alive, units.wiring.window).cpu().numpy()


def other(frame: Frame, layer: Layer, width: int) -> ImageSheet:
    """What another layer keeps, block by block."""
    alive = mask_stats.keep_mask(frame.view, layer.weight)
    shares = mask_stats.blocks(alive, BLOCKS)
    rows, columns = shares.shape
    name, kept = layer.name, int(alive.sum())
    text = LAYER_TEXT.format(name=name, kept=kept, all=alive.numel())
    tip = LAYER_TIP if shares.numel() == alive.numel() else LAYER_TIP_BLOCK
    return ImageSheet(
        name="layer",
        kind="shares",
        rows=rows,
        columns=columns,
        codes=_bytes(shares),
        width=width,
        height=min(width, max(20, round(width * rows / columns))),
        title=LAYER_TITLE.format(name=name, share=100 * kept / alive.numel()),
        text=text,
        tips=[tip.format(text=text)],
    )


def _bytes(shares: Tensor) -> bytes:
    """Shares as a byte each; what is not 0 never becomes 0."""
    data: bytes = (shares * 255).ceil_().to(torch.uint8).cpu().numpy().tobytes()
    return data


def _told(frame: Frame, first: Units | None, units: list[Units]) -> str:
    if not units:
        return NO_LAYERS
    start = as_of(frame)
    if frame.view.mask is None:
        start += NOT_YET if frame.lanes[0].experiment.pruning else NOTHING
    if first is None:
        pixels = frame.trainer.split.train.pixels.shape[1:].numel()
        return start + NO_PIXELS.format(pixels=pixels)
    dead = [COUNT.format(**each.named) for each in units if each is not first and any(each.dead)]
    elsewhere = [DEAD_ELSEWHERE.format(", ".join(dead))] if dead else []
    return start + " ".join([*_of_first(first), *elsewhere])


def _of_first(units: Units) -> list[str]:
    """How much of the layer is kept, which pixels are lost and which units are dead, in words."""
    counts = _per_input(units)
    none, all_ = int((counts == 0).sum()), counts.size
    words = (UNREAD_TAPS, ALL_TAPS) if units.filters else (UNREAD, ALL_READ)
    share = {"kept": sum(units.into), "all": units.alive.numel()}
    return [
        KEPT.format(name=units.layer.name, share=100 * share["kept"] / share["all"], **share),
        words[none == 0].format(none=none, all=all_),
        units.told_dead(),
    ]
