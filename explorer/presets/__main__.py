"""Trains every preset at reduced length: `python -m explorer.presets`."""

import argparse

from explorer.engine.training.train import train
from explorer.experiment import Experiment
from explorer.presets import PRESETS, Preset
from explorer.registry import unknown


def shortened(experiment: Experiment, epochs: int) -> Experiment:
    """Return the same recipe in fewer epochs, its begin and end moved in proportion."""
    if experiment.epochs <= epochs:
        return experiment
    scale = epochs / experiment.epochs
    marks = ("begin_epoch", "end_epoch") if experiment.pruning else ()
    moved = {f"pruning.{n}": v * scale for n in marks if (v := getattr(experiment.pruning, n)) is not None}
    return experiment.replace(moved, epochs=epochs)


def _named(name: str) -> Preset:
    if name not in PRESETS:
        raise SystemExit(unknown("preset", name, PRESETS))
    return PRESETS[name]


def _line(name: str, epochs: int) -> str:
    run = train(shortened(_named(name).experiment, epochs), progress=False)
    summary, dense = run.summary, run.summary["dense_test_accuracy"]
    shift = "" if run.dense is None else f"{100 * (summary['test_accuracy'] - dense):+.2f}"
    note = "" if run.status == "done" else f"  {run.status}: {summary['advice']}"
    shares = f"{summary['sparsity']:7.1%} {summary['clip_rate']:8.1%}"
    figures = f"{summary['test_accuracy']:7.2%} {shift:>7} {shares}"
    return f"{name:40} {figures}{note}"


def main(arguments: list[str] | None = None) -> None:
    """Train every preset, or those named, and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m explorer.presets", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="presets; all of them by default")
    parser.add_argument("--epochs", type=int, default=2, help="at most so many epochs each (default 2)")
    given = parser.parse_args(arguments)
    head = f"preset, at most {given.epochs} epochs, 1 seed"
    print(f"{head:40} {'test':>7} {'shift':>7} {'pruned':>7} {'clipped':>8}")
    for name in given.names or PRESETS:
        print(_line(name, given.epochs), flush=True)


if __name__ == "__main__":
    main()
