"""`sweep`: one Experiment in many variants, side by side as lanes of a stack where they can."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from explorer import registry
from explorer.engine.data.device import pick_device
from explorer.engine.pruning import pruner
from explorer.engine.training.run import Run
from explorer.engine.training.train import train_stack, warn_of_fork
from explorer.experiment import Experiment
from explorer.presets import experiment_of
from explorer.study.plan import Plan, make_plan, steps_of
from explorer.study.processes import train_stacks

if TYPE_CHECKING:
    import polars as pl

ALL = "all"
NUMBERS = (
    "hash",
    "test_accuracy",
    "dense_test_accuracy",
    "val_accuracy",
    "sparsity",
    "compression",
    "clip_rate",
)


@dataclass
class Study:
    """What came of many experiments: `runs` in the grid's order, and `skipped` with the reason of each."""

    runs: list[Run]
    varied: list[dict[str, Any]] = field(repr=False)
    skipped: list[tuple[dict[str, Any], str]]
    plan: Plan = field(repr=False)

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """A row a run: what was varied, the seed, and the summary's numbers."""
        import polars as pl  # noqa: PLC0415  a bare worker has no polars

        rows = [
            {**varied, "seed": run.experiment.seed, "status": run.status}
            | {name: run.summary[name] for name in NUMBERS}
            for run, varied in zip(self.runs, self.varied, strict=True)
        ]
        return pl.DataFrame(rows, infer_schema_length=None)


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
    `exp.seed + 0` to `exp.seed + 4`, or from each seed in the grid on. What makes no sense is skipped, and
    `study.skipped` says why. A process forked from one that has trained may hang in torch: start it by
    "spawn".

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
    experiments, varied, skipped = _combinations(experiment_of(experiment), grid, seeds)
    if not experiments:
        changes, reason = skipped[0]
        given = registry.show(changes)
        raise ValueError(f"none of {len(skipped)} combinations can be trained; {given}: {reason}")
    work = make_plan(experiments, pick_device(device), plan)
    with _bar(work, progress) as bar:
        runs = _with_twins(_train(work, device, bar.update if bar else lambda _: None), work.kind)
    return Study([runs[e.hash] for e in experiments], varied, skipped, work)


def _train(plan: Plan, device: str, on_steps: Callable[[int], object]) -> list[Run]:
    """Train all stacks of a plan and return their runs, in the plan's order."""
    if plan.kind == "processes":
        by_stack = dict(train_stacks(plan.stacks, plan.at_a_time, on_steps))
        return [run for i in range(len(by_stack)) for run in by_stack[i]]
    return [run for stack in plan.stacks for run in train_stack(stack, device, on_steps)]


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
    experiment: Experiment, grid: Mapping[str, Sequence[Any] | str], seeds: int
) -> tuple[list[Experiment], list[dict[str, Any]], list[tuple[dict[str, Any], str]]]:
    """Return the experiments of a grid, what was varied in each, and what is skipped with the reason."""
    values = [_values(name, listed) for name, listed in grid.items()]
    experiments, varied, skipped = [], [], []
    for point in product(*values):
        changes = dict(zip(grid, point, strict=True))
        try:
            first = experiment.replace(changes)
            variants = [first.replace(seed=first.seed + i) for i in range(seeds)]
            pruner.check(first)
        except Exception as error:  # noqa: BLE001  whatever one does, the others train
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            skipped.append((changes, kind + str(error)))
            continue
        experiments += variants
        varied += [changes] * seeds
    return experiments, varied, skipped


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
