"""What cannot be is refused with a ValueError: what was given, what is allowed, and the nearest match."""

import math

import pytest

import explorer as ex
from explorer import registry

UNKNOWN_NAMES = [
    (lambda: ex.Experiment(learning_rate=0.1), "learning_rate", "lr, lr_decay, momentum"),
    (lambda: ex.Experiment(optimiser="adam"), "optimiser", "did you mean 'optimizer'"),
    (lambda: ex.Pruning(thresold=0.5), "thresold", "did you mean 'threshold'"),
    (lambda: ex.Clipping(maxnorm=1), "maxnorm", "did you mean 'max_norm'"),
    (lambda: ex.Experiment(pruning={"thresold": 0.5}), "thresold", "did you mean 'threshold'"),
    (lambda: ex.Experiment(clipping={"max_nrom": 0.5}), "max_nrom", "did you mean 'max_norm'"),
    (lambda: ex.Experiment().replace({"pruning.criterio": "random"}), "criterio", "did you mean 'criterion'"),
    (lambda: ex.Experiment().replace({"prunning.threshold": 0.5}), "prunning", "did you mean 'pruning'"),
    (lambda: ex.Experiment().replace(sead=1), "sead", "did you mean 'seed'"),
    (lambda: ex.Experiment.from_json('{"epoch": 3}'), "epoch", "did you mean 'epochs'"),
    (lambda: ex.Experiment.from_json('{"self": 3}'), "self", "lr, lr_decay, momentum"),
]


@pytest.mark.parametrize(("make", "given", "hint"), UNKNOWN_NAMES)
def test_unknown_fields(make, given, hint):
    with pytest.raises(ValueError, match="is not known") as error:
        make()
    assert given in str(error.value)
    assert hint in str(error.value)
    assert "Allowed: " in str(error.value)


UNKNOWN_METHODS = [
    ("criterion", "pruning.criterion", "magnitud", "magnitude"),
    ("granularity", "pruning.granularity", "neurons", "neuron"),
    ("allocation", "pruning.allocation", "globl", "global"),
    ("unit", "pruning.unit", "sparse", "sparsity"),
    ("schedule", "pruning.schedule", "oneshot", "one-shot"),
    ("rule", "clipping.rule", "norms", "norm"),
    ("model", "model", "lenet-300", "lenet-300-100"),
    ("dataset", "dataset", "minst", "mnist"),
    ("loss", "loss", "crossentropy", "cross-entropy"),
    ("optimizer", "optimizer", "sdg", "sgd"),
    ("lr_decay", "lr_decay", "cosin", "cosine"),
]


def test_a_name_that_is_near_to_none_is_not_guessed():
    with pytest.raises(ValueError, match=r"'learning_rate' is not known\. Allowed: model") as error:
        ex.Experiment(learning_rate=0.1)
    assert "did you mean" not in str(error.value)


def test_an_option_that_is_needed_is_asked_for_without_an_empty_name():
    wanted = r"options lacks 'shares': shares needs it; options=\{'shares': \.\.\.\}$"
    with pytest.raises(ValueError, match=f"^Pruning: {wanted}"):
        ex.Pruning(allocation="shares")
    with pytest.raises(ValueError, match=rf"^Experiment: pruning = .*shares.*: Pruning: {wanted}"):
        ex.Experiment(pruning={"allocation": "shares"})


def test_a_number_out_of_all_bounds_is_told_in_a_sentence():
    with pytest.raises(ValueError, match=r"epochs = 1e\+99: unable to parse .* exceeded maximum size"):
        ex.Experiment(epochs=1e99)


@pytest.mark.parametrize(("axis", "field", "given", "near"), UNKNOWN_METHODS)
def test_unknown_methods(axis, field, given, near):
    with pytest.raises(ValueError, match="is not known") as error:
        ex.Experiment().replace({field: given})
    text = str(error.value)
    assert repr(given) in text
    assert f"did you mean {near!r}" in text
    assert all(name in text for name in registry.names(axis))


def test_every_axis_is_among_those_tried():
    assert {axis for axis, *_ in UNKNOWN_METHODS} == set(registry.HOMES)


NUMBERS = [
    (
        "pruning.threshold",
        [1, 1.0, 1.5, -0.1, math.nan, math.inf, -math.inf, True, "much", None],
        "threshold",
    ),
    ("pruning.begin_epoch", [-1, -0.01, math.nan, math.inf, True, 3.01, 4], "begin_epoch"),
    ("pruning.end_epoch", [-1, math.nan, math.inf, False, 3.01], "end_epoch"),
    ("clipping.max_norm", [0, 0.0, -1, math.inf, math.nan, True, None], "max_norm"),
    ("lr", [0, -0.1, math.nan, math.inf, True, "fast", None], "lr"),
    ("momentum", [-0.1, 1, 1.5, math.nan, True], "momentum"),
    ("weight_decay", [-1e-9, math.nan, math.inf, True], "weight_decay"),
    ("l1", [-1e-9, math.nan, math.inf, True], "l1"),
    ("batch_size", [0, -1, 1.5, True, 55_001, math.nan], "batch_size"),
    ("epochs", [0, -1, 0.5, True, math.inf], "epochs"),
    ("seed", [-1, 0.5, True], "seed"),
    ("validation", [-1, 60_000, 59_001, 0.5, True], "validation"),
]
CASES = [(field, value, name) for field, values, name in NUMBERS for value in values]


@pytest.mark.parametrize(("field", "value", "name"), CASES)
def test_bad_numbers(field, value, name):
    with pytest.raises(ValueError, match=name) as error:
        ex.Experiment(pruning={"schedule": "gradual"}).replace({field: value})  # one that has an end
    assert str(value).lower() in str(error.value).lower()


@pytest.mark.parametrize("value", [0, 0.999999, 0.5])
def test_sparsity_takes_all_of_its_range(value):
    assert ex.Pruning(threshold=value).threshold == value


def test_a_threshold_says_which_range_its_unit_allows():
    with pytest.raises(ValueError, match=r"0 ≤ threshold < 1"):
        ex.Pruning(threshold=1.0)
    with pytest.raises(ValueError, match=r"threshold ≥ 0"):
        ex.Pruning(unit="score", threshold=-0.1)
    assert ex.Pruning(unit="score", threshold=1.5).threshold == 1.5


OPTIONS = [
    ({"granularity": "neuron", "options": {"nrom": 1}}, ["nrom", "did you mean 'norm'", "neuron"]),
    ({"options": {"norm": 1}}, ["norm", "not known", "magnitude", "weight"]),
    ({"granularity": "neuron", "options": {"norm": 3}}, ["norm", "3"]),
    ({"granularity": "neuron", "options": {"norm": True}}, ["norm", "True"]),
    ({"schedule": "every-step", "options": {"every": 0}}, ["every", "0"]),
    ({"schedule": "every-step", "options": {"every": 1.5}}, ["every", "1.5"]),
    ({"schedule": "every-step", "options": {"every": "5"}}, ["every", "'5'"]),
    ({"schedule": "every-step", "options": {"every": True}}, ["every", "True"]),
    ({"options": 3}, ["options", "3"]),
]


@pytest.mark.parametrize(("fields", "words"), OPTIONS)
def test_bad_options(fields, words):
    with pytest.raises(ValueError, match=r"option|norm|every") as error:
        ex.Pruning(**fields)
    assert all(word in str(error.value) for word in words)


def test_bad_options_of_the_other_parts():
    with pytest.raises(ValueError, match="options of norm"):
        ex.Clipping(options={"percentile": 10})
    with pytest.raises(ValueError, match="options of mlp-784-128-10"):
        ex.Experiment(model_options={"width": 10})


def test_activity_needs_whole_units():
    with pytest.raises(ValueError, match=r"'weight' does not go with criterion 'activity'.*allowed: neuron"):
        ex.Pruning(criterion="activity")


def test_momentum_has_no_effect_with_adam():
    with pytest.raises(ValueError, match=r"momentum = 0\.9 has no effect with optimizer 'adam'"):
        ex.Experiment(optimizer="adam", momentum=0.9)


def test_begin_after_end():
    with pytest.raises(ValueError, match=r"end_epoch = 1\.0 lies before begin_epoch = 2\.0"):
        ex.Pruning(begin_epoch=2, end_epoch=1)


def test_epochs_outside_the_training():
    with pytest.raises(ValueError, match=r"begin_epoch = 2\.5 .* allowed: 0 to 2"):
        ex.Experiment(epochs=2, pruning=ex.Pruning(begin_epoch=2.5))
    assert ex.Experiment(epochs=2, pruning=ex.Pruning(begin_epoch=2)).pruning.begin_epoch == 2


@pytest.mark.parametrize(("text", "words"), [("{", "not JSON"), ("", "not JSON"), ("[1]", "JSON object")])
def test_text_that_is_no_experiment(text, words):
    with pytest.raises(ValueError, match=words):
        ex.Experiment.from_json(text)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ValueError, match=r"lr = .*epochs = "):
        ex.Experiment(lr=-1, epochs=0)


LONG = "x" * 10**6
ENDLESS = 10**5000  # Python writes no such number


@pytest.mark.parametrize(
    "fields",
    [
        {"model": LONG},
        {LONG: 1},
        {"lr": LONG},
        {"epochs": 10**30},
        {"epochs": ENDLESS},
        {"seed": ENDLESS},
        {"validation": 10**30},
        {"pruning": {"options": {LONG: 1}}},
        {"pruning": {"schedule": "gradual", "options": {"every": [LONG] * 100}}},
        {"clipping": {"rule": [LONG]}},
        {f"field{i}": 1 for i in range(1000)},
    ],
)
def test_what_is_without_bounds_is_refused_in_few_words(fields):
    with pytest.raises(ValueError, match="Experiment: ") as error:
        ex.Experiment(**fields)
    assert len(str(error.value)) < 450


@pytest.mark.parametrize("text", ["[" * 100_000, '{"epochs": ' + "9" * 5000 + "}", '{"a":' * 100_000])
def test_json_without_end_is_refused_in_few_words(text):
    with pytest.raises(ValueError, match="this is not JSON") as error:
        ex.Experiment.from_json(text)
    assert len(str(error.value)) < 300


def test_more_epochs_than_anybody_waits_for():
    with pytest.raises(ValueError, match="epochs = 100000000: must be less than or equal to 100000"):
        ex.Experiment(epochs=100_000_000)
    assert ex.Experiment(epochs=100_000).epochs == 100_000
