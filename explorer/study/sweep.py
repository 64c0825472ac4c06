"""`sweep`: one Experiment in many variants, side by side as lanes of a stack where they can."""

import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import torch

from explorer import registry
from explorer.engine.data.datasets import load
from explorer.engine.data.device import pick_device
from explorer.engine.network import models
from explorer.engine.network.layout import warn_of_left_out
from explorer.engine.pruning import fit
from explorer.engine.training.run import Run
from explorer.engine.training.train import staying_layers, train_stack, warn_of_fork
from explorer.experiment import Clipping, Experiment, Pruning
from explorer.presets import experiment_of
from explorer.study.plan import Plan, make_plan, steps_of, with_twins
from explorer.study.processes import train_stacks

if TYPE_CHECKING:
    import polars as pl

# Every string that a person reads here.
NONE_TRAINS = "none of {} combinations can be trained; {}: {}"
SKIPPED = "{} of {} combinations are skipped (study.skipped has them all); {}: {}"
FAILED = "{} of {} runs failed (study.missing has them all); {}: {}"
INTERRUPTED = "interrupted"
FALLEN = "{} of {} runs keep no weight of a whole layer; the first of them: {}, seed {}"
WORDS = 200  # of a reason, at most, that a warning repeats

ALL = "all"
NUMBERS = ("test_accuracy", "dense_test_accuracy", "val_accuracy", "sparsity", "compression", "clip_rate")
CHAINED = " + "  # between clip rules in a frame where other rows have one, as in the widget's menu


@dataclass
class Study:
    """What came of many experiments: `runs` in the grid's order.

    `skipped` has the combinations that make no sense, `missing` the runs that failed or that an interrupt
    came before, their seed included; each with the reason.
    """

    runs: list[Run]
    varied: list[dict[str, Any]] = field(repr=False)  # in each run
    skipped: list[tuple[dict[str, Any], str]]
    plan: Plan = field(repr=False)
    missing: list[tuple[dict[str, Any], str]] = field(default_factory=list)

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """A row a run: what was varied, the seed, and the summary's numbers."""
        import polars as pl  # noqa: PLC0415  a bare worker has no polars

        names = dict.fromkeys([name for varied in self.varied for name in varied])
        own = {name: _column(name, [varied[name] for varied in self.varied]) for name in names}
        facts: dict[str, tuple[list[Any], pl.DataType]] = {
            "seed": ([run.experiment.seed for run in self.runs], pl.Int64()),
            "status": ([run.status for run in self.runs], pl.String()),
            "hash": ([run.experiment.hash for run in self.runs], pl.String()),
            **{name: ([run.summary[name] for run in self.runs], pl.Float64()) for name in NUMBERS},
        }
        return pl.DataFrame(
            own | {name: pl.Series(name, values, kind) for name, (values, kind) in facts.items()}
        )


def _column(name: str, values: list[Any]) -> "pl.Series":
    """Return what was varied as polars takes it, or as text where it takes no such mixture."""
    import polars as pl  # noqa: PLC0415  a bare worker has no polars

    try:
        column = pl.DataFrame([{name: value} for value in values], infer_schema_length=None)[name]
        if column.dtype != pl.Object:
            return column
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        pass
    return pl.Series(name, [_text(value) for value in values], pl.String)


def _text(value: Any) -> str | None:
    if isinstance(value, tuple | list):
        return CHAINED.join(map(str, value))
    if isinstance(value, Pruning | Clipping):
        return value.code()
    return None if value is None else str(value)


def sweep(
    experiment: Experiment | str,
    grid: Mapping[str, Sequence[Any] | str],
    seeds: int = 1,
    device: str = "auto",
    progress: bool = True,
    *,
    plan: str = "auto",
) -> Study:
    """Train an experiment in every combination of a grid, for several seeds; dense twins are shared.

    `ex.sweep(exp, {"pruning.criterion": "all", "pruning.threshold": [0.5, 0.9]}, seeds=5)` takes seeds
    `exp.seed + 0` to `exp.seed + 4`, or from each seed in the grid on. What makes no sense is skipped with a
    warning, and `study.skipped` says why. What fails in training ends no other run: it stands in
    `study.missing`. Ctrl-C returns what is done; runs under way are "stopped" or, in processes, missing. A
    process forked from one that has trained may hang in torch: start it by "spawn".

    Args:
        experiment: what the combinations start from, or a preset's name.
        grid: dotted names to lists of values, or arrays; "all" stands for every method on that axis.
        seeds: how many seeds, from the experiment's own on.
        device: "auto", "cpu" or "cuda".
        progress: show a bar over all steps.
        plan: "stack" (lanes side by side), "loop" (one after the other), "processes" (one thread a core) or
            "auto", the fastest here. `study.plan` and each run's summary say which it was: on a CPU it
            decides the number of threads, and so the last digits.

    Raises:
        ValueError: where a name or value of the grid is wrong in all combinations, or there is none.
        TypeError: where it is no Experiment.
    """
    if seeds < 1:
        raise ValueError(f"seeds = {seeds}: give 1 or more")
    warn_of_fork()
    where = pick_device(device)
    experiments, varied, skipped = _combinations(experiment_of(experiment), grid, seeds, where)
    combinations = len(experiments) // seeds + len(skipped)
    if not experiments:
        first, reason = skipped[0]
        raise ValueError(NONE_TRAINS.format(combinations, registry.show(first), reason))
    if skipped:
        first, reason = skipped[0]
        given = registry.show(first)
        warnings.warn(SKIPPED.format(len(skipped), combinations, given, shorten(reason, WORDS)), stacklevel=2)
    fit.warn_of_dense_layers(experiments)
    for each in {(e.model, str(e.model_options)): e for e in experiments if e.pruning is not None}.values():
        warn_of_left_out(models.build(each))
    work = make_plan(experiments, where, plan)
    with _bar(work, progress) as bar:
        trained, errors = _train(work, set(experiments), device, bar.update if bar else lambda _: None)
    runs = _with_twins(trained, work.kind)
    pairs = list(zip(experiments, varied, strict=True))
    lost = [(e, {**changes, "seed": e.seed}) for e, changes in pairs if e.hash not in runs]
    missing = [(changes, _reason(errors[e.hash]) if e.hash in errors else INTERRUPTED) for e, changes in lost]
    failed = [each for each in missing if each[1] != INTERRUPTED]
    if failed:
        first, reason = failed[0]
        warnings.warn(FAILED.format(len(failed), len(pairs), first, shorten(reason, WORDS)), stacklevel=2)
    done = [(runs[e.hash], changes) for e, changes in pairs if e.hash in runs]
    fallen = [(run, changes) for run, changes in done if not all(staying_layers(run).values())]
    if fallen:
        run, changes = fallen[0]
        text = FALLEN.format(len(fallen), len(done), registry.show(changes), run.experiment.seed)
        warnings.warn(text, stacklevel=2)
    return Study([run for run, _ in done], [changes for _, changes in done], skipped, work, missing)


def _train(
    plan: Plan, experiments: set[Experiment], device: str, on_steps: Callable[[int], object]
) -> tuple[list[Run], dict[str, Exception]]:
    """Train all stacks of a plan; return their runs, in the plan's order, and by hash what has failed.

    A stack that fails is trained again in halves, so that only what fails itself is lost. Ctrl-C ends it.

    Raises the first error where nothing else came of it.
    """
    runs: dict[tuple[int, int], list[Run]] = {}  # by round and place
    errors: dict[str, Exception] = {}
    parts = [(stack, [e for e in stack if e in experiments]) for stack in plan.stacks]
    number = 0
    try:
        while parts:
            again: list[tuple[list[Experiment], list[Experiment]]] = []
            stacks = [stack for stack, _ in parts]
            with closing(_results(plan, stacks, device, on_steps, alone=number > 0)) as results:
                for place, result in results:
                    stack, own = parts[place]
                    if not isinstance(result, Exception):
                        runs[number, place] = result
                        if any(run.status == "stopped" for run in result):
                            raise KeyboardInterrupt
                    elif len(own) > 1:
                        middle = len(own) // 2
                        again += [(with_twins(half), half) for half in (own[:middle], own[middle:])]
                    elif isinstance(result, BrokenExecutor) and number == 0:  # another's fault, perhaps
                        again.append((stack, own))
                    else:
                        errors[own[0].hash] = result
            parts, number = again, number + 1
    except KeyboardInterrupt:
        pass
    else:
        if not runs:
            raise next(iter(errors.values()))
    return [run for key in sorted(runs) for run in runs[key]], errors


def _results(
    plan: Plan,
    stacks: Sequence[list[Experiment]],
    device: str,
    on_steps: Callable[[int], object],
    *,
    alone: bool,
) -> Generator[tuple[int, list[Run] | Exception], None, None]:
    """Yield the place of each stack with its runs, or its error; `alone`, each has processes of its own."""
    if plan.kind == "processes" and not alone:
        yield from train_stacks(stacks, plan.at_a_time, on_steps)
        return
    for place, stack in enumerate(stacks):
        if plan.kind == "processes":
            yield from ((place, result) for _, result in train_stacks([stack], 1, on_steps))
            continue
        try:
            runs = train_stack(stack, device, on_steps)
        except Exception as error:  # noqa: BLE001  whatever one does, the others train
            yield place, error
        else:
            yield place, runs


def _reason(error: Exception) -> str:
    """Return what went wrong, with the kind of error where it is not one of the user's values."""
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return kind + str(error)


def _with_twins(trained: list[Run], kind: str) -> dict[str, Run]:
    """Return the runs by the hash of their experiment, each with its dense twin."""
    runs: dict[str, Run] = {}
    for run in trained:
        run.summary["plan"] = kind
        runs.setdefault(run.experiment.hash, run)
    for run in runs.values():
        dense = runs[run.experiment.dense().hash]
        run.dense = None if run.experiment.pruning is None else dense
        run.summary["dense_test_accuracy"] = dense.summary["test_accuracy"]
    return runs


def _combinations(
    experiment: Experiment, grid: Mapping[str, Sequence[Any] | str], seeds: int, device: torch.device
) -> tuple[list[Experiment], list[dict[str, Any]], list[tuple[dict[str, Any], str]]]:
    """Return the experiments of a grid, what was varied in each, and what is skipped with the reason."""
    values = [_values(name, listed) for name, listed in grid.items()]
    experiments, varied, skipped = [], [], []
    images: dict[str, Exception | None] = {}  # by data set: why there are none
    for point in product(*values):
        changes = dict(zip(grid, point, strict=True))
        try:
            first = experiment.replace(changes)
            variants = [first.replace(seed=first.seed + i) for i in range(seeds)]
            fit.check(first)
            if first.dataset not in images:
                images[first.dataset] = _error_of(first.dataset, device)
            if error := images[first.dataset]:
                raise error
        except Exception as error:  # noqa: BLE001  whatever one does, the others train
            skipped.append((changes, _reason(error)))
            continue
        experiments += variants
        varied += [changes] * seeds
    return experiments, varied, skipped


def _error_of(dataset: str, device: torch.device) -> Exception | None:
    """Return why a data set cannot be loaded; its traits alone do not tell."""
    try:
        load(dataset, device)
    except Exception as error:  # noqa: BLE001  it is the user's function
        return error
    return None


def _values(name: str, listed: Any) -> Sequence[Any]:
    if isinstance(listed, str) and listed == ALL:
        return registry.names(name.rpartition(".")[2])
    for convert in ("tolist", "to_list"):  # an array or tensor; a series
        if hasattr(listed, convert):
            listed = getattr(listed, convert)()
            break
    if isinstance(listed, str | Mapping) or not isinstance(listed, Iterable):
        raise ValueError(f"{name} = {listed!r}: give a list of values, or {ALL!r} for every method there is")
    values = list(listed)
    if not values:
        raise ValueError(f"{name} = []: give one value or more")
    return values


def _bar(plan: Plan, progress: bool) -> Any:
    if not progress:
        return nullcontext()
    from tqdm.auto import tqdm  # noqa: PLC0415  a bare worker shows no bar

    total = sum(map(steps_of, plan.stacks))
    return tqdm(total=total, unit=" steps", unit_scale=True, desc=str(plan))
