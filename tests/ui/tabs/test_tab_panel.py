"""Tabs: only the one that is shown is drawn, and a new one is told nothing but its context."""

import threading
from collections import Counter

import ipywidgets as w
import pytest
from hands import PATIENCE, by_class, chart_data, settled, tab_of

from explorer import figures
from explorer.ui.explorer import Explorer
from explorer.ui.tabs import TABS, Context, Tab
from explorer.ui.tabs.tab_panel import TabPanel


def shown(explorer):
    """The datasets of the last message to the page, by chart."""
    return Counter(head["chart"] for head in explorer._chart.sent[-1]["tables"])


@pytest.fixture
def watched(opened):
    """An explorer whose messages to the page are kept."""
    explorer = opened()
    explorer._chart.sent = []
    explorer._chart.send = lambda content, buffers=(): explorer._chart.sent.append(content)  # noqa: ARG005
    return explorer


def test_names_titles_and_tips_are_there_and_live_comes_first():
    assert TABS[0].name == "live"
    assert len({kind.name for kind in TABS}) == len(TABS)
    assert all(kind.title and kind.tip for kind in TABS)


def test_a_frame_sends_the_shown_tab_alone(watched):
    for tab, charts in (
        ("weights", {"weights-fc1", "weights-fc2"}),
        ("gradients", {"gradients", "clip-share", "gradient-depth", "gradient-spread"}),
        ("live", {"accuracy", "loss", "shift", "sparsity"}),
    ):
        watched.tab = tab
        settled(watched)
        assert set(shown(watched)) == charts
        assert set(watched._chart.visible) == charts


def test_hidden_tabs_are_asked_for_nothing(opened, monkeypatch):
    asked = Counter()
    for kind in TABS:

        def tables(self, frame, session, build=kind.tables):
            asked[self.name] += 1
            return build(self, frame, session)

        monkeypatch.setattr(kind, "tables", tables)
    explorer = opened()
    explorer.session.start()
    explorer.wait(PATIENCE)
    assert set(asked) == {"live"}
    assert set(explorer._gallery._charts) == {"live"}  # nor are their charts made


def test_choosing_a_tab_draws_the_present_state_without_a_step(watched):
    watched.session.start()
    watched.wait(PATIENCE)
    watched.tab = "weights"
    settled(watched)
    kept = chart_data(watched, "weights-fc1")["note"]
    assert kept[0]["text"].endswith("of 100,352 kept")
    assert watched.session.status == "done"


def test_a_tab_says_that_it_is_coming_until_it_is_drawn_for_the_first_time(opened):
    explorer, go = opened(), threading.Event()
    [waiting] = by_class(explorer, "waiting")
    [told] = by_class(explorer, "panel-digits")
    settled(explorer)
    explorer.session.call(lambda _: go.wait(PATIENCE))  # the worker is busy
    explorer.tab = "digits"
    assert (waiting.layout.display, told.layout.display) == (None, "none")
    go.set()
    settled(explorer)
    assert (waiting.layout.display, told.layout.display) == ("none", None)
    explorer.tab = "live"
    assert waiting.layout.display == "none"  # it is there already


def test_an_unknown_tab_is_refused_with_advice(opened):
    with pytest.raises(ValueError, match=r"did you mean 'weights'"):
        opened().tab = "weight"


def test_another_network_makes_the_charts_of_the_shown_tab_anew(watched):
    watched.tab = "weights"
    watched.session.set({"model": "lenet-300-100"})
    settled(watched)
    assert set(shown(watched)) == {"weights-fc1", "weights-fc2", "weights-fc3"}


class Mine(Tab):
    """A tab as somebody else would write it."""

    name, title, tip = "mine", "Mine", "My own"

    def __init__(self, context):
        super().__init__(context)
        self.heard = []
        self.panel, self.below = w.HTML("above"), w.HTML("below")

    def charts(self, trainer):
        return {"mine": figures.gradients(epochs=trainer.lanes[0].experiment.epochs)}

    def tables(self, frame, session):
        self.panel.value = f"{session.status} {frame.trainer.step}"
        return {("mine", "note"): {"text": ["hello"]}}

    def on_show(self):
        self.heard.append("shown")

    def on_hide(self):
        self.heard.append("hidden")

    def close(self):
        self.heard.append("close")


def test_a_tab_of_somebody_elses_needs_one_line(tiny, monkeypatch):
    monkeypatch.setattr("explorer.ui.tabs.tab_panel.TABS", (*TABS, Mine))
    explorer = Explorer(tiny(), device="cpu")
    tab = tab_of(explorer, "mine")
    above, below = by_class(explorer, "panel-mine")[0], by_class(explorer, "below-mine")[0]
    settled(explorer)
    assert (above.layout.display, below.layout.display) == ("none", "none")
    explorer.tab = "mine"
    settled(explorer)
    assert (above.layout.display, below.layout.display) == (None, None)
    assert tab.panel.value == "idle 0"
    assert chart_data(explorer, "mine")["note"] == [{"text": "hello"}]
    explorer.tab = "live"
    explorer.close()
    assert tab.heard == ["shown", "hidden", "close"]


def test_two_tabs_with_a_chart_of_one_name_are_told(tiny):
    class Twin(Mine):
        name = "twin"

    explorer = Explorer(tiny(), device="cpu")
    gallery = TabPanel(Context(explorer.session, None, None, None), (Mine, Twin))
    trainer = explorer.session.call(lambda trainer: trainer).result(PATIENCE)
    gallery._build(gallery.tabs["mine"], trainer)
    with pytest.raises(ValueError, match="tab 'twin' has a chart 'mine'"):
        gallery._build(gallery.tabs["twin"], trainer)
    explorer.close()
