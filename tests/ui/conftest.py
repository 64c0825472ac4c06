"""Explorers without a page: no Vega, few images, and charts that are made once for all tests."""

import pytest
from hands import PATIENCE, settled

from explorer.ui.widgets import live_chart, vega

CHARTS = {}
VIEWS = {}


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch):
    """What is tested here needs no Vega in the page, which takes two seconds to bundle."""
    monkeypatch.setattr(vega, "module", lambda _: "export default {}")


@pytest.fixture(autouse=True)
def _charts_made_once(monkeypatch):
    """What a tab's charts depend on gives the same charts, which Altair takes 0.3 s to build and check."""
    from explorer.ui.tabs import TABS

    def view(name, chart, wide, make=live_chart._view):
        if (name, id(chart), wide) not in VIEWS:
            VIEWS[name, id(chart), wide] = (
                chart,
                make(name, chart, wide),
            )  # a chart that is kept has its own id
        return VIEWS[name, id(chart), wide][1]

    monkeypatch.setattr(live_chart, "_view", view)

    for kind in TABS:

        def charts(self, trainer, build=kind.charts):
            key = (type(self), self.key(trainer))
            if key not in CHARTS:
                CHARTS[key] = build(self, trainer)
            return CHARTS[key]

        monkeypatch.setattr(kind, "charts", charts)


@pytest.fixture
def opened(tiny):
    """Returns a function that makes an Explorer on few images; all are closed after the test."""
    from explorer.ui.explorer import Explorer

    made = []

    def open_(**fields):
        made.append(Explorer(tiny(**fields), device="cpu"))
        made[-1].session.call(id).result(PATIENCE)  # the untrained network is shown
        return made[-1]

    yield open_
    for each in made:
        each.close()


@pytest.fixture
def trained(opened):
    """Returns a function that trains an explorer to its end and shows a tab of it; gives both."""

    def train(tab, **fields):
        explorer = opened(**fields)
        explorer.session.start()
        explorer.wait(PATIENCE)
        explorer.tab = tab
        return explorer, settled(explorer)

    return train
