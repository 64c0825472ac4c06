"""The reference table for 784-128-10: `python -m explorer.study.reference_table`.

No table was published for the articles' own network. This one has six criteria at 2 to 64 times compression
over several seeds, each run beside its dense twin; it is kept in `explorer/data/table-784-128-10.csv`.
Accuracy is on the 10,000 test images at the end of training; nothing was chosen by it.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import polars as pl

from explorer.experiment import Experiment, Pruning
from explorer.study.sweep import sweep

COMMAND = "python -m explorer.study.reference_table"
TARGET = Path(str(files("explorer.data") / "table-784-128-10.csv"))
COMPRESSIONS = (2, 4, 8, 16, 32, 64)
WEIGHTS = ("magnitude", "taylor", "gradient", "class-gradient", "random")
RECIPE = Experiment(epochs=6, lr=0.1, momentum=0.9, batch_size=128)


def measure(recipe: Experiment, seeds: int) -> pl.DataFrame:
    """Return a row a run: criterion, granularity, threshold, seed, accuracies, sparsity."""
    thresholds = [1 - 1 / c for c in COMPRESSIONS]
    neurons = recipe.replace(pruning=Pruning(criterion="activity", granularity="neuron"))
    parts = [
        sweep(recipe, {"pruning.criterion": WEIGHTS, "pruning.threshold": thresholds}, seeds).frame,
        sweep(neurons, {"pruning.criterion": ["activity"], "pruning.threshold": thresholds}, seeds).frame,
    ]
    grain = [pl.lit(name).alias("granularity") for name in ("weight", "neuron")]
    return pl.concat([part.with_columns(g) for part, g in zip(parts, grain, strict=True)])


def summarise(runs: pl.DataFrame) -> pl.DataFrame:
    """Return mean, standard deviation and n of each cell, in percent; shifts are from the dense twin."""
    accuracy, dense = 100 * pl.col("test_accuracy"), 100 * pl.col("dense_test_accuracy")
    return (
        runs.with_columns(compression_asked=(1 / (1 - pl.col("pruning.threshold"))).round(3))
        .group_by("pruning.criterion", "granularity", "compression_asked", maintain_order=True)
        .agg(
            sparsity=pl.col("sparsity").mean().round(5),
            accuracy_mean=accuracy.mean().round(3),
            accuracy_sd=accuracy.std().round(3),
            dense_mean=dense.mean().round(3),
            dense_sd=dense.std().round(3),
            shift_mean=(accuracy - dense).mean().round(3),
            shift_sd=(accuracy - dense).std().round(3),
            n=pl.len(),
        )
        .rename({"pruning.criterion": "criterion"})
    )


def main() -> None:
    """Train all runs and write the table."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    table = summarise(measure(RECIPE, arguments.seeds))
    command = f"{COMMAND} --seeds {arguments.seeds}"
    arguments.target.write_text(f"# {command}; {RECIPE.code()}\n{table.write_csv()}", encoding="utf-8")
    with pl.Config(tbl_rows=-1, tbl_cols=-1):
        print(table)


if __name__ == "__main__":
    main()
