"""The row of tabs: a few lines of JavaScript of its own, so that the charts stay one widget."""

from collections.abc import Iterable
from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent
LABEL = "What to look at"


class TabBar(anywidget.AnyWidget):
    """Tabs by name, title and tooltip; `selected` is the name of the one that is shown."""

    _esm = (HERE / "tab_bar.js").read_text(encoding="utf-8")
    _css = (HERE / "tab_bar.css").read_text(encoding="utf-8")
    tabs = traitlets.List().tag(sync=True)
    label = traitlets.Unicode(LABEL).tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)

    def __init__(self, tabs: Iterable[tuple[str, str, str]]) -> None:
        super().__init__()
        self.offer(tabs)
        self.selected = self.tabs[0]["name"]

    def offer(self, tabs: Iterable[tuple[str, str, str]]) -> None:
        """Shows these tabs."""
        self.tabs = [{"name": name, "title": title, "tip": tip} for name, title, tip in tabs]
