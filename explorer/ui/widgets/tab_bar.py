"""Tab bar: the row of tabs alone, so that all of them can share one chart widget."""

from collections.abc import Iterable

import anywidget
import traitlets

from explorer.ui.widgets import assets

LABEL = "What to look at"


class TabBar(anywidget.AnyWidget):
    """Tabs by name, title and tooltip; `selected` is the name of the one that is shown."""

    _esm = assets.script("tab_bar.js")
    _css = assets.style("tab_bar.css")
    tabs = traitlets.List(traitlets.Dict()).tag(sync=True)  # name, title and tip of each
    label = traitlets.Unicode(LABEL).tag(sync=True)  # what a screen reader calls the row
    selected = traitlets.Unicode().tag(sync=True)  # a name; the page and the kernel set it

    def __init__(self, tabs: Iterable[tuple[str, str, str]]) -> None:
        super().__init__()
        self.offer(tabs)
        self.selected = self.tabs[0]["name"]

    def offer(self, tabs: Iterable[tuple[str, str, str]]) -> None:
        """Show these tabs."""
        self.tabs = [{"name": name, "title": title, "tip": tip} for name, title, tip in tabs]
