"""The clip rule's menu and slider, and the line in the chart, for one rule, a chain and none."""

from types import SimpleNamespace

import pytest

import explorer as ex
from explorer import registry
from explorer.engine.training.trainer import Trainer
from explorer.ui.controls import controls
from explorer.ui.tabs.gradients import Gradients


def shown(experiment):
    made = controls.build("cpu")
    for name in ("rule", "max_norm"):
        made[name].sync(experiment)
    return made["rule"].widget, made["max_norm"].widget


def test_the_menu_offers_every_rule_and_tells_what_it_does():
    menu, _ = shown(ex.Experiment())
    assert menu.options == ("none", *registry.names("rule"))
    for method in registry.methods("rule"):
        assert f"{method.name}: {method.help}" in menu.tooltip


def test_a_chain_is_an_entry_of_its_own_and_comes_back_as_it_was():
    exp = ex.Experiment(clipping={"rule": ("value", "norm"), "max_norm": 0.5})
    control = controls.build("cpu")["rule"]
    control.sync(exp)
    assert control.widget.value == "value + norm"
    assert exp.replace(control.changes("value + norm")) == exp
    assert exp.replace(control.changes("value")).clipping.rule == "value"
    assert exp.replace(control.changes("none")).clipping is None


@pytest.mark.parametrize(
    ("clipping", "enabled"),
    [
        ({"rule": "norm"}, True),
        ({"rule": ("top-k", "value")}, True),
        ({"rule": "agc"}, False),
        ({"rule": ("autoclip", "top-k")}, False),
        (None, False),
    ],
)
def test_the_clip_norm_can_be_moved_where_it_bounds_something(clipping, enabled):
    _, slider = shown(ex.Experiment(clipping=clipping))
    assert slider.disabled is not enabled


@pytest.mark.parametrize(
    ("rule", "values"), [("norm", [0.5]), (("value", "norm"), [0.5]), ("value", []), (("layer-norm",), [])]
)
def test_the_chart_draws_the_clip_norm_where_it_bounds_the_norm(tiny, rule, values):
    trainer = Trainer([tiny(clipping={"rule": rule, "max_norm": 0.5}, pruning=None)], "cpu")
    frame = SimpleNamespace(trainer=trainer, lanes=trainer.lanes, snapshot=None, step=0, viewed_step=None)
    tables = Gradients(None).tables(frame, None)
    assert tables["gradients", "clip"]["value"] == values
