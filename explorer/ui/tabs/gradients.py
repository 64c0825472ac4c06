"""Gradients: norms before and after clipping, how often the clip bound, and what reaches each layer."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from explorer import figures
from explorer.engine.training.append_log import StepLog
from explorer.engine.training.history import Row
from explorer.engine.training.trainer import Trainer
from explorer.figures import layer_gradients
from explorer.figures.gradients import norm_table
from explorer.ui.session.frames import Frame
from explorer.ui.session.session import Session
from explorer.ui.session.throttle import Throttle
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables, events

# Every string that a person reads here.
NO_CLIPPING = "no clipping"
NOT_KEPT = "no longer kept of this record"

SHOWN = 300  # steps drawn as marks, evenly taken from all
RECENT = 200  # steps over which the share of clipped ones is given
BARS = 48  # of the share of clipped steps, at most; else four an epoch


class Gradients(Tab):
    """What reaches the optimizer, and each layer."""

    name = "gradients"
    title = "Gradients"
    tip = (
        "The gradient's norm before and after clipping, how often it was clipped, and what reaches each layer"
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._throttle = Throttle()
        self._layer_tables: Tables = {}  # they change at records alone
        self._log: object = None  # the list of steps that `_bound` is of
        self._bound = np.zeros(0, np.uint8)

    def on_hide(self) -> None:
        """Draw the layers anew when the tab is shown again."""
        self._throttle.reset()

    def charts(self, trainer: Trainer) -> Charts:
        """Return norms and the share of clipped steps over epochs; norms and sizes of entries by layer."""
        epochs, layers = trainer.lanes[0].experiment.epochs, list(trainer.observer.edges)
        return {
            "gradients": figures.gradients(epochs=epochs),
            "clip-share": figures.clip_share(epochs=epochs),
            "gradient-depth": figures.depth(layers),
            "gradient-spread": figures.spread(layers),
        }

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Return steps as marks and as bars; the layers anew where there is another record."""
        return {**self._step_tables(frame), **self._by_layer(frame)}

    def _clipped(self, frame: Frame) -> np.ndarray:
        """Return whether each step so far was clipped; only the steps since the last frame are looked at."""
        log = frame.trainer.flush()
        if self._log is not log or len(self._bound) > len(log):
            self._log, self._bound = log, np.zeros(0, np.uint8)
        new = log.series(0, 3, len(self._bound))
        self._bound = np.concatenate([self._bound, new.astype(np.uint8)])
        return self._bound[: frame.step]

    def _step_tables(self, frame: Frame) -> Tables:
        trainer = frame.trainer
        clipping, per_epoch = frame.lanes[0].experiment.clipping, trainer.per_epoch  # the rule in force then
        a_bar = max(round(per_epoch / 4), -(-trainer.total // BARS))
        bound = None if clipping is None else self._clipped(frame)
        shares = figures.share_tables(bound, max(1, a_bar), per_epoch)
        limit = clipping.max_norm if clipping and "norm" in clipping.rules else None
        note = NO_CLIPPING if bound is None else _recent_share(bound[-RECENT:])
        happened = events(frame)
        return {
            ("gradients", "norms"): norm_table(_norms_by_step(trainer.flush(), frame.step, per_epoch)),
            ("gradients", "clip"): figures.clip_at(limit),
            ("gradients", "note"): {"text": [note]},
            ("gradients", "events"): happened,
            **{("clip-share", name): table for name, table in shares.items()},
            ("clip-share", "events"): happened,
        }

    def _by_layer(self, frame: Frame) -> Tables:
        trainer = frame.trainer
        key = id(trainer), len(trainer.lanes[0].history.history), frame.viewed_step
        if self._throttle.due(key):
            with self._throttle.work(key):
                self._layer_tables = {**_depth(frame), **_spread(frame)}
        return self._layer_tables


def _norms_by_step(log: StepLog, until: int, per_epoch: int) -> Iterator[tuple[float, float, float, float]]:
    """Return some of the steps: epoch, norm before clipping, norm after it, and whether the bound held."""
    steps = range(0, min(until, len(log)), max(1, -(-min(until, len(log)) // SHOWN)))
    measured = (log.series(0, measure, every=steps.step).tolist() for measure in (1, 2, 3))
    return zip((i / per_epoch for i in steps), *measured, strict=False)


def _recent_share(bound: np.ndarray) -> str:
    return f"{100 * float(bound.mean()):.0f} % of the last {len(bound)} steps clipped" if len(bound) else ""


def _depth(frame: Frame) -> Tables:
    """Return the norms of the first and the last record."""
    history = frame.trainer.lanes[0].history.history
    first = _norms(history, frame.step)
    last = _norms(reversed(history), frame.step)[::-1]
    rows = first + [row for row in last if row not in first]
    return {("gradient-depth", name): table for name, table in figures.depth_tables(rows).items()}


def _norms(history: Iterable[Row], until: int) -> list[tuple[float, str, float]]:
    """Return epoch, layer and norm of all layers at the first record that there is, up to a step."""
    rows: list[tuple[float, str, float]] = []
    for step, epoch, metric, layer, value in history:
        if metric == "grad_norm" and layer is not None and step <= until:
            if rows and epoch != rows[0][0]:
                break
            rows.append((epoch, layer, value))
    return rows


def _spread(frame: Frame) -> Tables:
    """Return the gradient's entries of the step before the last record; in the past, before the one shown."""
    trainer, lane = frame.trainer, frame.lanes[0]
    gradient = (frame.snapshot or trainer).gradient
    recorded = lane.history.history[-1][0] if lane.history.history else 0
    tables = figures.spread_tables({}, 0.0)
    if gradient is None or (frame.viewed_step is not None and frame.viewed_step != frame.weights_step):
        tables["note"] = {"text": [layer_gradients.NO_RECORD if gradient is None else NOT_KEPT]}
    else:
        row = gradient[lane.row]
        slices = {layer.name: layer.weight for layer in trainer.network.layout.layers}
        counted = {name: _counted(slot.of(row)) for name, slot in slices.items()}
        tables = figures.spread_tables(counted, recorded / trainer.per_epoch)
    return {("gradient-spread", name): table for name, table in tables.items()}


def _counted(gradient: torch.Tensor) -> tuple[np.ndarray, int]:
    """Return the entries by the decade of their size, and how many are 0."""
    bins = layer_gradients.BINS
    sizes = gradient.abs()
    zero = sizes == 0
    places = sizes.log10_().sub_(layer_gradients.LEAST).div_(layer_gradients.STEP)
    places = places.nan_to_num_(0).clamp_(0, bins - 1).long()
    counts = torch.bincount(places.masked_fill_(zero, bins), minlength=bins + 1).tolist()
    return np.array(counts[:-1]), counts[-1]
