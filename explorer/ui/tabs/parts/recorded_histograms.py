"""Histograms as they were recorded: what the Weights tab shows of a moment in the past."""

from collections.abc import Iterable
from typing import Any

from explorer.engine.training.history import Row
from explorer.figures.weights import layer_tables
from explorer.ui.session.frames import Frame

Tables = dict[tuple[str, str], Any]


def tables(frame: Frame, scored: Iterable[str], *, cuts_weights: bool) -> Tables:
    """Return the datasets of all histograms at the step that is looked at; nothing at present.

    Args:
        frame: of the past or the present.
        scored: the layers whose scores have a chart of their own.
        cuts_weights: whether the threshold of then is a size of weights, so that it is drawn among them.
    """
    if frame.viewed_step is None:
        return {}
    scored = list(scored)
    history = frame.trainer.lanes[0].history
    cutoffs = _latest(history.cutoffs, frame.viewed_step)
    cut = {layer: cutoff for _, layer, cutoff in cutoffs}
    weights = _latest(history.histograms, frame.viewed_step, axis="weight")
    scores = _latest(history.histograms, frame.viewed_step, axis="score")
    datasets: Tables = {}
    for name in frame.trainer.observer.edges:
        datasets |= _one(f"weights-{name}", weights, name, cut.get(name) if cuts_weights else None, "weight")
    for name in scored:
        datasets |= _one(f"scores-{name}", scores, name, cut.get(name), "score")
    return datasets


def _latest(rows: Iterable[Row], step: int, axis: str = "") -> list[Row]:
    """Return the rows of the last record up to a step."""
    until = [row for row in rows if row[0] <= step and (not axis or row[2] == axis)]
    return [row for row in until if row[0] == until[-1][0]]


def _one(chart: str, rows: list[Row], layer: str, cutoff: float | None, axis: str) -> Tables:
    bins = [row[3:] for row in rows if row[1] == layer]
    columns = zip(*bins, strict=True) if bins else ((),) * 5
    tables = layer_tables(*columns, cutoff=cutoff, axis=axis)
    if not bins:
        tables["note"] = {"text": [""]}
    return {(chart, name): table for name, table in tables.items()}
