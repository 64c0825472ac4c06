"""Experiment is the single truth: JSON, code, hash and replace all say the same, and it never changes."""

import copy
import json
import pickle

import pytest

import explorer as ex

VARIED = {
    "default": ex.Experiment(),
    "dense": ex.Experiment(pruning=None),
    "unclipped": ex.Experiment(clipping=None),
    "bare": ex.Experiment(pruning=None, clipping=None),
    "fields": ex.Experiment(
        model="lenet-300-100", normalise=False, loss="mse", lr=1e-5, momentum=0.9, weight_decay=5e-4, l1=1e-7
    ),
    "sizes": ex.Experiment(batch_size=1, epochs=10, seed=2**40, validation=0),
    "adam": ex.Experiment(optimizer="adam", lr=1e-3, clipping=ex.Clipping(rule="value", max_norm=0.25)),
    "neurons": ex.Experiment(
        pruning=ex.Pruning(granularity="neuron", allocation="uniform", threshold=1 / 3, options={"norm": 1})
    ),
    "activity": ex.Experiment(pruning=ex.Pruning(criterion="activity", granularity="neuron", threshold=0.5)),
    "score": ex.Experiment(
        pruning=ex.Pruning(unit="score", threshold=1e-3, schedule="every-step", begin_epoch=0, end_epoch=3)
    ),
    "every": ex.Experiment(
        pruning=ex.Pruning(schedule="every-step", criterion="random", end_epoch=0.1, options={"every": 7})
    ),
    "chain": ex.Experiment(
        clipping=ex.Clipping(
            rule=("norm", "top-k"), max_norm=0.5, options={"k": 0.25, "error_feedback": True}
        )
    ),
}
GOLDEN = {  # a description keeps its name for ever: run folders and figures carry it
    "default": "67d6291b3014",
    "dense": "d532cb7dc2da",
    "neurons": "d476c9a0d77b",
    "every": "166eb108e675",
}

varied = pytest.mark.parametrize("exp", VARIED.values(), ids=VARIED.keys())


@varied
def test_json_round_trip(exp):
    again = ex.Experiment.from_json(exp.to_json())
    assert again == exp
    assert again.hash == exp.hash


@varied
def test_code_evaluates_to_an_equal_experiment(exp):
    again = eval(exp.code(), {"ex": ex})  # what the contract promises
    assert again == exp
    assert again.hash == exp.hash


@varied
def test_pickle_and_deepcopy_round_trip(exp):
    name = exp.hash  # cached: it must not get in the way of equality or of pickling
    for again in (pickle.loads(pickle.dumps(exp)), copy.deepcopy(exp)):
        assert again == exp
        assert again.hash == name


def test_options_stay_frozen_after_copies():
    exp = VARIED["neurons"]
    for again in (
        pickle.loads(pickle.dumps(exp)),
        copy.deepcopy(exp),
        ex.Experiment.from_json(exp.to_json()),
    ):
        with pytest.raises(TypeError, match="frozen"):
            again.pruning.options["norm"] = 2


def test_code_shows_only_what_differs_from_the_defaults():
    assert ex.Experiment().code() == "ex.Experiment()"
    exp = ex.Experiment(lr=0.05, pruning=ex.Pruning(threshold=0.5), clipping=None)
    assert exp.code() == "ex.Experiment(lr=0.05, pruning=ex.Pruning(threshold=0.5), clipping=None)"


def test_json_is_complete():
    fields = json.loads(ex.Experiment().to_json())
    assert set(fields) == set(ex.Experiment.model_fields)
    assert fields["pruning"]["threshold"] == 0.9
    assert fields["clipping"]["max_norm"] == 1.0


@pytest.mark.parametrize(("name", "expected"), GOLDEN.items())
def test_golden_hash(name, expected):
    assert VARIED[name].hash == expected


def test_varied_experiments_have_different_hashes():
    assert len({exp.hash for exp in VARIED.values()}) == len(VARIED)


def test_hash_ignores_fields_given_at_their_default():
    given = ex.Experiment(
        lr=0.1, seed=0, pruning=ex.Pruning(threshold=0.9, options={}), clipping=ex.Clipping(rule="norm")
    )
    assert given.hash == ex.Experiment().hash


def test_hash_ignores_the_order_of_fields_and_options():
    one = ex.Experiment.from_json('{"lr": 0.2, "epochs": 5, "pruning": {"threshold": 0.5, "unit": "score"}}')
    two = ex.Experiment.from_json('{"pruning": {"unit": "score", "threshold": 0.5}, "epochs": 5, "lr": 0.2}')
    assert one.hash == two.hash


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (ex.Experiment(lr=1), ex.Experiment(lr=1.0)),
        (ex.Experiment(epochs=2), ex.Experiment(epochs=2.0)),
        (ex.Experiment(pruning=ex.Pruning(threshold=0)), ex.Experiment(pruning=ex.Pruning(threshold=0.0))),
        (ex.Experiment(pruning=ex.Pruning(threshold=-0.0)), ex.Experiment(pruning=ex.Pruning(threshold=0.0))),
        (
            ex.Experiment(clipping=ex.Clipping(max_norm=5)),
            ex.Experiment(clipping={"rule": "norm", "max_norm": 5.0}),
        ),
    ],
    ids=["lr", "epochs", "threshold", "signed zero", "clip norm"],
)
def test_one_meaning_one_hash(one, two):
    assert one == two
    assert one.hash == two.hash
    assert one.to_json() == two.to_json()


CHANGES = {
    "model": "lenet-300-100",
    "normalise": False,
    "loss": "mse",
    "optimizer": "adam",
    "lr": 0.1000001,
    "lr_decay": "cosine",
    "momentum": 0.5,
    "weight_decay": 1e-9,
    "l1": 1e-9,
    "batch_size": 65,
    "epochs": 4,
    "seed": 1,
    "validation": 0,
    "pruning": None,
    "clipping": None,
    "pruning.criterion": "random",
    "pruning.granularity": "neuron",
    "pruning.allocation": "uniform",
    "pruning.threshold": 0.95,
    "pruning.unit": "score",
    "pruning.schedule": "every-step",
    "pruning.begin_epoch": 0,
    "pruning.end_epoch": 2.25,
    "clipping.rule": "value",
    "clipping.max_norm": 2,
}


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_any_change_changes_the_hash_and_nothing_else(name, value):
    # an end has an effect only where the schedule has one
    back = ex.Experiment().replace({"pruning.schedule": "gradual"} if name == "pruning.end_epoch" else {})
    before = back.replace()
    after = before.replace({name: value})
    assert after.hash != before.hash
    assert before == back
    part, _, field = name.rpartition(".")
    original = getattr(getattr(back, part) if part else back, field)
    assert after.replace({name: original}) == before


def test_every_field_is_among_the_changes_tried():
    parts = {f"pruning.{f}" for f in ex.Pruning.model_fields} | {
        f"clipping.{f}" for f in ex.Clipping.model_fields
    }
    left = (set(ex.Experiment.model_fields) | parts) - set(CHANGES)
    assert left == {"dataset", "model_options", "pruning.options", "clipping.options"}


def test_replace_reaches_inside_and_takes_plain_fields_too():
    exp = ex.Experiment().replace({"pruning.threshold": 0.95, "clipping.max_norm": 0.5}, lr=0.05)
    assert exp == ex.Experiment(
        lr=0.05, pruning=ex.Pruning(threshold=0.95), clipping=ex.Clipping(max_norm=0.5)
    )


def test_replace_starts_from_defaults_where_a_part_is_none():
    exp = ex.Experiment(pruning=None, clipping=None).replace({"pruning.threshold": 0.5})
    assert exp.pruning == ex.Pruning(threshold=0.5)
    assert exp.clipping is None


def test_replace_reaches_options_and_keeps_the_others():
    exp = VARIED["every"].replace({"pruning.options.every": 3, "pruning.threshold": 0.1})
    assert exp.pruning.options == {"every": 3}
    assert exp.pruning.criterion == "random"


def test_replace_takes_whole_parts():
    pruning = ex.Pruning(threshold=0.25, options={})
    assert ex.Experiment(pruning=None).replace(pruning=pruning).pruning == pruning


def test_replace_leaves_the_callers_values_alone():
    options = {"norm": 1}
    ex.Experiment().replace(
        {"pruning.granularity": "neuron", "pruning.options": options, "pruning.options.norm": 2}
    )
    assert options == {"norm": 1}


def test_dense_is_the_same_training_without_pruning():
    exp = VARIED["neurons"].replace(lr=0.3, seed=4)
    assert exp.dense().pruning is None
    assert exp.dense().replace(pruning=exp.pruning) == exp


def test_fields_cannot_be_assigned():
    exp = ex.Experiment()
    for target, name in ((exp, "lr"), (exp.pruning, "threshold"), (exp.clipping, "max_norm")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(target, name, 0.5)
    assert exp == ex.Experiment()


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.__setitem__("norm", 2),
        lambda o: o.__delitem__("norm"),
        lambda o: o.update(norm=2),
        lambda o: o.pop("norm"),
        lambda o: o.popitem(),
        lambda o: o.clear(),
        lambda o: o.setdefault("x", 1),
        lambda o: o.__ior__({"norm": 2}),
    ],
    ids=["set", "del", "update", "pop", "popitem", "clear", "setdefault", "ior"],
)
def test_options_cannot_be_changed(change):
    exp = ex.Experiment(pruning=ex.Pruning(granularity="neuron", options={"norm": 1}))
    with pytest.raises(TypeError, match="frozen"):
        change(exp.pruning.options)
    assert exp.pruning.options == {"norm": 1}


def test_options_do_not_follow_the_dictionary_they_came_from():
    options = {"norm": 1}
    pruning = ex.Pruning(granularity="neuron", options=options)
    options["norm"] = 2
    assert pruning.options == {"norm": 1}


def test_an_experiment_can_be_a_key():
    assert {ex.Experiment(): 1, ex.Experiment(lr=0.1): 2} == {ex.Experiment(): 2}
