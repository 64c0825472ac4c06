"""The status line: what a frame says in words and numbers."""

from collections.abc import Mapping
from html import escape

from explorer import figures
from explorer.experiment import Experiment
from explorer.ui.session.frames import Frame

# Every string that a person reads here.
STATES = {
    "idle": "ready",
    "training": "training",
    "paused": "paused",
    "stopped": "stopped",
    "done": "done",
    "diverged": "diverged",
}
TRYING = "trying {}"
LOOKING = "looking at epoch {:g}"
EPOCHS = "{:.2f} of {}"
SECONDS = "{:.0f} s"


def progress(frame: Frame) -> float:
    """The share of the training that is done, 0 to 1."""
    return frame.trainer.step / frame.trainer.total


def facts(frame: Frame) -> Mapping[str, str]:
    """The status line: label to text, in the order of reading."""
    trainer = frame.trainer
    experiment = trainer.lanes[0].experiment
    trying = frame.preview is not None
    what = TRYING.format(_number(frame.preview, experiment)) if trying else STATES[frame.status]
    if frame.viewed_step is not None:
        what = LOOKING.format(round(frame.viewed_step / trainer.per_epoch, 2))
    found = {"state": what, "device": str(trainer.device)}
    found["epoch"] = EPOCHS.format(frame.step / trainer.per_epoch, experiment.epochs)
    if frame.accuracy:
        found["accuracy"] = f"{100 * frame.accuracy[0]:.2f} %"
    if len(frame.accuracy) > 1:
        found["shift"] = figures.shift_label(*(100 * accuracy for accuracy in frame.accuracy[:2]))
    digits = 2 if 0.999 < frame.sparsity < 1 else 1  # 99.96 % is not all
    found["sparsity"] = f"{100 * frame.sparsity:.{digits}f} %"
    if frame.status == "training" and frame.images_per_second:
        found["images/s"] = f"{frame.images_per_second:,.0f}"
        found["time left"] = SECONDS.format(frame.seconds_left)
    return found


def _number(threshold: float | None, experiment: Experiment) -> str:
    pruning = experiment.pruning
    share = pruning is None or pruning.unit == "sparsity"
    return f"{100 * threshold:.1f} %" if share else f"{threshold:.3g}"


def line(frame: Frame) -> str:
    """The status line as HTML; each fact has a class of its own, and the page reads the state alone out."""
    parts = [
        f'<span class="explorer-fact explorer-fact-{name.replace(" ", "-").replace("/", "-")}">'
        f"{'' if name == 'state' else escape(name)} <b>{escape(text)}</b></span>"
        for name, text in facts(frame).items()
    ]
    return f'<div class="explorer-line">{"".join(parts)}</div>'
