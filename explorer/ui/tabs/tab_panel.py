"""A row of tabs over one chart widget; only the tab that is shown is drawn."""

import threading
from collections.abc import Hashable, Iterable
from typing import Any

import ipywidgets as w

from explorer import registry
from explorer.engine.training.trainer import Trainer
from explorer.figures import combining
from explorer.ui.session.frames import Frame
from explorer.ui.tabs import TABS, Context, Tab
from explorer.ui.tabs.tab import Charts
from explorer.ui.widgets.export_menu import ExportMenu
from explorer.ui.widgets.live_chart import LiveChart
from explorer.ui.widgets.tab_bar import TabBar

NONE_LEFT = "one tab has to stay"
WORKING = "Working it out …"


class TabPanel:
    """Tabs, their panels and the one chart widget that they share, below what all of them have.

    Args:
        context: what the tabs may use.
        kinds: the tabs in order, by default all.
        head: what stands above them.
    """

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
        self._ready: set[str] = set()  # the tabs that have something to show
        self._lock = threading.RLock()  # the page selects, the worker draws
        self._parts = {name: self._parts_of(tab) for name, tab in self.tabs.items()}
        above, below = ([parts[i] for parts in self._parts.values()] for i in (0, 1))
        self._waiting = w.HTML(f"<p>{WORKING}</p>").add_class("explorer-waiting")
        self.export = ExportMenu(lambda: context.session, self._page, self._report, self._overview)
        panel = w.VBox([self._waiting, *above, self.chart, *below]).add_class("explorer-tabpanel")
        self.box = w.VBox([*head, self.bar, panel]).add_class("explorer-results")
        self.chart.show(())
        self._reveal_parts()
        self.bar.observe(self._on_selected, "selected")

    @staticmethod
    def _parts_of(tab: Tab) -> tuple[w.Box, w.Box]:
        above, below = (w.VBox([part] if part else []) for part in (tab.panel, tab.below))
        return above.add_class(f"explorer-panel-{tab.name}"), below.add_class(f"explorer-below-{tab.name}")

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
        """Draw a frame in the tab that is shown; the others cost nothing."""
        with self._lock:
            tab = self.tabs[self.selected]
            self._build(tab, frame.trainer)
            tables: dict[Any, Any] = tab.tables(frame, self._context.session)
            self.chart.show(self._charts[tab.name])  # with all that is in it, at once
            self.chart.update(tables, tag=tag)
            if tab.name not in self._ready:
                self._ready.add(tab.name)
                self._reveal_parts()

    def reveal(self, name: str, on: bool) -> None:
        """Show or hide a tab by name; the first one left is selected where the present one goes."""
        (self._hidden.discard if on else self._hidden.add)(name)
        left = [tab for tab in self.tabs.values() if tab.name not in self._hidden]
        if not left:
            raise ValueError(NONE_LEFT)
        if self.selected in self._hidden:
            self.bar.selected = left[0].name
        self.bar.offer((tab.name, tab.title, tab.tip) for tab in left)

    def _page(self) -> tuple[str, dict[str, Any] | None]:
        """Return the name of the tab that is shown, and its charts and pictures as they are now."""
        name, specs = self.selected, self.chart.specs()
        specs |= {n: chart.to_dict(validate=False) for n, chart in self.tabs[name].pictures().items()}
        return name, combining.page(specs) if specs else None

    def _overview(self) -> Charts:
        """Return the charts that an overview of the run has beside those of its record."""
        names = self._context.session.call(
            lambda trainer: [name for tab in self.tabs.values() for name in tab.overview(trainer)]
        )
        return {name: self.chart.chart(name) for name in names.result()}

    def _report(self, error: Exception | None) -> None:
        """Put an error of another thread into the error box, or empty it."""

        def fail(_: Any) -> None:
            if error is not None:
                raise error

        self._context.guarded(fail)(None)

    def close(self) -> None:
        """End what the tabs started."""
        for tab in self.tabs.values():
            tab.close()

    def _build(self, tab: Tab, trainer: Trainer) -> None:
        """Make a tab's charts when it is first shown, and when what they depend on changes."""
        key = tab.key(trainer)
        if tab.name not in self._keys or self._keys[tab.name] != key:
            self._charts[tab.name] = tab.charts(trainer)
            self._keys[tab.name] = key
            wide = {name for each in self.tabs.values() for name in each.wide}
            self.chart.set_charts(self._all_charts(), wide=wide)

    def _all_charts(self) -> Charts:
        all_charts: Charts = {}
        for tab, charts in self._charts.items():
            for name, chart in charts.items():
                if name in all_charts:
                    raise ValueError(_twice(tab, name))
                all_charts[name] = chart
        return all_charts

    def _on_selected(self, change: Any) -> None:
        with self._lock:
            self._reveal_parts()
            self.chart.show(self._charts.get(self.selected, ()))
        self.tabs[change["old"]].on_hide()
        self.tabs[change["new"]].on_show()
        self._context.session.refresh()

    def _reveal_parts(self) -> None:
        """Show the selected tab's parts; until it is first drawn, that it is coming."""
        ready = self.selected in self._ready
        self._waiting.layout.display = "none" if ready else None
        for name, parts in self._parts.items():
            for part in parts:
                part.layout.display = None if ready and name == self.selected and part.children else "none"


def _twice(tab: str, chart: str) -> str:
    return f"tab {tab!r} has a chart {chart!r}, and so has another tab: chart names are unique among all tabs"
