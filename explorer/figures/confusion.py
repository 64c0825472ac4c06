"""Which digits pruning costs: answers that flipped, digit by digit, and confusion before and after.

The tables come from plain lists of labels and answers, so any two networks can be compared.

Datasets:
    flips: digit ("4 (n = 980)"), side ("lost" or "gained"), count; lost ones are negative
    note: text
    cells: truth, answer, count, errors (the count, or NaN where the answer is right)
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from explorer import registry
from explorer.figures import theme
from explorer.figures.provenance import with_recipe

FLIPS_TITLE, FLIPS_X, FLIPS_Y = "Answers that flipped", "images; p: McNemar's exact test", "digit"
SIDES = ("lost", "gained")
SIDE_WORDS = {"lost": "lost: only dense is right", "gained": "gained: only pruned is"}
DIGIT = "{} (n = {:,})"
TEST = "{lost:,} lost, {gained:,} gained; p {p}"
OF_IMAGES = "{}; n = {:,} images"
NO_ANSWERS = "a run has flipped answers where it has a dense twin and validation images"
BINARY, YES_OR_NO = "binary-digit", ("no", "yes")
CONFUSION_TITLES = {
    "dense": "Dense: answers to each digit",
    "pruned": "Pruned: answers to each digit",
    "change": "Change: pruned − dense",
    "alone": "Answers to each digit",
}
CONFUSION_NOTE = {"change": "mistakes: more orange, fewer blue"}
CONFUSION_PLAIN = "mistakes orange, right answers grey"
TRUTH, ANSWER = "true", "answer"
FLIPS_TEXT = (
    "Bar chart of flipped answers for each digit: to the left images that the dense network gets right and "
    "the pruned one wrong, to the right the other way round."
)
CONFUSION_TEXT = "Heat map of {}: true digits down, answers across, the number of images in each cell."
CELL, HEIGHT = 21, 216  # pixels: the height of a digit's bar, and of a heat map
SMALL = 0.001  # a p below is not told exactly
MISTAKES = "extent(pluck(data('cells'),'errors'))"
MOST = f"max(1, -{MISTAKES}[0], {MISTAKES}[1])"


def flips(table: Any = None, note: Any = None) -> alt.LayerChart:
    """Draw for each digit how many answers pruning lost and gained; without tables the chart is live.

    Args:
        table: of `flip_table`.
        note: Table of text; of `flip_note`.
    """
    y = alt.Y("digit:N", title=FLIPS_Y, axis=alt.Axis(ticks=False, domain=False))
    expression = "format(abs(datum.value), ',')"
    x = alt.X("count:Q", title=FLIPS_X, axis=alt.Axis(labelExpr=expression, tickMinStep=1, tickCount=6))
    words = " : ".join(f"datum.label == '{side}' ? '{SIDE_WORDS[side]}'" for side in SIDES) + " : ''"
    colour = alt.Color(
        "side:N",
        scale=alt.Scale(domain=SIDES, range=[theme.REMOVED, theme.REVIVED]),
        legend=alt.Legend(labelExpr=words, labelLimit=300, columns=1),
    )
    tooltip = [alt.Tooltip("digit:N"), alt.Tooltip("side:N"), alt.Tooltip("count:Q")]
    bars = theme.on("flips").mark_bar(height={"band": 0.7}).encode(x, y, colour, tooltip=tooltip)
    zero = alt.Chart().mark_rule(color=theme.LINE).encode(x=alt.datum(0))
    chart = alt.LayerChart(layer=[bars, zero, theme.note()])
    tables = {"flips": table, "note": note}
    return theme.finish(chart, tables, theme.beside_note(FLIPS_TITLE), FLIPS_TEXT, alt.Step(CELL))


def confusion(table: Any = None, *, which: str = "pruned") -> alt.LayerChart:
    """Draw the answers to each digit as a heat map; without a table the chart is live.

    Args:
        table: of `confusion_table`, or of `change_table` for "change".
        which: "pruned", "dense", "change", or "alone" for a network without a twin.
    """
    change = which == "change"
    scale = alt.Scale(paddingInner=0.06)
    plain = alt.Axis(ticks=False, domain=False, labelAngle=0)
    x = alt.X("answer:N", title=ANSWER, axis=plain, scale=scale)
    y = alt.Y("truth:N", title=TRUTH, axis=plain, scale=scale)
    data = theme.on("cells")
    tooltip = [alt.Tooltip("truth:N", title=TRUTH), alt.Tooltip("answer:N"), alt.Tooltip("count:Q")]
    right = data.transform_filter("datum.truth == datum.answer").mark_rect(color=theme.GRID)
    wrong = data.transform_filter("datum.truth != datum.answer").mark_rect()
    numbers = theme.label(
        data.transform_filter("datum.count != 0"),
        theme.text(fontSize=11),
        x=x,
        y=y,
        text=alt.Text("count:Q", format="+," if change else ","),
    )
    cells = [right.encode(x, y, tooltip=tooltip), wrong.encode(x, y, color=_shade(change), tooltip=tooltip)]
    chart = alt.LayerChart(layer=[*cells, numbers])
    tables = {"cells": table}
    title = alt.Title(CONFUSION_TITLES[which], subtitle=CONFUSION_NOTE.get(which, CONFUSION_PLAIN))
    return theme.finish(chart, tables, title, CONFUSION_TEXT.format(CONFUSION_TITLES[which]), HEIGHT)


def _shade(change: bool) -> alt.Color:
    """Return the colour of a mistake by its count; of fewer mistakes, where counts are differences."""
    scale = alt.Scale(
        domainMin=alt.ExprRef(f"-{MOST}") if change else 0,
        domainMax=alt.ExprRef(MOST),
        domainMid=0 if change else alt.Undefined,
        range=[*([theme.PRUNED] if change else []), theme.PAPER, theme.REMOVED],
        interpolate="rgb",
    )
    return alt.Color("errors:Q", scale=scale, legend=None)


def flip_table(truth: Any, dense: Any, pruned: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the "flips" columns from true classes and two networks' answers, each int [n]."""
    truth, dense, pruned = (np.asarray(each) for each in (truth, dense, pruned))
    count = len(names)
    lost = np.bincount(truth[(dense == truth) & (pruned != truth)], minlength=count)
    gained = np.bincount(truth[(dense != truth) & (pruned == truth)], minlength=count)
    images = np.bincount(truth, minlength=count)
    digits = [DIGIT.format(name, n) for name, n in zip(names, images, strict=True)]
    return {
        "digit": digits * 2,
        "side": [SIDES[0]] * count + [SIDES[1]] * count,
        "count": np.concatenate([-lost, gained]).astype(float),
    }


@with_recipe
def flips_of(run: Any) -> alt.LayerChart:
    """Draw for each digit what a run's pruning lost and gained in its validation images, at the last record.

    Raises:
        ValueError: Where the run or its dense twin has no answers.
    """
    if not has_flips(run):
        raise ValueError(NO_ANSWERS)
    truth, dense, pruned = (np.asarray(each) for each in (run.truth, run.dense.answers, run.answers))
    count = int(max(each.max() for each in (truth, dense, pruned))) + 1
    classes = registry.get("dataset", run.experiment.dataset).traits.classes or 0
    names = YES_OR_NO if run.experiment.model == BINARY else [str(i) for i in range(max(count, classes))]
    lost, gained = (dense == truth) & (pruned != truth), (dense != truth) & (pruned == truth)
    note = flip_note(int(lost.sum()), int(gained.sum()))["text"][0]
    table = flip_table(truth, dense, pruned, names)
    return flips(table, {"text": [OF_IMAGES.format(note, len(truth))]})


def has_flips(run: Any) -> bool:
    """Return whether a run and its dense twin have answers that can be compared."""
    labels = [getattr(run, "truth", None), getattr(run, "answers", None), getattr(run.dense, "answers", None)]
    return all(each is not None and len(each) for each in labels)


def flip_note(lost: int, gained: int) -> dict[str, list[str]]:
    """Return the "note" columns: both counts, and what chance has to say of their difference."""
    p = mcnemar(lost, gained)
    words = f"< {SMALL}" if p < SMALL else f"= {p:.2g}"
    return {"text": [TEST.format(lost=lost, gained=gained, p=words)]}


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p of McNemar's exact test: were flips a fair coin's, how seldom as uneven a split.

    It speaks of the images, not of other seeds. McNemar 1947, https://doi.org/10.1007/BF02295996
    """
    from scipy.special import bdtr  # noqa: PLC0415  0.15 s; scipy.stats, which refuses n = 0, would take 0.6 s

    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))


def confusion_table(truth: Any, answers: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the "cells" columns from true classes and a network's answers, each int [n]."""
    return _cells(_counts(truth, answers, len(names)), names)


def change_table(truth: Any, dense: Any, pruned: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the "cells" columns of the pruned network's counts minus the dense one's."""
    count = len(names)
    return _cells(_counts(truth, pruned, count) - _counts(truth, dense, count), names)


def _counts(truth: Any, answers: Any, count: int) -> np.ndarray:
    pairs = np.asarray(truth) * count + np.asarray(answers)
    return np.bincount(pairs, minlength=count * count).reshape(count, count).astype(float)


def _cells(counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    count = len(names)
    errors = counts.copy()
    np.fill_diagonal(errors, np.nan)
    return {
        "truth": [name for name in names for _ in range(count)],
        "answer": list(names) * count,
        "count": counts.ravel(),
        "errors": errors.ravel(),
    }
