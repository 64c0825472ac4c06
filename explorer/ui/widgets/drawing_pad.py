"""A pad to draw a digit on, and what each network answers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from torch import Tensor

HERE = Path(__file__).parent
# Every string that a person reads here.
WORDS = {
    "title": "Draw a digit",
    "pad": "A pad for mouse, pen or finger; the button below takes a validation image instead.",
    "clear": "Clear",
    "clear_tip": "Take the drawing away",
    "random": "Random image",
    "random_tip": "One of the validation images, by chance",
    "empty": "Draw a digit, or take a random one of the validation images.",
    "seen": "as the networks see it",
}
TOLD = "{net} answers {answer} ({share:.0f}\N{NO-BREAK SPACE}%)"


class Sketch(anywidget.AnyWidget):
    """A pad: `on_drawn` hears what is drawn, `on_asked` that a validation image is wanted.

    Both are called on a thread of the kernel, not on the session's.
    """

    _esm = (HERE / "drawing_pad.js").read_text(encoding="utf-8")
    _css = (HERE / "drawing_pad.css").read_text(encoding="utf-8")
    _words = traitlets.Dict(WORDS).tag(sync=True)
    _seen = traitlets.Bytes().tag(sync=True)  # 28 x 28
    _bars = traitlets.Dict().tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)  # where the image comes from, in words; "" for a drawing
    offers = traitlets.Bool(True).tag(sync=True)  # whether there are validation images to take

    def __init__(
        self, on_drawn: Callable[[Tensor], None], on_asked: Callable[[], None], on_cleared: Callable[[], None]
    ) -> None:
        super().__init__()
        self._calls = {"random": on_asked, "clear": on_cleared}
        self._on_drawn = on_drawn
        self.on_msg(self._hear)

    def _hear(self, _widget: Any, content: Any, buffers: Any) -> None:
        match content:
            case {"type": "drawn", "side": int(side)}:
                ink = np.frombuffer(buffers[0], np.uint8).reshape(side, side)
                self._on_drawn(torch.from_numpy(ink.copy()))
            case {"type": "random" | "clear" as what}:
                self._calls[what]()

    def clear(self) -> None:
        """Shows an empty pad."""
        with self.hold_sync():
            self._seen, self._bars, self.source = b"", {}, ""

    def show(
        self, pixels: Tensor, names: Sequence[str], found: dict[str, list[float]], *, source: str, unit: str
    ) -> None:
        """Shows an image, uint8 [28, 28], and the outputs of each network by its name."""
        told = [
            TOLD.format(
                net=net, answer=names[max(range(len(names)), key=values.__getitem__)], share=100 * max(values)
            )
            for net, values in found.items()
        ]
        with self.hold_sync():
            self._seen, self.source = pixels.cpu().numpy().tobytes(), source
            self._bars = {"names": list(names), "nets": found, "told": "; ".join(told), "unit": unit}
