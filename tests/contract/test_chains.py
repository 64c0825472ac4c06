"""A Clipping names one rule or a chain; it is the same however it is written."""

import pytest

import explorer as ex

CHAIN = ex.Clipping(rule=("norm", "top-k"), max_norm=0.5, options={"k": 0.25, "error_feedback": True})


def test_a_list_and_a_tuple_say_the_same():
    again = ex.Clipping(rule=["norm", "top-k"], max_norm=0.5, options={"error_feedback": True, "k": 0.25})
    assert again == CHAIN
    assert (again.rule, again.rules) == (("norm", "top-k"), ("norm", "top-k"))


def test_one_rule_is_written_in_one_way():
    one = ex.Experiment(clipping={"rule": ("value",)})
    assert one.clipping.rule == "value"
    assert one.hash == ex.Experiment(clipping={"rule": "value"}).hash
    assert ex.Clipping(rule="value").rules == ("value",)
    assert ex.Experiment(clipping={"rule": ["norm"]}).hash == ex.Experiment().hash


def test_the_order_is_part_of_what_it_is():
    one, two = (ex.Experiment(clipping={"rule": rule}) for rule in (("norm", "value"), ("value", "norm")))
    assert one != two
    assert one.hash != two.hash


def test_a_chain_is_reached_by_a_dotted_name():
    exp = ex.Experiment().replace({"clipping.rule": ["norm", "top-k"], "clipping.options.k": 0.5})
    assert exp.clipping == ex.Clipping(rule=("norm", "top-k"), options={"k": 0.5})
    assert exp.replace({"clipping.max_norm": 2}).clipping.rule == ("norm", "top-k")


BAD = [
    ({"rule": 5}, "rule = 5: must be a clip rule's name, or a tuple of names"),
    ({"rule": None}, "rule = None: must be"),
    ({"rule": ()}, r"rule = \(\): must be"),
    ({"rule": ("norm", 3)}, r"rule = \('norm', 3\): must be"),
    ({"rule": ("norm", "topk")}, r"rule = 'topk' is not known; did you mean 'top-k'\?"),
    ({"rule": "top-k", "options": {"k": 0}}, "k = 0"),
    ({"rule": "top-k", "options": {"k": 1.01}}, "k = 1.01"),
    ({"rule": "top-k", "options": {"error_feedback": 1}}, "error_feedback = 1"),
    ({"rule": "threshold", "options": {"tau": -1e-3}}, "tau = -0.001"),
    ({"rule": "threshold", "options": {"rate": -1.0}}, "rate = -1"),
    ({"rule": "agc", "options": {"clipping": 0}}, "clipping = 0"),
    ({"rule": "autoclip", "options": {"percentile": 101}}, "percentile = 101"),
    (
        {"rule": ("norm", "top-k"), "options": {"tau": 0.1}},
        r"'tau' is not known.*\(options of norm \+ top-k\)",
    ),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ex.Experiment(clipping=fields)


@pytest.mark.parametrize("rule", ["agc", "autoclip", "top-k", "threshold", ("autoclip", "top-k")])
def test_a_clip_norm_without_effect_warns(rule):
    with pytest.warns(
        UserWarning, match=r"max_norm = 0.5 has no effect with clip rule .*: norm, layer-norm,"
    ):
        ex.Clipping(rule=rule, max_norm=0.5)
    assert not ex.Clipping(rule=rule).bounded  # the default says nothing, and warns of nothing


@pytest.mark.parametrize("rule", ["norm", "layer-norm", "value", ("top-k", "norm")])
def test_a_clip_norm_with_an_effect_does_not_warn(rule):
    assert ex.Clipping(rule=rule, max_norm=0.5).bounded
