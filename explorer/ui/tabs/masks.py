"""Masks: which pixels are still read, what each unit looks at, and which units are dead."""

import time
from collections.abc import Hashable
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np
import torch
from torch import Tensor

from explorer.engine import survivors
from explorer.engine.rows import Layer
from explorer.engine.survivors import Wiring
from explorer.engine.trainer import Trainer
from explorer.ui.frames import Frame
from explorer.ui.past import as_of
from explorer.ui.session import Session
from explorer.ui.tabs.base import Context, Tab, Tables
from explorer.ui.tiles import Sheet, Tiles

# Every string that a person reads here.
TITLE, TIP = "Masks", "Which pixels are still read, what each unit looks at, and which units are dead"
ORDER, ORDERS = "Order", (("as in the network", "network"), ("most weights kept first", "kept"))
ORDER_TIP = "In which order the units stand"
KEPT = "{name} keeps {kept:,} of its {all:,} weights ({share:.1%})."
UNREAD = "{none:,} of {all:,} pixels are read by no unit."
ALL_READ = "Every pixel is read by some unit."
UNREAD_TAPS = "{none:,} of {all:,} places are kept by no filter."
ALL_TAPS = "Each of the {all:,} places is kept by some filter."
NONE_DEAD = "No {unit} is dead."
DEAD = "{dead} of {all:,} {units} are dead: {no_in} with no weight in, {no_out} with none out."
DEAD_IN = "{dead} of {all:,} {units} are dead: no weight leads in."
NO_READER = "What reads these units is not known, so only weights that lead in count."
NOT_YET, NOTHING = "Nothing is pruned yet. ", "This run prunes nothing. "
NO_PIXELS = (
    "No layer that can be pruned reads the {pixels} pixels directly, so there are no pictures of its units."
)
NO_LAYERS = "This network has no Linear or Conv layer that could be pruned."
MAP, MAP_TAPS = "Kept weights of each pixel", "Filters keeping each place"
MAP_CELL = "row {row}, column {column}: {value} of "  # its numbers are filled in on the page
MAP_TEXT = "{title}, from 0 to {most}; {none} of {all} have none."
MAP_NONE, MAP_HIGH = "none", "{most:,} of {all:,}"
UNITS, FILTERS, OUTPUTS = ("hidden unit", "hidden units"), ("filter", "filters"), ("output", "outputs")
UNITS_TITLE = "{name}: weights of {all:,} {units}"
UNITS_SOME = "The first {shown} of {all:,} are shown."
UNITS_TEXT = "The weights of each of the {all} {units} as a picture. {told}"
UNIT_TIP = "{unit} {i}: {into:,} of {fan_in:,} weights in"
UNIT_TIP_OUT = ", {out:,} of {fan_out:,} out"
PRUNED, DEAD_LEGEND, METER = "pruned", "dead", "weights kept (full: {:,})"
LAYER_TITLE = "{name}: {share:.1%} kept"
LAYER_TEXT = "{name} keeps {kept:,} of {all:,} weights; units run down, inputs across."
LAYER_TIP = "{text} Each pixel is a weight."
LAYER_TIP_BLOCK = "{text} Each pixel is a block of weights: the more are kept, the stronger."

SECONDS = 0.5  # between two pictures while it trains, unless the mask changes
MOST_UNITS = 300  # pictures at once
SIZES = ((2, 140), (8, 84), (24, 72), (160, 42), (MOST_UNITS, 28))  # up to so many units, pixels of each
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
        self.maps, self.units = Tiles(), Tiles()
        self.maps.add_class("explorer-masks-maps")
        self.units.add_class("explorer-masks-units")
        self.told = w.HTML().add_class("explorer-masks-told")
        self.order = w.Dropdown(options=ORDERS, description=ORDER, tooltip=ORDER_TIP)
        self.order.add_class("explorer-masks-order")
        self.order.observe(context.guarded(self._on_order), "value")
        pictures = w.HBox([self.maps, w.VBox([self.order, self.units])]).add_class("explorer-masks-pictures")
        self.panel = w.VBox([self.told, pictures]).add_class("explorer-masks")
        self._trainer: Trainer | None = None
        self._wiring: Wiring
        self._seen: Hashable = None
        self._drawn = 0.0

    def shown(self) -> None:
        """Draws at the next frame, whatever was drawn last."""
        self._seen = None

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
            self._trainer, self._wiring = trainer, survivors.wiring(trainer.network, frame.view, pixels)
        self.draw(frame)
        self._seen, self._drawn = seen, time.perf_counter()
        return {}

    def draw(self, frame: Frame) -> None:
        """Sets all pictures and words."""
        layers = frame.trainer.network.layout.layers
        first = self._wiring.first
        look = First(frame, self._wiring, first, self.order.value == "kept") if first else None
        rest = [layer for layer in layers if layer is not first]
        width = MAP_PIXELS if len(rest) <= 2 and not self._wiring.filters else HALF_WIDTH
        maps = [look.map()] if look else []
        self.maps.show(*maps, *(other(frame, layer, width) for layer in rest))
        self.units.show(*([look.pictures()] if look else []))
        self.order.layout.display = None if look and look.count > 1 else "none"
        self.told.value = f"<p>{escape(_told(frame, look))}</p>"

    def _on_order(self, change: Any) -> None:  # noqa: ARG002
        self._seen = None
        self.context.session.refresh()


class First:
    """The layer that reads the image, counted once a frame."""

    def __init__(self, frame: Frame, wiring: Wiring, layer: Layer, by_kept: bool) -> None:
        self.layer, self.wiring, view = layer, wiring, frame.view
        self.alive = survivors.kept(view, layer.weight)
        self.count, self.fan_in = len(self.alive), layer.weight.shape[1:].numel()
        self.weights = view.row[layer.weight.start : layer.weight.stop].view(self.count, -1)
        readers = wiring.readers(layer, frame.trainer.network.layout.layers)
        out = survivors.out_of(self.count, [survivors.carried(view, slot) for slot in readers])
        self.fan_out = sum(slot.shape.numel() for slot in readers) // self.count
        into = survivors.into(self.alive)
        self.into, self.out = into.tolist(), None if out is None else out.tolist()
        self.dead = survivors.dead(into, out).tolist()
        self.last = wiring.wires[layer.name].last
        order = (
            torch.sort(into, descending=True, stable=True).indices if by_kept else torch.arange(self.count)
        )
        self.order = order[:MOST_UNITS].to(into.device)

    @property
    def named(self) -> dict[str, Any]:
        """How many units it has and what they are called, for sentences."""
        one, many = OUTPUTS if self.last else FILTERS if self.wiring.filters else UNITS
        return {"all": self.count, "unit": one, "units": one if self.count == 1 else many}

    def per_input(self) -> np.ndarray:
        """The counts of the map, int [rows, columns]."""
        return survivors.per_input(self.alive, self.wiring.window).cpu().numpy()

    def map(self) -> Sheet:
        """How many units keep each pixel's weight."""
        counts = self.per_input()
        title = MAP_TAPS if self.wiring.filters else MAP
        none, most = int((counts == 0).sum()), int(counts.max())
        rows, columns = counts.shape
        return Sheet(
            name="map",
            kind="counts",
            rows=rows,
            columns=columns,
            codes=counts.astype("<u2").tobytes(),
            width=MAP_PIXELS,
            height=round(MAP_PIXELS * rows / columns),
            title=title,
            text=MAP_TEXT.format(title=title, most=most, none=none, all=counts.size),
            cell=f"{MAP_CELL}{self.count}",
            legend={"none": MAP_NONE, "low": "1", "high": MAP_HIGH.format(most=most, all=self.count)},
        )

    def pictures(self) -> Sheet:
        """Each unit's weights, what is pruned of them, and whether the unit is dead."""
        rows, columns = self.wiring.window
        size = next(pixels for most, pixels in SIZES if len(self.order) <= most)
        alive = self.alive.view(self.count, -1)
        scale = survivors.reach(self.weights, alive)
        codes = survivors.shades(self.weights[self.order], alive[self.order], scale)
        order, most = self.order.tolist(), max(1, *self.into)
        return Sheet(
            name="units",
            kind="weights",
            rows=rows,
            columns=columns,
            codes=codes.cpu().numpy().tobytes(),
            width=size,
            height=round(size * rows / columns),
            title=UNITS_TITLE.format(name=self.layer.name, **self.named),
            note=UNITS_SOME.format(shown=len(order), all=self.count) if len(order) < self.count else "",
            text=UNITS_TEXT.format(told=self.told_dead(), **self.named),
            tips=[self._tip(i) for i in order],
            meters=[self.into[i] / most for i in order],
            dead=[self.dead[i] for i in order],
            legend={
                "none": PRUNED,
                "low": f"−{scale:.2g}",
                "high": f"+{scale:.2g}",
                "dead": DEAD_LEGEND,
                "meter": METER.format(most),
            },
        )

    def _tip(self, i: int) -> str:
        tip = UNIT_TIP.format(unit=self.named["unit"], i=i, into=self.into[i], fan_in=self.fan_in)
        if self.out is not None:
            tip += UNIT_TIP_OUT.format(out=self.out[i], fan_out=self.fan_out)
        return tip

    def told(self) -> str:
        """How much of it is kept, which pixels are lost and which units are dead, in words."""
        counts = self.per_input()
        none, all_ = int((counts == 0).sum()), counts.size
        words = (UNREAD_TAPS, ALL_TAPS) if self.wiring.filters else (UNREAD, ALL_READ)
        share = {"kept": sum(self.into), "all": self.alive.numel()}
        return " ".join(
            (
                KEPT.format(name=self.layer.name, share=share["kept"] / share["all"], **share),
                words[none == 0].format(none=none, all=all_),
                self.told_dead(),
            )
        )

    def told_dead(self) -> str:
        """How many units are dead, in words."""
        found = {"dead": sum(self.dead), **self.named}
        if not found["dead"]:
            return NONE_DEAD.format(**found)
        if self.out is None:
            return DEAD_IN.format(**found) + ("" if self.last else f" {NO_READER}")
        return DEAD.format(no_in=self.into.count(0), no_out=self.out.count(0), **found)


def other(frame: Frame, layer: Layer, width: int) -> Sheet:
    """What another layer keeps, block by block."""
    alive = survivors.kept(frame.view, layer.weight)
    shares = survivors.blocks(alive, BLOCKS)
    rows, columns = shares.shape
    name, kept = layer.name, int(alive.sum())
    text = LAYER_TEXT.format(name=name, kept=kept, all=alive.numel())
    tip = LAYER_TIP if shares.numel() == alive.numel() else LAYER_TIP_BLOCK
    return Sheet(
        name="layer",
        kind="shares",
        rows=rows,
        columns=columns,
        codes=_bytes(shares),
        width=width,
        height=min(width, max(20, round(width * rows / columns))),
        title=LAYER_TITLE.format(name=name, share=kept / alive.numel()),
        text=text,
        tips=[tip.format(text=text)],
    )


def _bytes(shares: Tensor) -> bytes:
    """Shares as a byte each; what is not 0 never becomes 0."""
    data: bytes = (shares * 255).ceil_().to(torch.uint8).cpu().numpy().tobytes()
    return data


def _told(frame: Frame, look: First | None) -> str:
    layers = frame.trainer.network.layout.layers
    if not layers:
        return NO_LAYERS
    start = as_of(frame)
    if frame.view.mask is None:
        start += NOT_YET if frame.lanes[0].experiment.pruning else NOTHING
    if look is None:
        pixels = frame.trainer.split.train.pixels.shape[1:].numel()
        return start + NO_PIXELS.format(pixels=pixels)
    return start + look.told()
