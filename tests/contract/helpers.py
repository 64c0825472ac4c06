"""Shared by the contract tests: what a run recorded, and experiments made from the registry alone."""

import functools
import warnings
from itertools import combinations, product

import polars as pl
from pydantic import TypeAdapter

import explorer as ex
from explorer import registry
from explorer.engine.network import models
from explorer.engine.network.layout import Layout
from explorer.engine.pruning.resolved import resolve
from explorer.experiment import METHODS

SIZES = {"fc1": 784 * 128, "fc2": 128 * 10}  # weights of the default model's layers
TRAINING = ("rule", "optimizer", "loss", "lr_decay")  # axes that go with every pruning and with each other
NETS = ("small-chain", "small-conv")


def steps_of(run, metric, layer=None):
    same = pl.col("layer").is_null() if layer is None else pl.col("layer") == layer
    return run.history.filter((pl.col("metric") == metric) & same)["step"].to_list()


def values_of(run, metric, layer=None):
    same = pl.col("layer").is_null() if layer is None else pl.col("layer") == layer
    found = run.history.filter((pl.col("metric") == metric) & same)
    return dict(zip(found["step"], found["value"], strict=True))


# -- from the registry ------------------------------------------------------------------------------------


def examples(schema):
    """Values near the ends of what a JSON schema allows; none where it gives neither range nor choices."""
    if "anyOf" in schema:
        return [value for part in schema["anyOf"] for value in examples(part)]
    if schema["type"] == "array":
        return [(value,) for value in examples(schema["items"])]
    if schema["type"] == "boolean":
        return [False, True]
    step = 1 if schema["type"] == "integer" else 0.25
    ends = {"minimum": step, "maximum": -step, "exclusiveMinimum": step, "exclusiveMaximum": -step}
    inside = [schema[end] + inwards for end, inwards in ends.items() if end in schema]
    return schema.get("enum", [schema[end] for end in ("minimum", "maximum") if end in schema] + inside)


@functools.cache
def allowed(option):
    return examples(TypeAdapter(option.annotation).json_schema())


def pruning(chosen, layers=1):
    """The fields of a Pruning by the methods chosen, other axes at their defaults; it acts from step 3 on."""
    named = {axis: chosen[axis] for axis in METHODS if axis in chosen}
    methods = [registry.get(axis, name) for axis, name in named.items()]
    options = {o.name: allowed(o)[0] * layers for m in methods for o in m.options.values() if o.required}
    if any("every" in m.options for m in methods):
        options["every"] = 2  # of so few steps
    threshold = {"threshold": 0.6 if chosen.get("unit", "sparsity") == "sparsity" else 0.2}
    fixed = any(getattr(m.traits, "threshold", None) for m in methods)
    return {**named, **({} if fixed else threshold), "begin_epoch": 0.25, "options": options}


def fitting(chosen):
    """The methods chosen, with the first granularity that goes with them where none is named."""
    named = [chosen, *({"granularity": name, **chosen} for name in registry.names("granularity"))]
    return next(each for each in named if refusal(each) is None)


def experiment(make, **chosen):
    """The methods chosen, by axis, on the first of the small nets that has what the granularity prunes."""
    chosen = fitting(chosen)
    rule = {"rule": chosen["rule"], "max_norm": 0.5} if "rule" in chosen else {}
    if rule and "max_norm" not in registry.get("rule", chosen["rule"]).needs:
        del rule["max_norm"]
    fields = {axis: chosen[axis] for axis in TRAINING[1:] if axis in chosen} | {"clipping": rule}
    for net in NETS:
        exp = make(model=net, pruning=pruning(chosen), **fields)
        try:
            layers = eligible(exp)
        except ValueError:
            if net == NETS[-1]:
                raise
        else:
            return exp.replace(pruning=pruning(chosen, len(layers)))
    return None


def eligible(exp):
    """The layers that an experiment prunes, [(name, shape)]."""
    shapes = {layer.name: layer.weight.shape for layer in Layout(models.build(exp)).layers}
    return [(name, shapes[name]) for name in resolve(exp.pruning).eligible(shapes, list(shapes)[-1:])]


def refusal(chosen):
    """Why these methods cannot be pruned with, or have no effect; None where all is well."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            ex.Experiment(pruning=pruning(chosen))
        except (ValueError, UserWarning) as error:
            return error
    return None


def pairwise():
    """Combinations of methods, a dictionary by axis each, that hold every pair that any experiment can hold.

    Greedily: each starts from a pair not seen yet and takes what brings most others. (allpairspy stops
    early where some combinations are refused, and leaves pairs out.)
    """
    names = {axis: registry.names(axis) for axis in (*METHODS, *TRAINING)}
    every = [tuple(zip(METHODS, row, strict=True)) for row in product(*(names[axis] for axis in METHODS))]
    valid = [row for row in every if refusal(dict(row)) is None]
    free = {axis: [(axis, name) for name in names[axis]] for axis in TRAINING}
    left = {pair for row in valid for pair in combinations(row, 2)}
    left |= {(item, other) for row in valid for item in row for others in free.values() for other in others}
    left |= {pair for one, two in combinations(free.values(), 2) for pair in product(one, two)}

    def gain(row):
        return len(left.intersection(combinations(row, 2)))

    found = []
    while left:
        start = min(left)
        row = max((r for r in valid if all(i in r for i in start if i[0] in METHODS)), key=gain)
        for axis, items in free.items():
            forced = [item for item in start if item[0] == axis]
            row = max(((*row, item) for item in forced or items), key=gain)
        left.difference_update(combinations(row, 2))
        found.append(dict(row))
    return found
