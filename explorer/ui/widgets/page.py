"""Page: what the page tells of an explorer as a whole, and does for it, that ipywidgets leaves out."""

from collections.abc import Callable, Iterable
from typing import Any

import anywidget
import traitlets
from ipywidgets import Widget

from explorer.ui.widgets import assets


class Page(anywidget.AnyWidget):
    """An invisible element of the ``.explorer`` that it stands in: one for each explorer.

    It hears the slider ``.explorer-threshold`` being grabbed and let go, names controls for a screen reader
    and reads out the state, shows the tooltips of what has a label, and keeps single keys from Jupyter.

    Args:
        on_threshold: Called with "grab" as the user takes hold of the threshold and "release" on letting go,
            and with the values that ``sliders`` have on the page: their own last messages may come later.
        sliders: The sliders whose values go along.
    """

    _esm = assets.script("page.js")
    _css = assets.style("page.css")
    sliders = traitlets.List(traitlets.Unicode()).tag(sync=True)  # the ids of their models
    root = traitlets.Unicode().tag(
        sync=True
    )  # the id of the explorer's model, whose widgets get their tooltips

    def __init__(
        self, on_threshold: Callable[[str, list[float]], Any], sliders: Iterable[Widget] = ()
    ) -> None:
        super().__init__(sliders=[slider.model_id for slider in sliders])
        self._on_threshold = on_threshold
        self.add_class("explorer-page")
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"type": "grab" | "release" as what, "values": values}:
                self._on_threshold(what, values)
