"""Explorers without a page: no Vega, few images, and charts that are made once for all tests."""

import pytest
from hands import PATIENCE

from explorer.ui import live_chart

CHARTS = {}


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch):
    """What is tested here needs no Vega in the page, which takes two seconds to bundle."""
    monkeypatch.setattr(live_chart, "module", lambda: "export default {}")


@pytest.fixture(autouse=True)
def _charts_made_once(monkeypatch):
    """What a tab's charts depend on gives the same charts, which Altair takes 0.3 s to build."""
    from explorer.ui.tabs import TABS

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
    from explorer.ui.dashboard import Explorer

    made = []

    def open_(**fields):
        made.append(Explorer(tiny(**fields), device="cpu"))
        made[-1].session.call(id).result(PATIENCE)  # the untrained network is shown
        return made[-1]

    yield open_
    for each in made:
        each.close()
