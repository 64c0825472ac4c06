"""Options are called as a person would call them, and under the mouse as one types them."""

import pytest
from hands import by_class, move

from explorer import registry
from explorer.ui.controls import labels, method_options
from explorer.ui.widgets import pinned_runs

EACH = [(axis, method) for axis in method_options.OPTION_PATHS for method in registry.methods(axis)]
NAMES = {name for _, method in EACH for name in method.options}


def test_every_option_has_a_label_and_no_label_is_left_over():
    assert set(labels.OPTIONS) == NAMES
    assert set(labels.CHOICES) <= NAMES


@pytest.mark.parametrize(("axis", "method"), EACH, ids=lambda part: getattr(part, "name", part))
def test_the_tooltip_says_what_to_type_and_what_it_does(axis, method):
    for option in method.options.values():
        made = method_options.option_control(axis, method, option).widget
        assert made.description == labels.OPTIONS[option.name]
        assert made.tooltip.startswith(f"{option.name}, an option of {method.name}\n{method.help}")


def test_labels_and_choices_on_the_page(opened):
    explorer = opened()
    move(explorer, "rule", "agc")
    assert [by_class(explorer, name)[0].description for name in ("clipping", "eps")] == [
        "Factor λ",
        "Least norm ε",
    ]
    move(explorer, "granularity", "neuron")
    [norm] = by_class(explorer, "norm")
    assert (norm.label, norm.value) == ("L2", 2)
    norm.label = "L1"
    assert explorer.experiment.pruning.options["norm"] == 1


def test_a_method_of_the_users_own_goes_by_its_own_names(scratch_registry):
    @scratch_registry.register("schedule", "mine", **vars(registry.get("schedule", "gradual").traits))
    def mine(begin, end, unit, threshold, *, eps: float = 0.1, my_number: float = 0.2):
        """Mine."""

    method = registry.get("schedule", "mine")
    made = [labels.option_label(name, method) for name in method.options]
    assert made == ["Eps", "My number"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("clipping.options.eps", "Least norm ε"),
        ("pruning.options.spare_last", "Spare last layer"),
        ("model_options.depth", "Hidden layers"),
        ("clipping", "Clipping"),
        ("pruning.threshold", "Threshold"),
    ],
)
def test_the_table_of_runs_calls_them_the_same(name, label):
    assert pinned_runs.label(name) == label
