"""Gradients: the norm at each step, and how often the clip rule bound it."""

from collections.abc import Hashable

from explorer import figures
from explorer.engine.trainer import Trainer
from explorer.ui.frames import Frame
from explorer.ui.session import Session
from explorer.ui.tabs.base import Charts, Tab, Tables, columns, events

SHOWN = 400  # steps drawn as marks, evenly taken from all
RECENT = 200  # steps over which the share of clipped ones is told
CLIPPED = "{:.0f} % of the last {} steps clipped"
NO_CLIPPING = "no clipping"
STATES = ("not clipped", "clipped")


class Gradients(Tab):
    """What reaches the optimizer."""

    name = "gradients"
    title = "Gradients"
    tip = "Norm of the gradient before clipping at each step, and how often the clip rule bound it"
    wide = ("gradients",)

    def key(self, trainer: Trainer) -> Hashable:
        """Only the length."""
        return trainer.lanes[0].experiment.epochs

    def charts(self, trainer: Trainer) -> Charts:
        """Norms over epochs."""
        return {"gradients": figures.gradients(epochs=trainer.lanes[0].experiment.epochs)}

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Steps as marks, the clip norm as a line where it bounds the norm."""
        trainer = frame.trainer
        log = trainer.flush()[: frame.step]
        clipping = trainer.lanes[0].experiment.clipping
        shown = range(0, len(log), max(1, -(-len(log) // SHOWN)))
        rows = [(i / trainer.per_epoch, log[i][1][0], STATES[int(log[i][3][0])]) for i in shown]
        recent = [step[3][0] for step in log[-RECENT:]]
        bound = clipping.max_norm if clipping and "norm" in clipping.rules else None
        note = NO_CLIPPING if clipping is None else _share(recent)
        return {
            ("gradients", "norms"): columns(rows, ("epoch", "norm", "state")),
            ("gradients", "clip"): figures.clip_at(bound),
            ("gradients", "note"): {"text": [note]},
            ("gradients", "events"): events(frame),
        }


def _share(bound: list[float]) -> str:
    return CLIPPED.format(100 * sum(bound) / len(bound), len(bound)) if bound else ""
