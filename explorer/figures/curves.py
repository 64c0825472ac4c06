"""What was measured over time, as plain rows: the one source of a chart's table, live or in print.

A measurement is (step, epoch, net, metric, value); net is "pruned" or "dense". Those of a finished run come
from its history, those of a live one from the points of its session; both go through the same ``..._table``.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

Measurement = tuple[int, float, str, str, float]
METRICS = ("val_accuracy", "val_loss", "train_loss")  # of the curves that compare two networks
EVALUATED = ("val_accuracy", "val_loss")  # at a moment, where a training loss is a mean over steps


def rows_of(run: Any) -> list[Measurement]:
    """Return the curves of a run and of its dense twin, and where the pruned ones begin to differ."""
    own = net_of(run)
    if run.dense is None:
        return history_rows(run.history, own, METRICS)
    rows = history_rows(run.history, own, METRICS) + history_rows(run.dense.history, "dense", METRICS)
    return [*before_pruning(rows, first_prune(run.events.iter_rows())), *rows]


def net_of(run: Any) -> str:
    """Return what a run's own network is called beside its twin."""
    return "dense" if run.experiment.pruning is None else "pruned"


def history_rows(history: pl.DataFrame, net: str, metrics: Iterable[str]) -> list[Measurement]:
    """Return the records of the whole network, one metric after the other."""
    return [
        (step, epoch, net, metric, value)
        for metric in metrics
        for step, epoch, value in records(history, metric)
    ]


def records(history: pl.DataFrame, metric: str) -> Iterator[tuple[int, float, float]]:
    """Return step, epoch and value of a metric of the whole network."""
    of_network = (pl.col("metric") == metric) & pl.col("layer").is_null()
    return history.filter(of_network).select("step", "epoch", "value").iter_rows()


def before_pruning(rows: Iterable[Measurement], first: int | None) -> list[Measurement]:
    """Return where the pruned network stood just before its first prune event: on its twin's curves.

    Args:
        rows: What was measured of both.
        first: The step of that event; None where there was none.
    """
    return [
        (step, epoch, "pruned", metric, value)
        for step, epoch, net, metric, value in rows
        if step == first and net == "dense" and metric in EVALUATED
    ]


def first_prune(events: Iterable[tuple[Any, ...]]) -> int | None:
    """Return the step of the first prune event among rows of step, what, from, to."""
    return next((step for step, what, *_ in events if what == "prune"), None)
