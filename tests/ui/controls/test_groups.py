"""What can be hidden, and who is heard: hands on any thread, but never code."""

import threading
from dataclasses import replace

import pytest
from hands import PATIENCE, by_class, move, told

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
    assert offered == [name for name in explorer._gallery.tabs if name != "gradients"]
    explorer.show("loss", "gradients")
    assert not hidden(explorer, "loss")
    assert hidden(explorer, "device")
    assert [tab["name"] for tab in explorer._gallery.bar.tabs] == list(explorer._gallery.tabs)


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
        explorer.hide(*explorer._gallery.tabs)


def test_a_hand_on_another_thread_is_heard_while_code_moves_the_controls(opened):
    explorer = opened()
    with explorer._quietly():
        explorer._controls["lr"].widget.value = 0.3  # code's: says nothing
        assert explorer.experiment.lr == 0.1
        hand = threading.Thread(target=move, args=(explorer, "epochs", 5))
        hand.start()
        hand.join(PATIENCE)
    assert explorer.experiment.epochs == 5
    assert told(explorer) == ""


def test_changes_from_many_threads_are_all_kept(opened):
    explorer = opened()
    moves = {"epochs": 4, "seed": 9, "batch_size": 64, "l1": 1e-4}
    hands = [threading.Thread(target=move, args=(explorer, *each)) for each in moves.items()]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(PATIENCE)
    assert {name: getattr(explorer.experiment, name) for name in moves} == moves


def test_an_error_without_words_has_its_name():
    assert groups.alert(ValueError("lr = −1: give more than 0")) == (
        '<div role="alert">lr = −1: give more than 0.</div>'
    )
    assert groups.alert(TimeoutError()).startswith('<div role="alert">TimeoutError. Press Reset')
    assert "OSError: disk &lt;1&gt;. Press Reset" in groups.alert(OSError("disk <1>."))


@pytest.mark.parametrize(("share", "text"), [(0.97, "97.0 %"), (0.9996, "99.96 %"), (1.0, "100.0 %")])
def test_nearly_all_is_not_told_as_all(opened, share, text):
    explorer = opened()
    camera = explorer.session.frames
    frame = explorer.session.call(lambda t: camera._frame(t, "idle", t.view(t.lanes[0]), None, [])).result(
        PATIENCE
    )
    assert status_line.facts(replace(frame, sparsity=share))["sparsity"] == text
