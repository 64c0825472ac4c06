"""The table of pinned runs: an ordinary HTML table, with buttons and a name to edit in each row."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from explorer import figures
from explorer.ui.widgets import pinned_runs
from explorer.ui.widgets.pinned_runs import MISSING, Group, Pin

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

HERE = Path(__file__).parent
ACTIONS = ("restore", "remove", "rename")


class RunsTable(anywidget.AnyWidget):
    """The table on the page; `hear` is told of "restore", "remove" and "rename", the run and its new name."""

    _esm = (HERE / "runs_table.js").read_text(encoding="utf-8")
    _css = (HERE / "runs_table.css").read_text(encoding="utf-8")
    head = traitlets.List().tag(sync=True)  # text, tip
    rows = traitlets.List().tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode(EMPTY).tag(sync=True)
    words = traitlets.Dict(WORDS).tag(sync=True)

    def __init__(self, hear: Callable[[tuple[str, int, str]], None]) -> None:
        super().__init__()
        self._told = hear
        self.on_msg(self._hear)

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("type") in ACTIONS:
            self._told((content["type"], int(content["run"]), str(content.get("name", ""))))

    def show(self, pinned: Sequence[Pin]) -> None:
        """Has these runs as its rows."""
        groups = pinned_runs.pooled(pinned)
        settings = pinned_runs.columns(groups)
        trained = [_trained(group.pins[0]) for group in groups]
        if len(set(trained)) > 1:
            settings[TRAINED] = trained
        heads = [*HEADS, *map(pinned_runs.label, settings), *NUMBERS]
        ranked = (
            len(groups) > 1 and pinned_runs.comparable(pinned) and any(g.accuracy is not None for g in groups)
        )
        with self.hold_sync():
            self.head = [[text, TIPS.get(text, "")] for text in heads] if groups else []
            self.rows = [
                _row(group, [values[i] for values in settings.values()], ranked)
                for i, group in enumerate(groups)
            ]
            self.caption = CAPTION if groups else ""
            self.note = _note(groups, pinned)


def _row(group: Group, settings: list[str], ranked: bool) -> dict[str, Any]:
    unsure = BETWEEN.format(group.first, group.last)
    rank = str(group.first) if group.certain else RANKS.format(group.first, group.last)
    return {
        "rank": rank if ranked else MISSING,
        "certain": group.certain and ranked,
        "rankTip": unsure if ranked and not group.certain else "",
        "pins": [
            {"run": pin.ident, "name": pin.name, "slot": pin.slot, "steered": pin.steered}
            for pin in group.pins
        ],
        "settings": settings,
        "numbers": _numbers(group),
    }


def _numbers(group: Group) -> list[list[str]]:
    """Each number, and a smaller one beside it."""
    each = group.pins
    if group.accuracy is None:
        accuracy = [MISSING, ""]
    elif group.spread is None:
        accuracy = [SINGLE.format(100 * group.accuracy), INTERVAL.format(100 * group.low, 100 * group.high)]
    else:
        accuracy = [POOLED.format(100 * group.accuracy, 100 * group.spread), ""]
    shifts = [pin.shift for pin in each if pin.shift is not None]
    shift = figures.shift_label(sum(shifts) / len(shifts), 0.0).split()[0] if shifts else MISSING
    sparsity = PERCENT.format(100 * sum(pin.sparsity for pin in each) / len(each))
    clipped = [pin.clip_rate for pin in each]
    rate = PERCENT.format(100 * sum(clipped) / len(clipped)) if each[0].experiment.clipping else MISSING
    return [accuracy, [shift, ""], [sparsity, ""], [rate, ""], [str(len(each)), ""]]


def _trained(pin: Pin) -> str:
    """How far a run came."""
    if pin.kept.status in STATES:
        return STATES[pin.kept.status]
    return TRAINED_OF.format(round(pin.kept.points[-1].epoch, 2), pin.experiment.epochs)


def _note(groups: list[Group], pinned: Sequence[Pin]) -> str:
    if not groups:
        return EMPTY
    if len(groups) == 1:
        return ALONE if len(pinned) == 1 else ""
    if all(group.accuracy is None for group in groups):
        return UNMEASURED
    if not pinned_runs.comparable(pinned):
        return INCOMPARABLE
    return SURE if all(group.certain for group in groups) else UNSURE
