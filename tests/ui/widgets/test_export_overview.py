"""The overview that Export writes has the trade-off where its curve is of these very weights."""

import json

import pytest
from hands import PATIENCE, settled

pytestmark = pytest.mark.slow


def written(explorer, folder):
    path = explorer._gallery.export.write("overview", "json", folder)
    return json.loads(path.read_text(encoding="utf-8"))["datasets"]


def test_the_trade_off_is_there_once_it_has_been_looked_at_and_while_it_holds(opened, tmp_path):
    explorer = opened()
    explorer.session.start()
    explorer.wait(PATIENCE)
    explorer.tab = "tradeoff"
    follower = explorer._gallery.tabs["tradeoff"].follower
    while not explorer.session.call(follower.is_current).result(PATIENCE):
        settled(explorer)
    settled(explorer)
    explorer.tab = "live"
    assert len(written(explorer, tmp_path)["tradeoff-curve"]) > 10
    explorer.experiment = explorer.experiment.replace({"pruning.criterion": "random"})
    explorer.session.start()
    explorer.wait(PATIENCE)
    now = written(explorer, tmp_path)
    assert "digits-flips" in now
    assert "tradeoff-curve" not in now
