"""The gallery: a row of tabs over one set of charts, of which only the tab that is shown is drawn."""

import threading
from collections.abc import Hashable, Iterable
from typing import Any

import ipywidgets as w

from explorer import registry
from explorer.engine.training.trainer import Trainer
from explorer.figures import theme
from explorer.ui.session.frames import Frame
from explorer.ui.tabs import TABS, Context, Tab
from explorer.ui.tabs.tab import Charts
from explorer.ui.widgets.export_menu import ExportMenu
from explorer.ui.widgets.live_chart import LiveChart
from explorer.ui.widgets.tab_bar import TabBar

NONE_LEFT = "one tab has to stay"
WORKING = "Working it out …"
TWICE = "tab {!r} has a chart {!r}, and so has another tab: chart names are unique among all tabs"


class TabPanel:
    """Tabs, their panels and the one chart widget that they share, below what all of them have."""

    def __init__(
        self,
        context: Context,
        kinds: Iterable[type[Tab]] | None = None,
        head: Iterable[w.Widget] = (),
    ) -> None:
        self._context = context
        self.tabs = {tab.name: tab for tab in (kind(context) for kind in kinds or TABS)}
        self.bar = TabBar((tab.name, tab.title, tab.tip) for tab in self.tabs.values())
        self.chart = LiveChart()
        self._hidden: set[str] = set()
        self._keys: dict[str, Hashable] = {}
        self._charts: dict[str, Charts] = {}
        self._drawn: set[str] = set()  # the tabs that have something to show
        self._lock = threading.RLock()  # the page chooses, the worker draws
        self._parts = {name: self._parts_of(tab) for name, tab in self.tabs.items()}
        above, below = ([parts[i] for parts in self._parts.values()] for i in (0, 1))
        self._waiting = w.HTML(f"<p>{WORKING}</p>").add_class("explorer-waiting")
        self.export = ExportMenu(lambda: context.session, self._page, self._tell, self._beside)
        panel = w.VBox([self._waiting, *above, self.chart, *below]).add_class("explorer-tabpanel")
        self.box = w.VBox([*head, self.bar, panel]).add_class("explorer-results")
        self.chart.show(())
        self._reveal_parts()
        self.bar.observe(self._on_chosen, "selected")

    @staticmethod
    def _parts_of(tab: Tab) -> tuple[w.Box, w.Box]:
        made = [w.VBox([part] if part else []) for part in (tab.panel, tab.below)]
        made[0].add_class(f"explorer-panel-{tab.name}")
        made[1].add_class(f"explorer-below-{tab.name}")
        return made[0], made[1]

    @property
    def selected(self) -> str:
        """The name of the tab that is shown."""
        name: str = self.bar.selected
        return name

    @selected.setter
    def selected(self, name: str) -> None:
        if name not in self.tabs:
            raise ValueError(registry.unknown("tab", name, self.tabs))
        self.bar.selected = name

    def draw(self, frame: Frame, tag: int) -> None:
        """Shows a frame in the tab that is shown; the others cost nothing."""
        with self._lock:
            tab = self.tabs[self.selected]
            self._build(tab, frame.trainer)
            tables = tab.tables(frame, self._context.session)
            self.chart.show(self._charts[tab.name])  # with all that is in it, at once
            self.chart.update(tables, tag=tag)
            if tab.name not in self._drawn:
                self._drawn.add(tab.name)
                self._reveal_parts()

    def reveal(self, name: str, on: bool) -> None:
        """Shows or hides a tab by name; the first one left is chosen where the present one goes."""
        (self._hidden.discard if on else self._hidden.add)(name)
        left = [tab for tab in self.tabs.values() if tab.name not in self._hidden]
        if not left:
            raise ValueError(NONE_LEFT)
        if self.selected in self._hidden:
            self.bar.selected = left[0].name
        self.bar.offer((tab.name, tab.title, tab.tip) for tab in left)

    def _page(self) -> tuple[str, dict[str, Any] | None]:
        """The name of the tab that is shown, and its charts and pictures as they are now, for export."""
        name, specs = self.selected, self.chart.specs()
        specs |= {n: chart.to_dict(validate=False) for n, chart in self.tabs[name].pictures().items()}
        return name, theme.page(specs) if specs else None

    def _beside(self) -> Charts:
        """The charts that an overview of the run has beside those of its record."""
        found = self._context.session.call(
            lambda trainer: [name for tab in self.tabs.values() for name in tab.overview(trainer)]
        )
        return {name: self.chart.chart(name) for name in found.result()}

    def _tell(self, error: Exception | None) -> None:
        """Puts an error of another thread into the error box, or empties it."""

        def told(_: Any) -> None:
            if error is not None:
                raise error

        self._context.guarded(told)(None)

    def close(self) -> None:
        """Ends what the tabs started."""
        for tab in self.tabs.values():
            tab.close()

    def _build(self, tab: Tab, trainer: Trainer) -> None:
        """Makes a tab's charts when it is first shown, and when what they depend on changes."""
        key = tab.key(trainer)
        if tab.name not in self._keys or self._keys[tab.name] != key:
            self._charts[tab.name] = tab.charts(trainer)
            self._keys[tab.name] = key
            self.chart.set_charts(
                self._together(), wide={name for t in self.tabs.values() for name in t.wide}
            )

    def _together(self) -> Charts:
        found: Charts = {}
        for tab, charts in self._charts.items():
            for name, chart in charts.items():
                if name in found:
                    raise ValueError(TWICE.format(tab, name))
                found[name] = chart
        return found

    def _on_chosen(self, change: Any) -> None:
        with self._lock:
            self._reveal_parts()
            self.chart.show(self._charts.get(self.selected, ()))
        self.tabs[change["old"]].hidden()
        self.tabs[change["new"]].shown()
        self._context.session.refresh()

    def _reveal_parts(self) -> None:
        """Shows the chosen tab's parts; until it is first drawn, that it is coming."""
        ready = self.selected in self._drawn
        self._waiting.layout.display = "none" if ready else None
        for name, parts in self._parts.items():
            for part in parts:
                part.layout.display = None if ready and name == self.selected and part.children else "none"
