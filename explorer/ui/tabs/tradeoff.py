"""Trade-off: accuracy against sparsity, for the weights as they are and retrained."""

from collections.abc import Hashable
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np

from explorer import figures, registry
from explorer.engine.analysis import sparsity_curve
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.figures import published
from explorer.figures.tradeoff import CURVE, DENSE, NOW, PUBLISHED, RETRAINED, dense_table
from explorer.ui.session.curve_follower import DENSE_RUN, NO_VALIDATION, CurveFollower, recipe
from explorer.ui.session.frames import Frame
from explorer.ui.session.retraining import Retraining, Row
from explorer.ui.session.session import Session
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables

# Every string that a person reads here; the sentences with numbers in them stand below.
RETRAIN, STOP = "Retrain along the curve", "Stop"
RETRAIN_TIP = (
    "Trains these settings at 2 to 64 times compression with 3 seeds, each beside its dense twin, in the "
    "background and on one core"
)
STOP_TIP = "Ends the retraining; seeds that are done stay"
STOPPED, DONE = "stopped", "done"
WORKING = "working out the curve …"

SEEDS = 3
NO_SPOT: dict[str, Any] = {"compression": [], "error": [], "label": []}
COMPRESSIONS = (2, 4, 8, 16, 32, 64)


class Tradeoff(Tab):
    """The what-if curve, along which the slider moves, with retrained and published points."""

    name = "tradeoff"
    title = "Trade-off"
    tip = "Accuracy at every sparsity: the weights as they are, and retrained over several seeds"
    wide = ("tradeoff",)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.retrain = w.Button(description=RETRAIN, tooltip=RETRAIN_TIP, layout={"width": "auto"})
        self.halt = w.Button(description=STOP, tooltip=STOP_TIP, disabled=True, layout={"width": "auto"})
        self.progress_text = w.HTML().add_class("explorer-retrain-progress")
        self.retrain.add_class("explorer-retrain").on_click(context.guarded(lambda _: self._start()))
        self.halt.add_class("explorer-retrain-stop").on_click(context.guarded(lambda _: self._halt()))
        self.panel = w.HBox([self.retrain, self.halt, self.progress_text], layout={"grid_gap": "8px"})
        self.retraining: Retraining | None = None
        self._rows: dict[str, list[Row]] = {}  # by the experiment without its threshold
        self.follower = CurveFollower()

    def key(self, trainer: Trainer) -> Hashable:
        """Return the network, whose published points the legend names."""
        return trainer.lanes[0].experiment.model

    def charts(self, trainer: Trainer) -> Charts:
        """Return one wide chart."""
        papers = published.of(trainer.lanes[0].experiment.model)["error"]
        series = (CURVE, NOW, RETRAINED, DENSE)
        return {"tradeoff": figures.tradeoff(series=(*series, *([PUBLISHED] if papers else [])))}

    def tables(self, frame: Frame, session: Session) -> Tables:
        """Return the curve as far as it is known; work out a little more of it at each frame."""
        trainer = frame.trainer
        experiment = trainer.lanes[0].experiment
        follower = self.follower
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
            "dense": dense if dense["n"] else dense_table(frame.accuracy[1:2]),  # this run's own twin
            "published": published.of(experiment.model),
            "note": {"text": [_note(follower, int(seeds))]},
        }
        return {("tradeoff", name): table for name, table in tables.items()}

    def overview(self, trainer: Trainer) -> tuple[str, ...]:
        """Return the trade-off where it is of these weights."""
        return ("tradeoff",) if self.follower.is_current(trainer) else ()

    def on_hide(self) -> None:
        """Leave the curve where it is; nothing is worked out while nobody looks."""
        self.follower.cancel()

    def close(self) -> None:
        """End the retraining."""
        if self.retraining is not None:
            self.retraining.stop()
            self.retraining.join(10)

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
        self.progress_text.value = _progress(0, 0)
        self.retraining = Retraining(
            experiment,
            self._thresholds(experiment),
            SEEDS,
            on_news=lambda rows: self._on_rows(name, rows),
            on_end=self._on_end,
        )

    def _halt(self) -> None:
        if self.retraining is not None:
            self.retraining.stop()

    def _thresholds(self, experiment: Experiment) -> list[float]:
        """Return those of 2 to 64 times compression, in the unit in use; its own where its options decide."""
        pruning = experiment.pruning
        assert pruning is not None
        if registry.get("granularity", pruning.granularity).traits.threshold:
            return [pruning.threshold]
        if pruning.unit == "sparsity":
            return [1 - 1 / times for times in COMPRESSIONS]
        points = self.follower.points

        def nearest(times: int) -> float:
            return min(points, key=lambda point: abs(np.log(point.compression / times))).threshold

        return sorted({nearest(times) for times in COMPRESSIONS}) if points else [pruning.threshold]

    def _on_rows(self, name: str, rows: list[Row]) -> None:
        if rows:
            self._rows[name] = [*self._rows[name], *rows]
        seeds = len({row["seed"] for row in self._rows[name]})
        if self.retraining is not None:
            self.progress_text.value = _progress(self.retraining.done, seeds)
        if rows:
            self.context.session.refresh()

    def _on_end(self, problem: Exception | None) -> None:
        stopped = self.retraining is not None and self.retraining.stopped
        end = STOPPED if stopped else DONE
        self.progress_text.value = escape(f"Retraining ended: {problem}") if problem else end
        self.retrain.disabled, self.halt.disabled = False, True


def _curve(points: list[sparsity_curve.CurvePoint]) -> dict[str, Any]:
    finite = [p for p in points if p.sparsity < 1]
    return {
        "compression": [p.compression for p in finite],
        "error": [100 - 100 * p.accuracy for p in finite],
        "accuracy": [100 * p.accuracy for p in finite],
        "sparsity": [100 * p.sparsity for p in finite],
    }


def _mark(point: tuple[float, float] | None) -> dict[str, Any]:
    """Return where the slider stands on the curve, from sparsity and accuracy."""
    if point is None or point[0] >= 1:
        return NO_SPOT
    s, accuracy = point
    label = f"● not retrained: {100 * accuracy:.1f} % at {1 / (1 - s):.3g}× ({100 * s:.1f} % pruned)"
    return _spot(s, accuracy, label)


def _now(frame: Frame) -> dict[str, Any]:
    """Return the pruned network at the moment that is shown; nothing before it is pruned."""
    if frame.preview is not None or not 0 < frame.sparsity < 1 or not frame.accuracy:
        return NO_SPOT
    accuracy, label = frame.accuracy[0], f"□ this run now: {100 * frame.accuracy[0]:.2f} %"
    if frame.viewed_step is not None:
        epoch = round(frame.viewed_step / frame.trainer.per_epoch, 2)
        label = f"□ this run at epoch {epoch:g}: {100 * accuracy:.2f} %"
    return _spot(frame.sparsity, accuracy, label)


def _spot(sparsity: float, accuracy: float, label: str) -> dict[str, Any]:
    return {"compression": [1 / (1 - sparsity)], "error": [100 - 100 * accuracy], "label": [label]}


# -- sentences ----------------------------------------------------------------------------------------


def _progress(done: float, seeds: int) -> str:
    return f"retraining, {100 * done:.0f} %, {seeds} of {SEEDS} seeds done"


def _note(follower: CurveFollower, seeds: int) -> str:
    """Say whose curve it is and over how many seeds was retrained."""
    if follower.problem or not follower.points:
        return follower.problem or WORKING
    curve = f"weights of epoch {follower.epoch:.2f}, n = {follower.images:,} images"
    if not seeds:
        return curve
    return f"{curve}; retrained: n = {seeds} {'seed' if seeds == 1 else 'seeds'}, bars and band ± 1 sd"
