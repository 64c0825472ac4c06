"""`sweep`: one Experiment in many variants, those that can side by side as lanes of a stack."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from explorer import registry
from explorer.engine.lanes import shared_key
from explorer.engine.run import Run
from explorer.engine.train import runs_of
from explorer.engine.trainer import Trainer
from explorer.experiment import Experiment

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
LANES = 64  # at most so many in a stack: each holds a few copies of its weights


@dataclass
class Study:
    """What came of many experiments: `runs` in the order asked for, and `skipped` with the reason of each."""

    runs: list[Run]
    varied: list[dict[str, Any]] = field(repr=False)
    skipped: list[tuple[dict[str, Any], str]]

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
) -> Study:
    """Trains an experiment in every combination of a grid, for several seeds; dense twins are shared.

    `ex.sweep(exp, {"pruning.criterion": "all", "pruning.threshold": [0.5, 0.9]}, seeds=5)` takes seeds
    `exp.seed + 0` to `exp.seed + 4`. What makes no sense is skipped, and `study.skipped` says why.

    Args:
        experiment: what the combinations start from.
        grid: dotted names to lists of values; "all" stands for every method on that axis.
        seeds: how many seeds, from the experiment's own on.
        device: "auto", "cpu" or "cuda".
        progress: show a bar over all steps.
    """
    chosen, varied, skipped = _combinations(experiment, grid, seeds)
    stacks = _stacks(chosen)
    runs: dict[str, Run] = {}
    with _bar(stacks, progress) as bar:
        for members in stacks:
            dense = members[0].dense()
            lanes = [*members, *([] if dense in members else [dense])]
            trainer = Trainer(lanes, device)
            for item in trainer.run():
                if bar is not None and item is None:
                    bar.update()
            found = runs_of(trainer, "done")
            for run in found:
                run.dense = None if run.experiment.pruning is None else found[lanes.index(dense)]
                run.summary["dense_test_accuracy"] = found[lanes.index(dense)].summary["test_accuracy"]
                runs.setdefault(run.experiment.hash, run)
    return Study([runs[e.hash] for e in chosen], varied, skipped)


def _combinations(
    experiment: Experiment, grid: Mapping[str, Sequence[Any] | str], seeds: int
) -> tuple[list[Experiment], list[dict[str, Any]], list[tuple[dict[str, Any], str]]]:
    values = [_values(name, given) for name, given in grid.items()]
    chosen, varied, skipped = [], [], []
    for point in product(*values):
        changes = dict(zip(grid, point, strict=True))
        try:
            variants = [experiment.replace(changes, seed=experiment.seed + i) for i in range(seeds)]
        except ValueError as error:
            skipped.append((changes, str(error)))
            continue
        chosen += variants
        varied += [changes] * seeds
    return chosen, varied, skipped


def _values(name: str, given: Sequence[Any] | str) -> Sequence[Any]:
    if given == ALL:
        return registry.names(name.rpartition(".")[2])
    if isinstance(given, str):
        raise ValueError(f"{name} = {given!r}: give a list of values, or {ALL!r} for every method there is")
    return given


def _stacks(experiments: Sequence[Experiment]) -> list[list[Experiment]]:
    """Those that share data order, clip rule and dense twin, in stacks of at most `LANES`."""
    groups: dict[str, list[Experiment]] = {}
    for experiment in dict.fromkeys(experiments):
        groups.setdefault(f"{shared_key(experiment)} {experiment.dense().hash}", []).append(experiment)
    return [group[i : i + LANES] for group in groups.values() for i in range(0, len(group), LANES)]


def _bar(stacks: list[list[Experiment]], progress: bool) -> Any:
    if not progress:
        return nullcontext()
    from tqdm.auto import tqdm  # noqa: PLC0415  a bare worker shows no bar

    steps = sum(-(-(60_000 - s[0].validation) // s[0].batch_size) * s[0].epochs for s in stacks)
    return tqdm(total=steps, unit=" steps", desc=f"{len(stacks)} stacks")
