"""A setting without effect warns, with the reason and what to do; what is so by default leaves no trace."""

import json

import pytest
import torch
from helpers import allowed, experiment, fitting, pruning

import explorer as ex
from explorer import registry
from explorer.engine.training.train import train
from explorer.experiment import METHODS

CUT_OFFS = [m.name for m in registry.methods("unit") if not m.traits.counts]
POINTS = [m.name for m in registry.methods("schedule") if not m.traits.spans]
TRAINED = [m.name for m in registry.methods("criterion") if m.traits.trained]
WHOLE = [m.name for m in registry.methods("criterion") if m.traits.granularity]


@pytest.mark.parametrize("unit", CUT_OFFS)
@pytest.mark.parametrize("allocation", [n for n in registry.names("allocation") if n != "global"])
def test_a_cut_off_leaves_nothing_to_allocate(unit, allocation):
    fields = pruning({"allocation": allocation, "unit": unit})
    text = f"allocation = '{allocation}' has no effect with unit '{unit}', .*; leave it out, or .* sparsity"
    with pytest.warns(UserWarning, match=text):
        ex.Pruning(**fields)


@pytest.mark.filterwarnings("ignore:threshold = .* leaves nothing")  # so few weights are soon gone
@pytest.mark.parametrize("granularity", ["weight", "neuron", "input"])
@pytest.mark.parametrize("unit", CUT_OFFS)
@pytest.mark.filterwarnings("ignore:allocation")
def test_and_indeed_an_allocation_changes_no_cut_off(small, granularity, unit):
    threshold = {"score": 0.3, "std": 0.5 if granularity == "weight" else 6.0}.get(unit, 1.0)
    exp = experiment(small, granularity=granularity, unit=unit).replace({"pruning.threshold": threshold})
    one, other = (
        train(exp.replace({"pruning.allocation": name}), progress=False, twin=False)
        for name in ("global", "uniform")
    )
    assert 0 < one.summary["sparsity"] < 1
    assert torch.equal(one.row, other.row)


def test_blocks_decide_within_each_layer():
    with pytest.warns(UserWarning, match="allocation = 'uniform' has no effect with granularity 'n:m'"):
        ex.Pruning(granularity="n:m", allocation="uniform")


@pytest.mark.parametrize("schedule", POINTS)
def test_one_event_has_no_end(schedule):
    text = f"end_epoch = 2 has no effect with schedule '{schedule}', .*; leave it out, or use .*gradual"
    with pytest.warns(UserWarning, match=text):
        ex.Pruning(schedule=schedule, end_epoch=2)


@pytest.mark.parametrize("criterion", WHOLE)
def test_scores_of_whole_units_are_reduced_by_no_norm(criterion):
    with pytest.warns(
        UserWarning, match=f"norm = 1 has no effect with criterion '{criterion}', .*; leave it"
    ):
        ex.Pruning(criterion=criterion, granularity="neuron", options={"norm": 1})


def test_a_rate_takes_the_place_of_tau():
    with pytest.warns(
        UserWarning, match=r"tau = 0\.5 has no effect where rate = 0\.1 takes its place; leave"
    ):
        ex.Clipping(rule=("norm", "threshold"), options={"tau": 0.5, "rate": 0.1})
    ex.Clipping(rule="threshold", options={"rate": 0.1})  # warns of nothing


@pytest.mark.parametrize("schedule", registry.names("schedule"))
@pytest.mark.parametrize("criterion", TRAINED)
def test_there_is_nothing_to_rank_before_the_first_step(small, criterion, schedule):
    """Such a run would prune by order alone; every other first event finds scores that differ."""
    fields = pruning({"criterion": criterion, "schedule": schedule}) | {"begin_epoch": 0}
    if registry.get("schedule", schedule).traits.immediate:
        text = (
            f"begin_epoch = 0 does not go with criterion '{criterion}' and schedule '{schedule}'.*allowed: "
        )
        with pytest.raises(ValueError, match=text):
            small(pruning=fields)
    else:
        run = train(small(pruning=fields), progress=False, twin=False)
        assert min(run.cutoffs["step"]) > 0
    small(pruning=fields | {"begin_epoch": 0.1})


def test_a_round_cannot_go_back_to_weights_that_are_still_to_come():
    fields = {"schedule": "rewind", "begin_epoch": 0.0, "end_epoch": 3.0, "options": {"rewind_epoch": 1.5}}
    with pytest.raises(
        ValueError, match=r"rewind_epoch = 1\.5 lies after the first round, at epoch 1.*0 to 1"
    ):
        ex.Experiment(pruning=fields)
    ex.Experiment(pruning=fields | {"options": {"rewind_epoch": 1.0}})


# -- options at their defaults ----------------------------------------------------------------------------


CHOICES = [m for axis in METHODS for m in registry.methods(axis) if m.options]


def same(one, other):
    assert one == other
    assert one.hash == other.hash
    assert one.to_json() == other.to_json()
    assert one.code() == other.code()


@pytest.mark.parametrize("method", CHOICES, ids=lambda m: m.name)
def test_an_option_given_at_its_default_is_as_if_it_were_left_out(method):
    fields = pruning(fitting({method.axis: method.name}))
    plain = ex.Experiment(pruning=fields)
    defaults = {o.name: o.default for o in method.options.values() if not o.required}
    same(ex.Experiment(pruning=fields | {"options": defaults | fields["options"]}), plain)
    for option in method.options.values():
        if option.name not in fields["options"]:
            value = next(v for v in allowed(option) if v != option.default)
            if (method.name, option.name) == ("n:m", "m"):
                value = 8  # more than n
            other = ex.Experiment(pruning=fields | {"options": fields["options"] | {option.name: value}})
            assert other.hash != plain.hash
            assert json.loads(other.to_json())["pruning"]["options"][option.name] == value


def test_options_of_clip_rules_and_models_likewise():
    rules = [m.name for m in registry.methods("rule")]
    defaults = {o.name: o.default for m in registry.methods("rule") for o in m.options.values()}
    same(
        ex.Experiment(clipping={"rule": rules, "options": defaults}),
        ex.Experiment(clipping={"rule": rules}),
    )
    for method in registry.methods("model"):
        defaults = {o.name: o.default for o in method.options.values()}
        same(ex.Experiment(model=method.name, model_options=defaults), ex.Experiment(model=method.name))


def test_a_name_that_two_rules_share_is_left_out_only_where_it_is_the_default_of_both(scratch_registry):
    for name, default in (("soft", 1.0), ("hard", 2.0)):

        @scratch_registry.register("rule", name)
        def rule(grad, *, strength: float = default):
            """Nothing."""

    both = ex.Clipping(rule=("soft", "hard"), options={"strength": 2.0})
    assert both.options == {"strength": 2.0}
    assert ex.Clipping(rule="hard", options={"strength": 2.0}).options == {}
