"""Trade-off: accuracy against sparsity, for the weights as they are and retrained."""

from collections.abc import Callable, Hashable
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np

from explorer import figures, registry
from explorer.engine.analysis import sparsity_curve
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.figures import published
from explorer.figures.tradeoff import CURVE, DENSE, NOW, PUBLISHED, RETRAINED
from explorer.ui.session.curve_follower import DENSE_RUN, NO_VALIDATION, CurveFollower, recipe
from explorer.ui.session.frames import Frame
from explorer.ui.session.retraining import Retraining, Row
from explorer.ui.session.session import Session
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables

# Every string that a person reads here.
TITLE = "Trade-off"
TIP = "Accuracy at every sparsity: the weights as they are, and retrained over several seeds"
RETRAIN, STOP = "Retrain along the curve", "Stop"
RETRAIN_TIP = (
    "Trains these settings at 2 to 64 times compression with 3 seeds, each beside its dense twin, in the "
    "background and on one core"
)
STOP_TIP = "Ends the retraining; seeds that are done stay"
PROGRESS, STOPPED, DONE = "retraining, {:.0f} %, {} of {} seeds done", "stopped", "done"
FAILED = "Retraining ended: {}"
NOTE = "weights of epoch {:.2f}, n = {:,} images{}"
OVER_SEEDS = "; retrained: n = {} {}, bars and band ± 1 sd"
SEEDS_WORD = ("seed", "seeds")
WORKING = "working out the curve …"
MARK = "● not retrained: {:.1f} % at {:.3g}× ({:.1f} % pruned)"
AT_PRESENT, AT_PAST = "□ this run now: {:.2f} %", "□ this run at epoch {:g}: {:.2f} %"

SEEDS = 3
COMPRESSIONS = (2, 4, 8, 16, 32, 64)


class Tradeoff(Tab):
    """The what-if curve, along which the slider moves, with retrained and published points."""

    name = "tradeoff"
    title = TITLE
    tip = TIP
    wide = ("tradeoff",)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.retrain = w.Button(description=RETRAIN, tooltip=RETRAIN_TIP, layout={"width": "auto"})
        self.halt = w.Button(description=STOP, tooltip=STOP_TIP, disabled=True, layout={"width": "auto"})
        self.told = w.HTML().add_class("explorer-retrain-progress")
        self.retrain.add_class("explorer-retrain").on_click(context.guarded(lambda _: self._start()))
        self.halt.add_class("explorer-retrain-stop").on_click(context.guarded(lambda _: self._halt()))
        self.panel = w.HBox([self.retrain, self.halt, self.told], layout={"grid_gap": "8px"})
        self._retraining: Retraining | None = None
        self._rows: dict[str, list[Row]] = {}  # by the experiment without its threshold
        self._follower = CurveFollower()

    def key(self, trainer: Trainer) -> Hashable:
        """The network, whose published points the legend names."""
        return trainer.lanes[0].experiment.model

    def charts(self, trainer: Trainer) -> Charts:
        """One wide chart."""
        papers = published.of(trainer.lanes[0].experiment.model)["error"]
        series = (CURVE, NOW, RETRAINED, DENSE)
        return {"tradeoff": figures.tradeoff(series=(*series, *([PUBLISHED] if papers else [])))}

    def tables(self, frame: Frame, session: Session) -> Tables:
        """The curve as far as it is known; a little more of it is worked out at each frame."""
        trainer = frame.trainer
        experiment = trainer.lanes[0].experiment
        follower = self._follower
        if frame.preview is None and follower.work(frame):
            session.refresh()  # where nothing trains, no other frame would come
        if frame.preview is not None and frame.accuracy:
            follower.preview = (frame.preview, frame.sparsity, frame.accuracy[0])
        retrained, dense = figures.retrained_at(self._rows.get(recipe(experiment), ()))
        seeds = max(retrained["n"], default=0)
        tables = {
            "curve": _curve(follower.points),
            "mark": _mark(follower.at(frame)),
            "now": _now(frame),
            "retrained": retrained,
            "dense": dense if dense["n"] else _twin(frame),
            "published": published.of(experiment.model),
            "note": {"text": [_note(follower, int(seeds))]},
        }
        return {("tradeoff", name): table for name, table in tables.items()}

    def overview(self, trainer: Trainer) -> tuple[str, ...]:
        """The trade-off where it is of these weights."""
        return ("tradeoff",) if self._follower.is_current(trainer) else ()

    def hidden(self) -> None:
        """Leaves the curve where it is; nothing is worked out while nobody looks."""
        self._follower.cancel()

    def close(self) -> None:
        """Ends the retraining."""
        if self._retraining is not None:
            self._retraining.stop()
            self._retraining.join(10)

    # -- retraining -----------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.retrain.disabled:
            return  # a second click, on its way before the page heard of the first
        experiment = self.context.session.experiment
        if experiment.pruning is None:
            raise ValueError(DENSE_RUN)
        if not experiment.validation:
            raise ValueError(NO_VALIDATION)
        name = recipe(experiment)
        self._rows[name] = []
        self.retrain.disabled, self.halt.disabled = True, False
        self.told.value = PROGRESS.format(0, 0, SEEDS)
        self._retraining = Retraining(
            experiment,
            self._thresholds(experiment),
            SEEDS,
            on_news=lambda rows: self._hear(name, rows),
            on_end=self._ended,
        )

    def _halt(self) -> None:
        if self._retraining is not None:
            self._retraining.stop()

    def _thresholds(self, experiment: Experiment) -> list[float]:
        """Those of 2 to 64 times compression, in the unit in use; its own where its options decide."""
        pruning = experiment.pruning
        assert pruning is not None
        if registry.get("granularity", pruning.granularity).traits.threshold:
            return [pruning.threshold]
        if pruning.unit == "sparsity":
            return [1 - 1 / times for times in COMPRESSIONS]
        known = self._follower.points
        nearest = [
            min(known, key=lambda p, c=c: abs(np.log(p.compression / c))) for c in COMPRESSIONS if known
        ]
        return sorted({point.threshold for point in nearest}) or [pruning.threshold]

    def _hear(self, name: str, rows: list[Row]) -> None:
        if rows:
            self._rows[name] = [*self._rows[name], *rows]
        seeds = len({row["seed"] for row in self._rows[name]})
        if self._retraining is not None:
            self.told.value = PROGRESS.format(100 * self._retraining.done, seeds, SEEDS)
        if rows:
            self.context.session.refresh()

    def _ended(self, problem: Exception | None) -> None:
        stopped = self._retraining is not None and self._retraining.stopped
        self.told.value = escape(FAILED.format(problem)) if problem else STOPPED if stopped else DONE
        self.retrain.disabled, self.halt.disabled = False, True


def _curve(points: list[sparsity_curve.CurvePoint]) -> dict[str, Any]:
    drawn = [p for p in points if p.sparsity < 1]
    return {
        "compression": [p.compression for p in drawn],
        "error": [100 - 100 * p.accuracy for p in drawn],
        "accuracy": [100 * p.accuracy for p in drawn],
        "sparsity": [100 * p.sparsity for p in drawn],
    }


def _mark(found: tuple[float, float] | None) -> dict[str, Any]:
    return _spot(found, lambda s, a: MARK.format(100 * a, 1 / (1 - s), 100 * s))


def _now(frame: Frame) -> dict[str, Any]:
    """The pruned network at the moment that is shown; nothing before it is pruned."""
    pruned = frame.preview is None and frame.sparsity > 0 and frame.accuracy

    def label(_: float, accuracy: float) -> str:
        if frame.viewed_step is None:
            return AT_PRESENT.format(100 * accuracy)
        return AT_PAST.format(round(frame.viewed_step / frame.trainer.per_epoch, 2), 100 * accuracy)

    return _spot((frame.sparsity, frame.accuracy[0]) if pruned else None, label)


def _spot(found: tuple[float, float] | None, label: Callable[[float, float], str]) -> dict[str, Any]:
    if found is None or found[0] >= 1:
        return {"compression": [], "error": [], "label": []}
    sparsity, accuracy = found
    return {
        "compression": [1 / (1 - sparsity)],
        "error": [100 - 100 * accuracy],
        "label": [label(sparsity, accuracy)],
    }


def _twin(frame: Frame) -> dict[str, list[float]]:
    """This run's own dense twin, while no others are there."""
    twin = frame.accuracy[1:2]
    error = [100 - 100 * a for a in twin]
    none = [0.0] * len(twin)
    accuracy = [100 * a for a in twin]
    return {
        "accuracy": accuracy,
        "sd": none,
        "error": error,
        "low": error,
        "high": error,
        "n": [1] * len(twin),
    }


def _note(follower: CurveFollower, seeds: int) -> str:
    retrained = OVER_SEEDS.format(seeds, SEEDS_WORD[seeds != 1]) if seeds else ""
    if follower.problem:
        return follower.problem
    return NOTE.format(follower.epoch, follower.images, retrained) if follower.points else WORKING
