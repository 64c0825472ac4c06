"""What has to change together: methods that insist on others, and options that only some methods know."""

import warnings
from collections.abc import Iterator
from typing import Any

from explorer import registry
from explorer.engine.pruning.pruner import check, prunable_layers
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment, Pruning
from explorer.registry import Method, Option
from explorer.ui.controls.controls import Changes
from explorer.ui.controls.method_options import PLACES, bag, chosen
from explorer.ui.session.session import Session

SWITCHED = "With {method}, {axis} is now {name}."
# A method that is chosen may switch those to its right, never one to its left.
ORDER = ("criterion", "schedule", "granularity", "allocation", "unit")
EQUAL_SHARE = 0.1  # of each layer, until somebody says otherwise; only their proportion counts
PATHS = {axis: f"pruning.{axis}" for axis in ORDER} | {"model": "model", "rule": "clipping.rule"}


def completed(experiment: Experiment, changes: Changes) -> tuple[Changes, str]:
    """The changes with all that has to change with them, and a remark where a method was switched.

    Raises ValueError where they do not go together all the same.
    """
    reason: ValueError | None = None
    for axis, name in _ways(experiment, changes):
        tried = {**changes, **({PATHS[axis]: name} if axis else {})}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is only tried out
                tried |= _bags(experiment, tried)
                check(
                    experiment.replace({"pruning.threshold": 0.0, **tried} if experiment.pruning else tried)
                )
        except ValueError as error:
            reason = reason or error
        else:
            remark = (
                SWITCHED.format(method=changes[PATHS[_axis(changes)]], axis=axis, name=name) if axis else ""
            )
            return tried, remark
    assert reason is not None
    raise reason


def _axis(changes: Changes) -> str:
    """The axis on which a method was chosen; empty where none was."""
    return next((axis for axis in ORDER if PATHS[axis] in changes), "")


def _ways(experiment: Experiment, changes: Changes) -> Iterator[tuple[str, str]]:
    """As it was asked for, and then with one method switched on an axis that may have to follow."""
    yield "", ""
    axis = _axis(changes)
    if axis and experiment.pruning is not None:
        for other in ORDER[ORDER.index(axis) + 1 :]:
            yield from ((other, name) for name in registry.names(other))


def _bags(experiment: Experiment, changes: Changes) -> Changes:
    """The bags of options without what the methods to come do not know, and with what they ask for."""
    changed = {axis for axis, path in PATHS.items() if path in changes}
    found: Changes = {}
    for place in dict.fromkeys(PLACES.values()):
        axes = [axis for axis, at in PLACES.items() if at == place]
        if place in changes or not changed.intersection((*axes, "model")):
            continue
        known = {
            n: o for axis in axes for m in _after(experiment, changes, axis) for n, o in m.options.items()
        }
        before = bag(experiment, axes[0])
        kept = {name: value for name, value in before.items() if name in known and _holds(known[name], value)}
        reshaped = changed & {"model", "granularity"}
        for option in known.values():
            if option.required and (reshaped or option.name not in kept):
                kept[option.name] = (EQUAL_SHARE,) * _layers(experiment, changes)
        if kept != before:
            found[place] = kept
    return found


def _after(experiment: Experiment, changes: Changes, axis: str) -> list[Method]:
    """The methods on an axis after the changes."""
    if axis == "rule" and changes.get("clipping", ...) is None:
        return []
    if PATHS[axis] not in changes:
        return chosen(experiment, axis)
    names = changes[PATHS[axis]]
    return [registry.get(axis, name) for name in ((names,) if isinstance(names, str) else names)]


def _holds(option: Option, value: Any) -> bool:
    try:
        option.check(value)
    except ValueError:
        return False
    return True


def _layers(experiment: Experiment, changes: Changes) -> int:
    """How many layers would be pruned after the changes."""
    [model], [granularity] = (_after(experiment, changes, axis) for axis in ("model", "granularity"))
    own = model.own(bag(experiment, "model"))
    pruning = Pruning(granularity=granularity.name, options=granularity.own(bag(experiment, "granularity")))
    dataset = changes.get("dataset", experiment.dataset)
    after = Experiment(model=model.name, model_options=own, dataset=dataset, pruning=pruning)
    return len(prunable_layers(after))


def same_sparsity(session: Session, changes: Changes) -> Changes:
    """The threshold that prunes as much as before, where the unit or the score changes its meaning."""
    before = session.experiment
    if not {"pruning.unit", "pruning.criterion"} & set(changes) or before.pruning is None:
        return {}
    if "pruning.unit" not in changes and before.pruning.unit == "sparsity":
        return {}
    after = before.replace({**changes, "pruning.threshold": 0.0})

    def equivalent(trainer: Trainer) -> float:
        view, _ = trainer.prune_base()
        return trainer.pruner.equivalent_threshold(view, before, after)

    digits = 4 if after.pruning.unit == "sparsity" else 7  # a score's are those of a float32
    return {"pruning.threshold": float(f"{session.call(equivalent).result(5):.{digits}g}")}
