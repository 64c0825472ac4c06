"""Runs table: the pinned runs as an ordinary HTML table, with buttons and a name to edit in each row."""

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import traitlets

from explorer import figures
from explorer.ui.widgets import assets, pinned_runs
from explorer.ui.widgets.pinned_runs import MISSING, PinnedRun, RunGroup

# Every string that a person reads here.
CAPTION = (
    "Validation accuracy: one seed with its 95 % interval from its validation images; "
    "several seeds of one recipe as mean ± standard deviation, n = number of seeds."
)
EMPTY = "Nothing is pinned yet. Train, then pin the run to compare the next ones with it."
HEADS = ("Rank", "Run")
NUMBERS = ("Accuracy", "Shift (points)", "Sparsity", "Clipped", "n")
TIPS = {
    "Rank": "By accuracy; grey where intervals overlap, so that the order may be chance",
    "Shift (points)": "Accuracy less that of the dense twin",
    "Clipped": "Share of steps in which the clip rule bound",
    "n": "Number of seeds",
}
TRAINED, TRAINED_OF = "Trained", "{:g} of {} epochs"
ALONE = "The first run. Pin another one to compare them."
UNSURE = (
    "Grey ranks: the intervals overlap, so the order may be chance. More seeds or more validation images "
    "may tell the runs apart."
)
SURE = "No intervals overlap: the order is more than chance, as far as these validation images tell."
INCOMPARABLE = "These runs were judged by different images or labels, so they are not ranked."
UNMEASURED = "Without validation images there is no accuracy to rank by."
RANKS = "{}–{}"
BETWEEN = "its rank lies between {} and {}"
SINGLE, POOLED = "{:.2f} %", "{:.2f} ± {:.2f} %"
INTERVAL = "{:.1f} – {:.1f}"
PERCENT = "{:.1f} %"
STEERED = "settings were moved while it ran"
STATES = {"diverged": "diverged"}
WORDS = {
    "table": "Pinned runs",
    "name": "Name of the run",
    "restore": "Restore",
    "restoreTip": "Bring back this run and its settings",
    "restoreName": "Restore {}",
    "removeName": "Remove {}",
    "remove": "×",
    "removeTip": "Take this run out of the comparison",
    "steered": "moved",
    "steeredTip": STEERED,
}

ACTIONS = ("restore", "remove", "rename")


class RunsTable(anywidget.AnyWidget):
    """The table on the page.

    Args:
        on_action: Called with "restore", "remove" or "rename", the number of the run, and its new name.
    """

    _esm = assets.script("runs_table.js")
    _css = assets.style("runs_table.css")
    head = traitlets.List(traitlets.List()).tag(sync=True)  # text and tip of each column
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)  # what `_row` returns, for each group
    caption = traitlets.Unicode().tag(sync=True)  # what the numbers are
    note = traitlets.Unicode(EMPTY).tag(sync=True)  # how sure the order is
    words = traitlets.Dict(WORDS).tag(sync=True)  # what a person reads there

    def __init__(self, on_action: Callable[[tuple[str, int, str]], None]) -> None:
        super().__init__()
        self._on_action = on_action
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("type") in ACTIONS:
            self._on_action((content["type"], int(content["run"]), str(content.get("name", ""))))

    def show(self, runs: Sequence[PinnedRun]) -> None:
        """Show these runs as rows."""
        groups = pinned_runs.group(runs)
        settings = pinned_runs.differing_settings(groups)
        progress = [_progress(group.runs[0]) for group in groups]
        if len(set(progress)) > 1:
            settings[TRAINED] = progress
        heads = [*HEADS, *map(pinned_runs.label, settings), *NUMBERS]
        accuracies = [each.accuracy for each in groups if each.accuracy is not None]
        ranked = len(groups) > 1 and pinned_runs.comparable(runs) and bool(accuracies)
        with self.hold_sync():
            self.head = [[text, TIPS.get(text, "")] for text in heads] if groups else []
            self.rows = [
                _row(group, [values[i] for values in settings.values()], ranked)
                for i, group in enumerate(groups)
            ]
            self.caption = CAPTION if groups else ""
            self.note = _note(groups, runs)


def _row(group: RunGroup, settings: list[str], ranked: bool) -> dict[str, Any]:
    unsure = BETWEEN.format(group.first, group.last)
    rank = str(group.first) if group.certain else RANKS.format(group.first, group.last)
    return {
        "rank": rank if ranked else MISSING,
        "certain": group.certain and ranked,
        "rankTip": unsure if ranked and not group.certain else "",
        "pins": [
            {"run": run.ident, "name": run.name, "slot": run.slot, "steered": run.steered}
            for run in group.runs
        ],
        "settings": settings,
        "numbers": _numbers(group),
    }


def _numbers(group: RunGroup) -> list[list[str]]:
    """Return each number, and a smaller one beside it."""
    runs = group.runs
    if group.accuracy is None:
        accuracy = [MISSING, ""]
    elif group.spread is None:
        accuracy = [SINGLE.format(100 * group.accuracy), INTERVAL.format(100 * group.low, 100 * group.high)]
    else:
        accuracy = [POOLED.format(100 * group.accuracy, 100 * group.spread), ""]
    shifts = [run.shift for run in runs if run.shift is not None]
    shift = figures.shift_label(sum(shifts) / len(shifts), 0.0).split()[0] if shifts else MISSING
    sparsity = PERCENT.format(100 * sum(run.sparsity for run in runs) / len(runs))
    rates = [run.clip_rate for run in runs]
    rate = PERCENT.format(100 * sum(rates) / len(rates)) if runs[0].experiment.clipping else MISSING
    return [accuracy, [shift, ""], [sparsity, ""], [rate, ""], [str(len(runs)), ""]]


def _progress(run: PinnedRun) -> str:
    """Say how far a run came."""
    if run.saved.status in STATES:
        return STATES[run.saved.status]
    return TRAINED_OF.format(round(run.saved.points[-1].epoch, 2), run.experiment.epochs)


def _note(groups: list[RunGroup], runs: Sequence[PinnedRun]) -> str:
    if not groups:
        return EMPTY
    if len(groups) == 1:
        return ALONE if len(runs) == 1 else ""
    if all(group.accuracy is None for group in groups):
        return UNMEASURED
    if not pinned_runs.comparable(runs):
        return INCOMPARABLE
    return SURE if all(group.certain for group in groups) else UNSURE
