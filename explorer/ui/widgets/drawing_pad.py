"""Drawing pad: a digit drawn by hand, and what each network answers."""

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from torch import Tensor

from explorer.ui.widgets import assets

# Every string that a person reads here.
WORDS = {
    "title": "Draw a digit",
    "pad": "A pad for mouse, pen or finger; the button below takes a validation image instead.",
    "clear": "Clear",
    "clear_tip": "Take the drawing away",
    "random": "Random image",
    "random_tip": "One of the validation images, by chance",
    "empty": "Draw a digit, or take a random one of the validation images.",
    "image": "as the networks see it",
}
ANSWER = "{net} answers {answer} ({share:.0f}\N{NO-BREAK SPACE}%)"


class DrawingPad(anywidget.AnyWidget):
    """A pad, its buttons, and a bar for each class and network.

    The callbacks come on a thread of the kernel, not on the session's.

    Args:
        on_draw: Called with what is on the pad, uint8 [side, side], while and after it is drawn.
        on_random: Called where a validation image is asked for.
        on_clear: Called where the drawing is taken away.
    """

    _esm = assets.script("drawing_pad.js")
    _css = assets.style("drawing_pad.css")
    _words = traitlets.Dict(WORDS).tag(sync=True)  # what a person reads there
    _image = traitlets.Bytes().tag(sync=True)  # uint8 [H, W], as the networks see it; empty for none
    _shape = traitlets.List([28, 28]).tag(sync=True)  # its rows and columns
    _bars = traitlets.Dict().tag(sync=True)  # names, nets: their outputs, text: the answers, unit
    source = traitlets.Unicode().tag(sync=True)  # where the image comes from, in words; "" for a drawing
    offers = traitlets.Bool(True).tag(sync=True)  # whether there are validation images to take

    def __init__(
        self, on_draw: Callable[[Tensor], None], on_random: Callable[[], None], on_clear: Callable[[], None]
    ) -> None:
        super().__init__()
        self._callbacks = {"random": on_random, "clear": on_clear}
        self._on_draw = on_draw
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: Any, buffers: Any) -> None:
        match content:
            case {"type": "draw", "side": int(side)}:
                ink = np.frombuffer(buffers[0], np.uint8).reshape(side, side)
                self._on_draw(torch.from_numpy(ink.copy()))
            case {"type": "random" | "clear" as what}:
                self._callbacks[what]()

    def clear(self) -> None:
        """Show an empty pad."""
        with self.hold_sync():
            self._image, self._bars, self.source = b"", {}, ""

    def show(
        self, pixels: Tensor, names: Sequence[str], outputs: dict[str, list[float]], *, source: str, unit: str
    ) -> None:
        """Show an image, uint8 [H, W], and the outputs of each network by its name."""
        text = "; ".join(_answer(net, names, values) for net, values in outputs.items())
        with self.hold_sync():
            self._shape, self._image = list(pixels.shape), pixels.cpu().numpy().tobytes()
            self.source = source
            self._bars = {"names": list(names), "nets": outputs, "text": text, "unit": unit}


def _answer(net: str, names: Sequence[str], outputs: Sequence[float]) -> str:
    best = max(range(len(names)), key=outputs.__getitem__)
    return ANSWER.format(net=net, answer=names[best], share=100 * max(outputs))
