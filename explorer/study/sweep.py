"""`sweep`: one Experiment in many variants, those that can side by side as lanes of a stack."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, product
from typing import TYPE_CHECKING, Any

from explorer import registry
from explorer.engine.data.device import pick_device
from explorer.engine.pruning import pruner
from explorer.engine.training.run import Run
from explorer.engine.training.train import runs_of
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.study import worker
from explorer.study.plan import Plan, steps_of
from explorer.study.plan import plan as make_plan

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
    """What came of many experiments: `runs` in the order asked for, and `skipped` with the reason of each."""

    runs: list[Run]
    varied: list[dict[str, Any]] = field(repr=False)
    skipped: list[tuple[dict[str, Any], str]]
    plan: Plan = field(repr=False)

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """One row a run: what was varied, the seed, and the summary's numbers."""
        import polars as pl  # noqa: PLC0415  a bare worker has no polars

        told = [
            {**varied, "seed": run.experiment.seed, "status": run.status}
            | {name: run.summary[name] for name in NUMBERS}
            for run, varied in zip(self.runs, self.varied, strict=True)
        ]
        return pl.DataFrame(told, infer_schema_length=None)


def sweep(
    experiment: Experiment,
    grid: Mapping[str, Sequence[Any] | str],
    seeds: int = 1,
    device: str = "auto",
    progress: bool = True,
    *,
    plan: str = "auto",
) -> Study:
    """Trains an experiment in every combination of a grid, for several seeds; dense twins are shared.

    `ex.sweep(exp, {"pruning.criterion": "all", "pruning.threshold": [0.5, 0.9]}, seeds=5)` takes seeds
    `exp.seed + 0` to `exp.seed + 4`, or from each seed in the grid on. What makes no
    sense is skipped, and `study.skipped` says why.

    Args:
        experiment: what the combinations start from.
        grid: dotted names to lists of values; "all" stands for every method on that axis.
        seeds: how many seeds, from the experiment's own on.
        device: "auto", "cpu" or "cuda".
        progress: show a bar over all steps.
        plan: "stack" (lanes side by side), "loop" (one after the other), "processes" (one thread a core) or
            "auto", the fastest here. `study.plan` and each run's summary say which it was: on a CPU it
            decides the number of threads, and so the last digits.
    """
    chosen, varied, skipped = _combinations(experiment, grid, seeds)
    planned = make_plan(chosen, pick_device(device), plan)
    with _bar(planned, progress) as bar:
        tick = bar.update if bar is not None else lambda _: None
        found = _processes(planned, tick) if planned.kind == "processes" else _here(planned, device, tick)
    runs = _paired(found, planned.kind)
    return Study([runs[e.hash] for e in chosen], varied, skipped, planned)


def train_stack(stack: Sequence[Experiment], device: str) -> Iterator[int | list[Run]]:
    """Trains a stack: yields the steps of all lanes as they are done, and at last their runs."""
    trainer = Trainer(stack, device)
    trainer.rewindable = False
    done = 0
    for _ in trainer.run():
        yield len(stack) * (trainer.step - done)
        done = trainer.step
    yield runs_of(trainer, "done")


def _here(planned: Plan, device: str, tick: Callable[[int], object]) -> list[list[Run]]:
    found = []
    for item in chain.from_iterable(train_stack(stack, device) for stack in planned.stacks):
        if isinstance(item, list):
            found.append(item)
        else:
            tick(item)
    return found


def _processes(planned: Plan, tick: Callable[[int], object]) -> list[list[Run]]:
    return worker.train_all(planned.jobs, tick)


def _paired(found: list[list[Run]], kind: str) -> dict[str, Run]:
    """All runs by the hash of their experiment, each with its dense twin."""
    runs: dict[str, Run] = {}
    for run in chain.from_iterable(found):
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
    values = [_values(name, given) for name, given in grid.items()]
    chosen, varied, skipped = [], [], []
    fitting: dict[str, str] = {}  # why not, by what decides whether a pruning fits its network
    for point in product(*values):
        changes = dict(zip(grid, point, strict=True))
        try:
            first = experiment.replace(changes)
            variants = [first.replace(seed=first.seed + i) for i in range(seeds)]
            _check(first, fitting)
        except ValueError as error:
            skipped.append((changes, str(error)))
            continue
        chosen += variants
        varied += [changes] * seeds
    return chosen, varied, skipped


def _check(experiment: Experiment, fitting: dict[str, str]) -> None:
    """Raises ValueError where a pruning does not fit its network, each kind of which is built once."""
    pruning = experiment.pruning
    axes = ("granularity", "allocation", "unit")
    named = [(getattr(pruning, axis), pruning.own(axis)) for axis in axes] if pruning else []
    key = repr((experiment.model, experiment.model_options, *named))
    if key not in fitting:
        try:
            pruner.check(experiment)
        except ValueError as error:
            fitting[key] = str(error)
        else:
            fitting[key] = ""
    if fitting[key]:
        raise ValueError(fitting[key])


def _values(name: str, given: Sequence[Any] | str) -> Sequence[Any]:
    if given == ALL:
        return registry.names(name.rpartition(".")[2])
    if isinstance(given, str):
        raise ValueError(f"{name} = {given!r}: give a list of values, or {ALL!r} for every method there is")
    return given


def _bar(planned: Plan, progress: bool) -> Any:
    if not progress:
        return nullcontext()
    from tqdm.auto import tqdm  # noqa: PLC0415  a bare worker shows no bar

    lanes = [experiment for stack in planned.stacks for experiment in stack]
    return tqdm(total=steps_of(lanes), unit=" steps", unit_scale=True, desc=str(planned))
