"""What has to change together: methods that insist on others, and options that only some methods know."""

import warnings
from collections.abc import Iterator
from typing import Any

from explorer import registry
from explorer.engine.pruning.fit import check, prunable_layers
from explorer.engine.training.trainer import Trainer
from explorer.experiment import METHODS, Experiment, Pruning
from explorer.registry import Method, Option
from explorer.ui.controls.controls import Changes, value_at
from explorer.ui.controls.method_options import METHOD_PATHS, OPTION_PATHS, methods_named, options_of
from explorer.ui.session.session import Session

# A method that is chosen may switch those to its right, never one to its left.
PRECEDENCE = sorted(METHODS, key=lambda axis: axis not in ("criterion", "schedule"))
EQUAL_SHARE = 0.1  # of each layer, until somebody says otherwise; only their proportion counts
# A change of one of these, or inside of it, may ask for others, or not fit the network.
STRUCTURAL = {*METHOD_PATHS.values(), *OPTION_PATHS.values(), "clipping"}


def with_required_changes(experiment: Experiment, changes: Changes) -> tuple[Changes, str]:
    """Return the changes with all that has to change with them, and a remark where a method was switched.

    Raises ValueError where they do not go together all the same.
    """
    if not any(path in STRUCTURAL or path.rpartition(".")[0] in STRUCTURAL for path in changes):
        return changes, ""
    reason: ValueError | None = None
    for axis, name in _candidates(experiment, changes):
        candidate = {**changes, **({METHOD_PATHS[axis]: name} if axis else {})}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is only tried out
                candidate |= _required_options(experiment, candidate)
                anything = {"pruning.threshold": 0.0} if experiment.pruning else {}
                check(experiment.replace({**anything, **candidate}))
        except ValueError as error:
            reason = reason or error
        else:
            method = changes[METHOD_PATHS[_axis(changes)]] if axis else ""
            return candidate, f"With {method}, {axis} is now {name}." if axis else ""
    assert reason is not None
    raise reason


def _axis(changes: Changes) -> str:
    """Return the axis on which a method was chosen; "" where none was."""
    return next((axis for axis in PRECEDENCE if METHOD_PATHS[axis] in changes), "")


def _candidates(experiment: Experiment, changes: Changes) -> Iterator[tuple[str, str]]:
    """Yield no switch, and then each method of an axis that may have to follow, as (axis, name)."""
    yield "", ""
    axis = _axis(changes)
    if axis and experiment.pruning is not None:
        for other in PRECEDENCE[PRECEDENCE.index(axis) + 1 :]:
            yield from ((other, name) for name in registry.names(other))


def _required_options(experiment: Experiment, changes: Changes) -> Changes:
    """Return the options without what the methods to come do not know, and with what they ask for."""
    changed = {axis for axis, path in METHOD_PATHS.items() if path in changes}
    required: Changes = {}
    for path in dict.fromkeys(OPTION_PATHS.values()):
        axes = [axis for axis, at in OPTION_PATHS.items() if at == path]
        if path in changes or not changed.intersection((*axes, "model")):
            continue
        methods = (method for axis in axes for method in _methods_after(experiment, changes, axis))
        allowed = {name: option for method in methods for name, option in method.options.items()}
        before = options_of(experiment, axes[0])
        after = {n: value for n, value in before.items() if n in allowed and _accepts(allowed[n], value)}
        reshaped = changed & {"model", "granularity"}
        for option in allowed.values():
            if option.required and (reshaped or option.name not in after):
                after[option.name] = (EQUAL_SHARE,) * _pruned_layers(experiment, changes)
        if after != before:
            required[path] = after
    return required


def _methods_after(experiment: Experiment, changes: Changes, axis: str) -> list[Method]:
    """Return the methods on an axis after the changes."""
    if axis == "rule" and changes.get("clipping", ...) is None:
        return []
    path = METHOD_PATHS[axis]
    return methods_named(axis, changes[path] if path in changes else value_at(experiment, path))


def _accepts(option: Option, value: Any) -> bool:
    try:
        option.check(value)
    except ValueError:
        return False
    return True


def _pruned_layers(experiment: Experiment, changes: Changes) -> int:
    """Return how many layers would be pruned after the changes."""
    [model], [granularity] = (_methods_after(experiment, changes, axis) for axis in ("model", "granularity"))
    own = model.own(options_of(experiment, "model"))
    options = granularity.own(options_of(experiment, "granularity"))
    pruning = Pruning(granularity=granularity.name, options=options)
    images = {"dataset": changes.get("dataset", experiment.dataset), "validation": 0, "batch_size": 1}
    return len(prunable_layers(Experiment(model=model.name, model_options=own, pruning=pruning, **images)))


def keep_sparsity(session: Session, changes: Changes) -> Changes:
    """Return the threshold that prunes as much as before, where the unit or the score changes its meaning."""
    before = session.experiment
    if not {"pruning.unit", "pruning.criterion"} & set(changes) or before.pruning is None:
        return {}
    if "pruning.unit" not in changes and before.pruning.unit == "sparsity":
        return {}
    after = before.replace({**changes, "pruning.threshold": 0.0})
    assert after.pruning is not None

    def equivalent(trainer: Trainer) -> float:
        view, _ = trainer.prune_base()
        return trainer.pruner.equivalent_threshold(view, before, after)

    digits = 4 if after.pruning.unit == "sparsity" else 7  # a score's are those of a float32
    return {"pruning.threshold": float(f"{session.call(equivalent).result(5):.{digits}g}")}
