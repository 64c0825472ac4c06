"""The Gradients tab: before and after clipping, how often, and layer by layer."""

import numpy as np
import pytest
import torch
from hands import PATIENCE, chart_data, settled

from explorer.figures import layer_gradients
from explorer.ui.tabs.gradients import Gradients, _counted


@pytest.fixture
def gradients(trained):
    """Returns a function that trains an explorer and gives it with the tables of its Gradients tab."""

    def open_(**fields):
        explorer, _ = trained("gradients", **fields)
        return explorer, lambda chart: chart_data(explorer, chart)

    return open_


def test_a_clipped_step_has_a_mark_before_and_one_after(gradients):
    explorer, of = gradients(clipping={"rule": "norm", "max_norm": 0.4})
    log = explorer.session.call(lambda trainer: trainer.flush()).result(PATIENCE)
    marks = of("gradients")["norms"]
    after = [mark["norm"] for mark in marks if mark["state"] == "after clipping"]
    assert len(after) == sum(mark["state"] == "clipped" for mark in marks) > 0
    assert len(marks) == len(log) + len(after)
    assert after == pytest.approx([0.4] * len(after), rel=1e-4)
    assert all(mark["norm"] > 0.4 for mark in marks if mark["state"] == "clipped")


def test_bars_hold_every_step_once(gradients):
    explorer, of = gradients(clipping={"rule": "norm", "max_norm": 0.4}, epochs=2)
    log = explorer.session.call(lambda trainer: trainer.flush()).result(PATIENCE)
    bars = of("clip-share")["shares"]
    assert len(bars) == 8
    assert sum(bar["steps"] for bar in bars) == len(log) == 32
    clipped = sum(bar["share"] / 100 * bar["steps"] for bar in bars)
    assert clipped == pytest.approx(sum(step[3][0] for step in log))
    assert (bars[0]["epoch"], bars[-1]["until"]) == (0, 2)


def test_without_clipping_it_is_said_and_no_bar_drawn(gradients):
    _, of = gradients(clipping=None)
    assert of("clip-share")["shares"] == []
    assert of("clip-share")["note"] == of("gradients")["note"] == [{"text": "no clipping"}]


@pytest.mark.slow
def test_depth_shows_what_was_recorded_first_and_last(gradients):
    explorer, of = gradients(model="deep-sigmoid")
    history = explorer.run.history.drop_nulls("layer")
    norms = history.filter(history["metric"] == "grad_norm").sort("step", maintain_order=True)["value"]
    shown = [row["norm"] for row in of("gradient-depth")["norms"]]
    assert shown == pytest.approx([*norms[:9], *norms[-9:]], rel=1e-5)
    assert [row["place"] for row in of("gradient-depth")["norms"]] == [*range(9)] * 2


def test_entries_are_all_counted_and_zeros_told(gradients):
    explorer, of = gradients(pruning={"threshold": 0.5})
    spread = of("gradient-spread")
    gradient = explorer.session.call(lambda trainer: trainer.gradient[trainer.lanes[0].row]).result(PATIENCE)
    layers = explorer.session.call(lambda trainer: trainer.network.layout.layers).result(PATIENCE)
    for place, layer in enumerate(layers):
        own = layer.weight.of(gradient)
        counted = sum(row["count"] for row in spread["bins"] if row["layer"] == layer.name)
        assert counted == int(own.count_nonzero())
        zero = 1 - counted / len(own)
        assert spread["zeros"][place]["text"] == f"{100 * zero:.1f} % are 0"


def test_entries_go_into_the_bin_of_their_size():
    counts, zeros = _counted(torch.tensor([0.0, 0.0, 1.5e-3, -1.5e-3, 1e-30, 1e9]))
    edges = layer_gradients.edges()
    assert zeros == 2
    assert counts.sum() == 4
    assert counts[np.searchsorted(edges, np.log10(1.5e-3)) - 1] == 2
    assert counts[0] == counts[-1] == 1  # what lies beyond the edges


def test_layers_are_worked_out_at_records_alone(gradients, monkeypatch):
    tables, build = [], Gradients.tables
    monkeypatch.setattr(Gradients, "tables", lambda *args: tables.append(build(*args)) or tables[-1])
    explorer, _ = gradients()
    settled(explorer)
    layers = ("gradient-depth", "norms"), ("gradient-spread", "bins")
    before = tables[-1]
    explorer.session.refresh()
    settled(explorer)
    assert tables[-1] is not before
    assert all(tables[-1][name] is before[name] for name in layers)
    explorer.session.start()
    explorer.wait(PATIENCE)
    settled(explorer)
    assert not any(tables[-1][name] is before[name] for name in layers)
