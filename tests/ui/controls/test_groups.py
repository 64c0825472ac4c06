"""What can be hidden, and that the hands on all threads are heard."""

import threading
from dataclasses import replace

import pytest
from hands import PATIENCE, by_class, move, settled

from explorer.ui.controls import groups, status_line
from explorer.ui.explorer import Explorer


def hidden(explorer, name):
    return all("explorer-hidden" in widget._dom_classes for widget in by_class(explorer, name))


def test_controls_and_tabs_are_hidden_and_shown_by_name(opened):
    explorer = opened()
    explorer.hide("loss", "device", "gradients", "preset")
    assert all(hidden(explorer, name) for name in ("loss", "device", "preset"))
    assert not hidden(explorer, "model")
    offered = [tab["name"] for tab in explorer._gallery.bar.tabs]
    assert offered == [name for name in explorer.tabs if name != "gradients"]
    explorer.show("loss", "gradients")
    assert not hidden(explorer, "loss")
    assert hidden(explorer, "device")
    assert [tab["name"] for tab in explorer._gallery.bar.tabs] == list(explorer.tabs)


def test_an_explorer_can_begin_without_some(tiny):
    explorer = Explorer(tiny(), device="cpu", hide=("loss", "live"))
    assert hidden(explorer, "loss")
    assert explorer.tab == "weights"
    explorer.close()


def test_a_group_goes_with_the_last_of_its_controls(opened):
    explorer = opened()
    names = groups.GROUPS["Gradients"]
    explorer.hide(*names)
    assert hidden(explorer, "group-gradients")
    explorer.show(names[0])
    assert not hidden(explorer, "group-gradients")


@pytest.mark.parametrize(("name", "told"), [("los", "did you mean 'loss'"), ("everything", "is not known")])
def test_what_is_not_there_cannot_be_hidden(opened, name, told):
    with pytest.raises(ValueError, match=told):
        opened().hide(name)


def test_the_last_tab_stays(opened):
    explorer = opened()
    with pytest.raises(ValueError, match="one tab has to stay"):
        explorer.hide(*explorer.tabs)


def test_changes_from_many_threads_are_all_kept(opened):
    explorer = opened()
    moves = {"epochs": 4, "seed": 9, "batch_size": 64, "l1": 1e-4}
    hands = [threading.Thread(target=move, args=(explorer, *each)) for each in moves.items()]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(PATIENCE)
    assert {name: getattr(explorer.experiment, name) for name in moves} == moves


@pytest.mark.parametrize(("share", "text"), [(0.97, "97.0 %"), (0.9996, "99.96 %"), (1.0, "100.0 %")])
def test_nearly_all_is_not_told_as_all(opened, share, text):
    explorer, frames = opened(), []
    explorer.session.frames.on_frame = frames.append
    explorer.session.refresh()
    settled(explorer)
    assert status_line.facts(replace(frames[-1], sparsity=share))["sparsity"] == text
