"""Pinned runs: named, told apart, and ranked only where that is more than chance; numbers worked by hand."""

import pytest

import explorer as ex
from explorer.ui.widgets.pinned_runs import PinnedRun, PinnedRuns, format_value, group


class Fake(PinnedRun):
    """A pinned run of numbers alone."""

    experiment = steered = None

    def __init__(self, accuracy, recipe, images=5000):
        self.accuracy, self._recipe, self.images = accuracy, recipe, images

    @property
    def recipe(self):
        return self._recipe


def ranks(*given, images=5000):
    runs = [Fake(accuracy, recipe, images) for recipe, accuracy in given]
    return {each.runs[0].recipe: (each.first, each.last) for each in group(runs)}


def test_runs_are_ranked_only_where_their_intervals_are_apart():
    assert ranks(("a", 0.98), ("b", 0.90), ("c", 0.80)) == {"a": (1, 1), "b": (2, 2), "c": (3, 3)}
    assert ranks(("a", 0.980), ("b", 0.979), ("c", 0.80)) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
    assert ranks(("a", 0.98), ("b", 0.90), images=30) == {"a": (1, 2), "b": (1, 2)}


def test_few_seeds_make_a_wide_interval():
    apart = ("a", 0.98), ("a", 0.96), ("b", 0.90), ("b", 0.92)
    assert ranks(*apart) == {"a": (1, 2), "b": (1, 2)}  # t with one degree of freedom is 12.7
    more = *apart, ("a", 0.97), ("a", 0.97), ("b", 0.91), ("b", 0.91)
    assert ranks(*more) == {"a": (1, 1), "b": (2, 2)}


def test_equal_seeds_are_no_surer_than_their_images():
    assert ranks(("a", 0.98), ("a", 0.98), ("b", 0.979), ("b", 0.979)) == {"a": (1, 2), "b": (1, 2)}


def test_names_say_little_and_differ():
    runs, exp = PinnedRuns(), ex.Experiment()
    assert runs.name_for(exp) == "magnitude 90 %"
    assert runs.name_for(exp.replace(pruning=None)) == "dense"
    assert (
        runs.name_for(exp.replace({"pruning.unit": "std", "pruning.threshold": 1.5})) == "magnitude 1.5 std"
    )


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("lr", 0.02, "0.02"),
        ("normalise", False, "no"),
        ("rule", ("norm", "value"), "norm + value"),
        ("l1", None, "–"),
    ],
)
def test_values_are_said_in_words(name, value, text):
    assert format_value(name, value) == text
