"""The status line: what a frame says in words and numbers."""

from collections.abc import Mapping
from html import escape

from explorer import figures
from explorer.ui.session.frames import Frame


def progress(frame: Frame) -> float:
    """Return the share of the training that is done, 0 to 1."""
    return frame.trainer.step / frame.trainer.total


def facts(frame: Frame) -> Mapping[str, str]:
    """Return the status line: label to text, in the order of reading."""
    trainer = frame.trainer
    epochs = trainer.lanes[0].experiment.epochs
    texts = {"state": _state(frame), "device": str(trainer.device)}
    texts["epoch"] = f"{frame.step / trainer.per_epoch:.2f} of {epochs}"
    if frame.accuracy:
        texts["accuracy"] = f"{100 * frame.accuracy[0]:.2f} %"
    if len(frame.accuracy) > 1:
        texts["shift"] = figures.shift_label(*(100 * accuracy for accuracy in frame.accuracy[:2]))
    digits = 2 if 0.999 < frame.sparsity < 1 else 1  # 99.96 % is not all
    texts["sparsity"] = f"{100 * frame.sparsity:.{digits}f} %"
    if frame.status == "training" and frame.images_per_second:
        texts["images/s"] = f"{frame.images_per_second:,.0f}"
        texts["time left"] = f"{frame.seconds_left:.0f} s"
    return texts


def _state(frame: Frame) -> str:
    if frame.viewed_step is not None:
        return f"looking at epoch {round(frame.viewed_step / frame.trainer.per_epoch, 2):g}"
    if frame.preview is not None:
        pruning = frame.trainer.lanes[0].experiment.pruning
        share = pruning is None or pruning.unit == "sparsity"
        return f"trying {100 * frame.preview:.1f} %" if share else f"trying {frame.preview:.3g}"
    return "ready" if frame.status == "idle" else frame.status


def line(frame: Frame) -> str:
    """Return the status line as HTML; each fact has a class, and the page reads the state alone out."""
    parts = [
        f'<span class="explorer-fact explorer-fact-{name.replace(" ", "-").replace("/", "-")}">'
        f"{'' if name == 'state' else escape(name)} <b>{escape(text)}</b></span>"
        for name, text in facts(frame).items()
    ]
    return f'<div class="explorer-line">{"".join(parts)}</div>'
