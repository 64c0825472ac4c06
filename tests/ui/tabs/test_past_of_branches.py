"""Looking back beyond a branch: the tabs speak of the settings of then, not of those that came after."""

import pytest
from hands import PATIENCE, chart_data, page_says, settled, tab_of, told


@pytest.fixture
def looking_back(opened):
    """Returns a function that trains two epochs, branches at step 20, looks at step 16 and shows a tab."""

    def look(tab, changes, **fields):
        explorer = opened(**{"lr": 0.3, "epochs": 2, **fields})
        explorer.session.start()
        explorer.wait(PATIENCE)
        explorer.session.branch(20, explorer.experiment.replace(changes))
        explorer.wait(PATIENCE)
        explorer.tab = tab
        settled(explorer)
        explorer.session.view_step(16)
        shown = settled(explorer)
        assert told(explorer) == ""
        return explorer, shown

    return look


def early(**pruning):
    return {"threshold": 0.97, "begin_epoch": 0.5, **pruning}


def test_a_cut_off_of_other_scores_is_not_drawn_among_the_weights(looking_back):
    explorer, _ = looking_back(
        "weights", {"pruning.criterion": "magnitude"}, pruning=early(criterion="gradient")
    )
    assert chart_data(explorer, "weights-fc1")["cutoffs"] == []
    explorer.session.view_step(None)
    settled(explorer)
    assert len(chart_data(explorer, "weights-fc1")["cutoffs"]) == 2


def test_layers_that_only_then_were_scored_do_no_harm(looking_back):
    explorer, _ = looking_back(
        "weights", {"pruning.options": {"spare_last": True}}, pruning=early(criterion="gradient")
    )
    assert chart_data(explorer, "scores-fc1")["cutoffs"]
    assert chart_data(explorer, "weights-fc2")["note"][0]["text"].endswith("of 1,280 kept")


def test_the_alarm_advises_against_what_was_done_then(looking_back):
    explorer, tab = looking_back("weights", {"pruning.allocation": "erk"}, pruning=early(threshold=0.999))
    assert "allocation “uniform” or “erk”" in tab.densities.value
    explorer.session.view_step(None)
    settled(explorer)
    assert "allocation “uniform”" not in tab.densities.value


@pytest.mark.parametrize("now", [{"clipping.max_norm": 2.0}, {"clipping": None}], ids=["another", "none"])
def test_the_clip_norm_is_the_one_of_then(looking_back, now):
    explorer, _ = looking_back("gradients", now, pruning=early(), clipping={"rule": "norm", "max_norm": 0.25})
    then = chart_data(explorer, "gradients")
    assert [row["value"] for row in then["clip"]] == [0.25]
    assert then["note"][0]["text"] == "100 % of the last 16 steps clipped"
    assert len(chart_data(explorer, "clip-share")["shares"]) == 4
    explorer.session.view_step(None)
    settled(explorer)
    assert [row["value"] for row in chart_data(explorer, "gradients")["clip"]] == [2.0] * (
        "clipping" not in now
    )


def test_a_dense_run_that_was_pruned_later_was_one_network_then(looking_back):
    _, tab = looking_back("digits", {"pruning": {"threshold": 0.9, "begin_epoch": 1.5}}, pruning=None)
    assert "As of epoch 1. Nothing is pruned yet: the two networks are still one." in tab.summary_text.value


def test_the_pad_asks_networks_of_then_by_their_own_loss(looking_back):
    explorer, tab = looking_back("digits", {"loss": "cross-entropy"}, loss="mse", pruning=early())
    page_says(tab.pad, {"type": "random"})
    settled(explorer)
    assert tab.pad._bars["unit"] == "output"
    explorer.session.view_step(None)
    settled(explorer)
    assert tab_of(explorer, "digits").pad._bars["unit"] == "probability"
