"""The chosen methods' own options: each a control, and what does not go together is told and taken back."""

from typing import Annotated, Literal

import ipywidgets as w
import pytest
from hands import PATIENCE, by_class, move, told
from pydantic import Field

import explorer as ex
from explorer import registry
from explorer.registry import Option
from explorer.ui.controls import fields
from explorer.ui.controls.method_options import OPTION_PATHS, option_names


def options(explorer):
    """The option controls on the page, by name."""
    return {name: explorer.controls[name] for name in option_names() if name in explorer.controls}


def put(explorer, name, value):
    options(explorer)[name].value = value


# -- one widget for each kind of option ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "default", "kind"),
    [
        (bool, False, w.Checkbox),
        (Literal[1, 2], 2, w.Dropdown),
        (Annotated[int, Field(ge=1, le=100)], 5, w.IntSlider),
        (Annotated[int, Field(ge=1, le=1024)], 64, w.BoundedIntText),
        (Annotated[int, Field(ge=1)], 100, w.BoundedIntText),
        (Annotated[int, Field(ge=1)] | None, None, w.Text),
        (Annotated[float, Field(gt=0, lt=1)], 0.3, w.FloatSlider),
        (Annotated[float, Field(ge=0, le=100)], 10.0, w.FloatSlider),
        (Annotated[float, Field(gt=0, le=1)], 0.01, w.FloatLogSlider),
        (Annotated[float, Field(ge=0.001, le=1)], 0.1, w.FloatLogSlider),
        (Annotated[float, Field(ge=0)], 0.1, w.BoundedFloatText),
        (tuple[float, ...], (0.1, 0.2), w.Text),
    ],
)
def test_the_annotation_says_which_widget(annotation, default, kind):
    field = fields.field(Option("x", default, annotation))
    assert type(field.widget) is kind
    field.widget.value = field.format(default)
    assert field.parse(field.widget.value) == pytest.approx(default)


def every_option():
    return [
        (axis, method, option)
        for axis in OPTION_PATHS
        for method in registry.methods(axis)
        for option in method.options.values()
    ]


@pytest.mark.parametrize(
    ("axis", "method", "option"), every_option(), ids=lambda part: getattr(part, "name", part)
)
def test_every_option_in_the_registry_has_a_widget_whose_values_it_takes(axis, method, option):  # noqa: ARG001
    field = fields.field(option)
    start = (0.5, 0.5) if option.required else option.default
    field.widget.value = field.format(start)
    assert option.check(field.parse(field.widget.value)) == pytest.approx(start)
    for end in ("min", "max"):
        if isinstance(field.widget, w.FloatLogSlider):
            field.widget.value = 10 ** getattr(field.widget, end)
        elif isinstance(field.widget, w.FloatSlider | w.IntSlider):
            field.widget.value = getattr(field.widget, end)
        option.check(field.parse(field.widget.value))


@pytest.mark.parametrize("text", ["a", "0.1, x", ""])
def test_numbers_that_are_none_are_told(text):
    field = fields.field(Option("shares", (0.1,), tuple[float, ...]))
    with pytest.raises(ValueError, match=r"shares = .*commas between them, such as 0.08, 0.09, 0.26"):
        field.parse(text)


def test_a_number_may_be_left_out():
    field = fields.optional_number("tolerance")
    assert [field.parse(text) for text in ("", " ", "0.5")] == [None, None, 0.5]
    with pytest.raises(ValueError, match="tolerance = 'much': must be a number, or empty"):
        field.parse("much")


# -- in the explorer ----------------------------------------------------------------------------------


METHODS_WITH_OPTIONS = [  # axis, method, its option, what is put there, and where that goes
    ("schedule", "iterative", "rounds", 7, "pruning.options"),
    ("schedule", "iterative", "tolerance", "0.02", "pruning.options"),
    ("schedule", "every-step", "every", "10", "pruning.options"),
    ("granularity", "neuron", "norm", 1, "pruning.options"),
    ("granularity", "input", "spare_last", True, "pruning.options"),
    ("allocation", "shares", "shares", "0.2, 0.8", "pruning.options"),
    ("rule", "top-k", "k", 0.01, "clipping.options"),
    ("rule", "agc", "clipping", 0.1, "clipping.options"),
    ("model", "deep-sigmoid", "depth", 3, "model_options"),
]


def test_an_option_is_a_control_below_its_method(opened):
    explorer = opened()
    before = explorer.experiment
    for axis, method, name, value, place in METHODS_WITH_OPTIONS:
        move(explorer, axis, method)
        assert told(explorer) == "", name
        [widget] = by_class(explorer, name.replace("_", "-"))
        assert widget in explorer._options.boxes[axis].children
        assert widget.description
        assert method in widget.tooltip
        put(explorer, name, value)
        assert told(explorer) == "", name
        node = explorer.experiment
        for part in place.split("."):
            node = getattr(node, part)
        wanted = {"0.02": 0.02, "10": 10, "0.2, 0.8": (0.2, 0.8)}.get(value, value)
        assert node[name] == pytest.approx(wanted), name
        assert options(explorer)[name].value == pytest.approx(value), name
        explorer.experiment = before


def test_another_method_drops_what_it_does_not_know_and_keeps_the_rest(opened):
    explorer = opened(pruning={"schedule": "rigl", "begin_epoch": 0, "options": {"every": 5, "drop": 0.2}})
    assert set(options(explorer)) >= {"every", "drop"}
    move(explorer, "schedule", "gradual")
    assert told(explorer) == ""
    assert explorer.experiment.pruning.options == {"every": 5}
    assert "drop" not in options(explorer)
    move(explorer, "schedule", "one-shot")
    assert explorer.experiment.pruning.options == {}
    assert by_class(explorer, "every") == []


def test_each_schedule_and_rule_can_be_chosen_one_after_the_other(opened):
    explorer = opened()
    for axis in ("schedule", "rule", "allocation"):
        for name in explorer.controls[axis].options:
            move(explorer, axis, name)
            assert told(explorer) == "", (axis, name)
            assert explorer.controls[axis].value == name


@pytest.mark.parametrize(("model", "layers"), [("mlp-784-128-10", 2), ("lenet-300-100", 3)])
def test_shares_begin_equal_one_for_each_layer_of_the_network(opened, model, layers):
    explorer = opened(model=model)
    move(explorer, "allocation", "shares")
    assert told(explorer) == ""
    assert explorer.experiment.pruning.options["shares"] == (0.1,) * layers
    run = ex.train(explorer.experiment, device="cpu", progress=False)
    assert run.summary["sparsity"] == pytest.approx(0.9, abs=1e-4)


def test_another_network_gets_shares_that_fit_it(opened):
    explorer = opened()
    move(explorer, "allocation", "shares")
    move(explorer, "model", "mlp-784-64-32-10")
    assert told(explorer) == ""
    assert len(explorer.experiment.pruning.options["shares"]) == 3


def test_shares_of_the_wrong_number_are_refused_before_a_run_is_given_up_for_them(opened):
    explorer = opened()
    move(explorer, "allocation", "shares")
    put(explorer, "shares", "0.1, 0.2, 0.3")
    assert "3 entries, but 2 layers are pruned" in told(explorer)
    assert options(explorer)["shares"].value == "0.1, 0.1"
    put(explorer, "shares", "much")
    assert "commas between them" in told(explorer)
    assert options(explorer)["shares"].value == "0.1, 0.1"
    put(explorer, "shares", "0.3, 0.6")
    assert told(explorer) == ""


@pytest.mark.parametrize("granularity", ["filter", "layer"])
def test_a_granularity_that_the_network_has_not_is_refused_and_goes_back(opened, granularity):
    explorer = opened()
    explorer.session.start()
    run = explorer.wait(PATIENCE)
    move(explorer, "granularity", granularity)
    assert "here there are none" in told(explorer)
    assert explorer.controls["granularity"].value == "weight"
    assert explorer.experiment == run.experiment
    assert explorer.run.summary["steps"] == run.summary["steps"]  # the run is still there


def test_what_fails_on_the_worker_goes_back_too(opened, scratch_registry):
    @scratch_registry.register("dataset", "nowhere")
    def nowhere():
        """Images that can't be had."""
        raise ValueError("dataset = 'nowhere' cannot be fetched; connect to the network once")

    explorer = opened()
    before = explorer.experiment
    move(explorer, "dataset", "nowhere")
    explorer.session.call(id).result(PATIENCE)
    assert "cannot be fetched" in told(explorer)
    assert explorer.experiment == before
    assert explorer.controls["dataset"].value == "tiny"
    explorer.controls["train"].click()
    assert explorer.wait(PATIENCE).status == "done"


def test_a_method_switches_what_it_insists_on_and_says_so(opened):
    explorer = opened()
    move(explorer, "granularity", "neuron")
    move(explorer, "schedule", "rigl")
    assert told(explorer) == ""
    assert explorer.experiment.pruning.granularity == "weight"
    assert "With rigl, granularity is now weight" in explorer.controls["hint"].value
    move(explorer, "granularity", "neuron")  # but what is asked for does not overrule what came first
    assert "does not go with" in told(explorer)
    assert explorer.controls["granularity"].value == "weight"


def test_a_setting_without_effect_is_remarked_on(opened):
    explorer = opened(pruning={"granularity": "n:m"})
    move(explorer, "allocation", "uniform")
    assert told(explorer) == ""
    assert "no effect" in explorer.controls["hint"].value


def test_the_threshold_rests_where_the_options_say_it(opened):
    explorer = opened()
    move(explorer, "granularity", "n:m")
    assert explorer.controls["threshold"].disabled
    assert explorer.controls["threshold"].value == 50
    put(explorer, "n", 1)
    assert explorer.experiment.pruning.threshold == 0.75


def test_end_epoch_is_offered_where_the_schedule_ends(opened):
    explorer = opened()
    end = explorer.controls["end_epoch"]
    assert "explorer-unused" in end._dom_classes
    move(explorer, "schedule", "gradual")
    assert "explorer-unused" not in end._dom_classes
    end.value = "0.5"
    assert explorer.experiment.pruning.end_epoch == 0.5
    end.value = ""
    assert explorer.experiment.pruning.end_epoch is None
    end.value = "7"
    assert "lies after the last epoch" in told(explorer)
    assert end.value == ""
