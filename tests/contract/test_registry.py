"""A method's signature and docstring are its schema."""

from functools import partial
from typing import Annotated

import pytest
import torch
from pydantic import Field

import explorer as ex
from explorer import registry
from explorer.engine.pruning import score_inputs
from explorer.traits import BY_AXIS, CALLED_WITH, OFFERED, CriterionTraits

SCIENCE = ("criterion", "granularity", "allocation", "schedule", "unit", "rule")


def test_signature_and_docstring_become_the_schema(scratch_registry):
    @scratch_registry.register("criterion", "made-up", granularity=("weight",))
    def made_up(weight, grad, *, power: Annotated[int, Field(ge=1)] = 2, flip: bool = False):
        """One line.

        More lines.

        Formula: a + b
        Reference: Nobody 1900, https://example.org/a
        """
        return weight * grad, power, flip

    method = scratch_registry.get("criterion", "made-up")
    assert method.needs == ("weight", "grad")
    assert {name: option.default for name, option in method.options.items()} == {"power": 2, "flip": False}
    assert (method.help, method.formula) == ("One line.", "a + b")
    assert method.reference == "Nobody 1900, https://example.org/a"
    assert method.traits == CriterionTraits(granularity=("weight",))
    assert method.own({"power": 3, "other": 1}) == {"power": 3}
    assert method(2, 3, power=4) == (6, 4, False)
    assert made_up(2, 3) == (6, 2, False)
    assert method.options["power"].check(3) == 3
    with pytest.raises(ValueError, match=r"power = 0: .*greater than or equal to 1"):
        method.options["power"].check(0)


def test_a_docstring_is_not_needed(scratch_registry):
    scratch_registry.register("criterion", "silent")(lambda weight: weight.abs())
    method = scratch_registry.get("criterion", "silent")
    assert (method.help, method.formula, method.reference) == ("", "", "")


class Answerer:
    """Answers as a function does."""

    def __call__(self, weight):
        return weight


def power(weight, *, power=2):
    return weight**power


def misread(weight, *, power: "NoSuchType" = 2):  # noqa: F821  that is the case
    return weight**power


def misfit(weight, *, power: int = "two"):
    return weight**power


def shapeless(weight, *, power: torch.Tensor = None):
    return weight**power


@pytest.mark.parametrize(
    ("axis", "function", "words"),
    [
        ("criterion", partial(power, power=3), "a partial has no signature .* wrap it in a function"),
        ("criterion", Answerer(), "a Answerer has no signature"),
        ("criterion", abs, "a builtin_function_or_method has no signature"),
        ("criterion", 3, "a int has no signature"),
        ("criterion", power, "option 'power' has no type; write it like power: int = 1"),
        ("criterion", misread, "the types of its options cannot be read: name 'NoSuchType'"),
        ("criterion", misfit, "the default of option 'power', 'two', does not fit its type"),
        ("criterion", shapeless, "the type of option 'power', .*Tensor.*, cannot be checked"),
        ("criterion", lambda wait: wait, "'wait' is not known; did you mean 'weight'"),
        ("criterion", lambda **inputs: inputs, r"takes \*\*inputs, which names nothing"),
        (
            "rule",
            lambda grad, clip: grad + clip,
            "parameter of rule 'mine' = 'clip' is not known. Allowed: grad",
        ),
        (
            "model",
            lambda hidden: hidden,
            "takes hidden, but is called with nothing; options stand",
        ),
        ("optimizer", lambda theta, grad: theta + grad, "is called with theta, grad, lr, momentum, state"),
    ],
)
def test_what_cannot_be_called_is_refused_when_it_is_registered(scratch_registry, axis, function, words):
    with pytest.raises(ValueError, match=words) as error:
        scratch_registry.register(axis, "mine")(function)
    assert len(str(error.value)) < 350
    assert "mine" not in scratch_registry.names(axis)


def test_the_explorers_own_methods_stay_unless_one_says_so(scratch_registry):
    own = registry.get("criterion", "magnitude")
    with pytest.raises(ValueError, match=r"'magnitude' is the explorer's own: .* override=True"):
        scratch_registry.register("criterion", "magnitude")(lambda weight: weight)
    assert registry.get("criterion", "magnitude") is own
    scratch_registry.register("criterion", "magnitude", override=True)(lambda weight: weight)
    assert registry.get("criterion", "magnitude") is not own
    for _ in range(2):  # a cell of a notebook is run again
        scratch_registry.register("criterion", "mine")(lambda weight: weight)


def test_what_criteria_and_rules_may_ask_for_is_what_there_is():
    assert set(OFFERED["criterion"]) == set(score_inputs.QUANTITIES)
    assert {*OFFERED, *CALLED_WITH} == set(registry.HOMES)


def test_options_that_are_lists(scratch_registry):
    @scratch_registry.register("criterion", "listed")
    def listed(weight, *, powers: list[int] = [1], scales: tuple[float, ...] = (1.0,)):  # noqa: B006  never written
        """Has lists for options."""
        return sum(weight.abs() ** power for power in powers) * scales[0]

    def make(**options):
        return ex.Experiment(pruning={"criterion": "listed", "options": options})

    exp = make(powers=[3, 4], scales=[0.5])
    assert exp.pruning.options == {"powers": (3, 4), "scales": (0.5,)}
    assert ex.Experiment.from_json(exp.to_json()) == exp == eval(exp.code(), {"ex": ex})
    assert make(powers=[1], scales=[1.0]) == make()
    with pytest.raises(ValueError, match="powers = "):
        make(powers=["three"])


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_options_are_finite_as_json_has_no_other_numbers(scratch_registry, value):
    @scratch_registry.register("criterion", "scaled")
    def scaled(weight, *, scale: float = 1.0, scales: tuple[float, ...] = (1.0,)):
        """Has numbers for options."""
        return weight.abs() * scale * scales[0]

    for options in ({"scale": value}, {"scales": [1.0, value]}):
        with pytest.raises(ValueError, match="must be finite"):
            ex.Pruning(criterion="scaled", options=options)


def test_unknown_names_say_what_there_is():
    with pytest.raises(ValueError, match=r"criterion = 'magnitud' is not known; did you mean 'magnitude'\?"):
        registry.get("criterion", "magnitud")
    with pytest.raises(ValueError, match=r"axis = 'criteria' is not known; did you mean 'criterion'\?"):
        registry.names("criteria")
    with pytest.raises(ValueError, match=r"'zzzz' is not known\. Allowed: sgd, adam"):
        registry.get("optimizer", "zzzz")
    with pytest.raises(ValueError, match="axis = 'rules'"):
        registry.register("rules", "x")


def test_a_trait_that_is_unknown_or_lacking_is_refused_at_once(scratch_registry):
    with pytest.raises(ValueError, match=r"trait of criterion 'mine' = 'singed' .*mean 'signed'\?.*rounds"):
        scratch_registry.register("criterion", "mine", singed=True)
    with pytest.raises(ValueError, match=r"granularity 'mine' lacks the trait 'expand'"):
        scratch_registry.register("granularity", "mine", prunes="weights")
    with pytest.raises(ValueError, match=r"trait of lr_decay 'mine' = 'begin' is not known. Allowed: none"):
        scratch_registry.register("lr_decay", "mine", begin=1)
    assert "mine" not in scratch_registry.names("criterion")


@pytest.mark.parametrize("axis", registry.HOMES)
def test_every_axis_has_its_traits(axis):
    assert all(type(method.traits) is BY_AXIS[axis] for method in registry.methods(axis))


NEEDED = {"shares": {"shares": (0.1, 0.5)}}  # options without a default


def partners(method):
    """The granularity and allocation that a criterion insists on, where it does."""
    return {axis: names[0] for axis, names in method.traits.partners.items()}


@pytest.mark.parametrize("axis", SCIENCE)
def test_every_method_can_be_chosen(axis):
    part = ex.Clipping if axis == "rule" else ex.Pruning
    for method in registry.methods(axis):
        fits = partners(method) if axis == "criterion" else {}
        if method.name in NEEDED:
            with pytest.raises(ValueError, match=f"lacks '{next(iter(NEEDED[method.name]))}'"):
                part(**{axis: method.name})
            fits = {"options": NEEDED[method.name]}
        assert getattr(part(**{axis: method.name, **fits}), axis) == method.name


@pytest.mark.parametrize("name", registry.names("criterion"))
def test_every_criterion_prunes_exactly_the_share_asked_for(tiny, name):
    fits = partners(registry.get("criterion", name))
    exp = tiny(pruning={"criterion": name, "threshold": 0.5, **fits})
    run = ex.train(exp, progress=False, twin=False)
    assert run.status == "done"
    if exp.pruning.granularity == "weight":
        assert run.events.rows() == [(8, "prune", 0.0, 0.5)]
    else:
        assert int((~run.masks["fc1.weight"].any(1)).sum()) == 64


def test_a_new_method_works_at_once_and_in_a_run(tiny, scratch_registry):
    with pytest.raises(ValueError, match="largest-first"):
        ex.Pruning(criterion="largest-first")

    @scratch_registry.register("criterion", "largest-first")
    def largest_first(weight, *, scale: float = 1.0):
        """Large weights fall first."""
        return -scale * weight.abs()

    pruning = ex.Pruning(criterion="largest-first", threshold=0.3, begin_epoch=1, options={"scale": 2})
    run = ex.train(tiny(pruning=pruning), progress=False)
    dense, kept = run.dense.model(), run.masks
    weights = torch.cat([dense.get_parameter(name).abs().flatten() for name in kept])
    keep = torch.cat([mask.flatten() for mask in kept.values()])
    assert int((~keep).sum()) == round(0.3 * len(keep))
    assert weights[keep].max() <= weights[~keep].min()


def test_a_new_clip_rule_works_at_once_and_in_a_run(tiny, scratch_registry):
    @scratch_registry.register("rule", "nothing-moves")
    def nothing_moves(grad, grad_norm, max_norm):
        """Every gradient becomes zero."""
        grad.zero_()
        return max_norm > 0, grad_norm * 0

    run = ex.train(tiny(pruning=None, clipping=ex.Clipping(rule="nothing-moves")), progress=False)
    start = ex.train(tiny(pruning=None, lr=1e-30), progress=False)
    assert torch.equal(run.row, start.row)
    assert run.summary["clip_rate"] == 1


def test_the_scratch_registry_leaves_nothing_behind():
    assert {"made-up", "silent", "largest-first"}.isdisjoint(registry.names("criterion"))
    assert "tiny" not in registry.names("dataset")
