"""Whatever has a name can be hidden and shown by it."""

import pytest
from hands import by_class, inside, move

from explorer.ui.controls import labels, method_options
from explorer.ui.explorer import Explorer

ALONE = {"train", "pause", "stop", "reset", "export", "preset", "history", "progress", "status"}
CLASSES = {"export": "exporting", "history": "past"}


def hidden(explorer, name):
    if name == "threshold":  # one of its two sliders is hidden anyhow
        slider = explorer.controls["threshold"]
        [box] = [each for each in inside(explorer) if slider in getattr(each, "children", ())]
        return "explorer-hidden" in box._dom_classes
    found = by_class(explorer, CLASSES.get(name, name.replace("_", "-")))
    assert found, name
    return all("explorer-hidden" in widget._dom_classes for widget in found)


def test_every_control_and_button_goes_and_comes_back(opened):
    explorer = opened()
    names = sorted({*ALONE, *labels.CONTROLS})
    explorer.hide(*names)
    assert [name for name in names if not hidden(explorer, name)] == []
    explorer.show(*names)
    assert [name for name in names if hidden(explorer, name)] == []


def test_an_option_stays_hidden_when_another_method_has_it_too(opened):
    explorer = opened()
    explorer.hide("norm")
    for granularity in ("neuron", "input"):
        move(explorer, "granularity", granularity)
        assert hidden(explorer, "norm")
    assert not hidden(explorer, "spare_last")
    explorer.show("norm")
    assert not hidden(explorer, "norm")


def test_an_explorer_can_begin_without_the_menu_of_files(tiny):
    explorer = Explorer(tiny(), device="cpu", hide="export")
    assert hidden(explorer, "export")
    explorer.close()


def test_a_misspelt_name_is_told_with_the_nearest_one(opened):
    with pytest.raises(ValueError, match="did you mean 'export'"):
        opened().show("exprot")


def test_whatever_can_be_hidden_is_there_to_be_moved(opened):
    explorer = opened()
    names = {*ALONE, *labels.CONTROLS, "hint", "error"}
    assert set(explorer.controls) == {*names, "spare_last"}
    move(explorer, "granularity", "neuron")
    assert set(explorer.controls) == {*names, "norm"}
    explorer.controls["norm"].value = 1
    assert explorer.experiment.pruning.options == {"norm": 1}
    for name in ("preset", "threshold", "history"):
        assert by_class(explorer, {"history": "scrub-slider"}.get(name, name))[0] is explorer.controls[name]


def test_no_two_things_have_one_name(opened):
    fields = set(labels.CONTROLS) - {"preset"}
    names = [*ALONE, *fields, *opened().tabs, *method_options.option_names()]
    assert len(names) == len(set(names))
