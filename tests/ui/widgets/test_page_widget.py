"""The Python half of the page widget; tests/browser has the other."""

from ipywidgets import FloatSlider

from explorer.ui.widgets.page import Page


def test_grab_and_release_reach_the_callback():
    calls, sliders = [], [FloatSlider(), FloatSlider()]
    page = Page(lambda what, values: calls.append((what, values)), sliders)
    assert page.sliders == [slider.model_id for slider in sliders]  # the page sends their values along
    for what in ("grab", "release", "nonsense"):
        page._handle_custom_msg({"type": what, "values": [0.5, 2]}, [])
    assert calls == [("grab", [0.5, 2]), ("release", [0.5, 2])]


def test_an_explorer_has_one_in_its_tree_that_knows_it(opened):
    explorer = opened()
    [page] = [child for child in explorer.children if isinstance(child, Page)]
    assert page.root == explorer.model_id
    assert page.sliders == [explorer._threshold.share.model_id, explorer._threshold.score.model_id]
    page._handle_custom_msg({"type": "release", "values": [70, 1.0]}, [])
    assert explorer.experiment.pruning.threshold == 0.7
