"""Digits: which ones pruning costs, the very images that flipped, and one to draw oneself."""

import random
import time
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np
import torch
from torch import Tensor

from explorer import figures
from explorer.engine.analysis import predictions
from explorer.engine.network.state import LaneView
from explorer.engine.training.trainer import Trainer
from explorer.ui.session.frames import SHARE, Answers, Frame
from explorer.ui.session.session import Session
from explorer.ui.session.sliced_evaluation import SlicedEvaluation
from explorer.ui.session.snapshots import THEN, as_of
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables
from explorer.ui.widgets.drawing_pad import DrawingPad
from explorer.ui.widgets.image_grid import ImageGrid, ImageSheet

# Every string that a person reads here.
TITLE, TIP = "Digits", "Which digits pruning costs, the images that flipped, and one to draw yourself"
PAIRED = (
    "Of {n} validation images the pruned network loses {lost:,} that its dense twin gets right, and gains "
    "{gained:,} that the twin gets wrong; {right:,} are right and {wrong:,} wrong in both. The test speaks "
    "of these images alone: another seed may lose others."
)
SOME_IMAGES = "{n:,} (the first of {all:,}; the others follow)"
TRYING = "Trying the threshold {:.4g}, not trained any further, beside the dense twin of epoch {:.3g}. "
PAD = " The pad asks other weights. {}"
ONE = (
    "Nothing is pruned yet: the two networks are still one. Of {n} validation images it gets {right:,} right "
    "and {wrong:,} wrong."
)
ALONE = "No dense twin trains beside this network, so nothing can be compared. "
DENSE_RUN = "This run prunes nothing, so nothing can be compared. "
WRONG = "Of {n} validation images {wrong:,} are answered wrongly."
NO_VALIDATION = "No validation images are held out (validation = 0), and test images are not looked at."
SHEETS = {
    "lost": "Lost: dense right, pruned wrong",
    "gained": "Gained: dense wrong, pruned right",
    "wrong": "Answered wrongly",
}
SOME, ALL, NONE = "{shown} of {all:,} images shown; dense → pruned", "{all:,} images; dense → pruned", "none"
SOME_ALONE, ALL_ALONE = "{shown} of {all:,} images shown", "{all:,} images"
CAPTION, CAPTION_ALONE = "true {truth}\n{dense} → {pruned}", "true {truth}\nread {pruned}"
IMAGE_TIP = "validation image {i:,}: {words}"
PICKED = "Validation image {i:,}, true {truth}"
PROBABILITY, OUTPUT = "probability", "output"

SECONDS = 0.5  # between two pictures while it trains
SLICE = 0.1  # seconds of asking in one frame, where nobody has asked these weights before
MOST = 18  # images of each kind: two rows of nine on a laptop
PIXELS = 56  # of each image on the page
FIGURE = 416  # of all images of a kind, in a figure


class Digits(Tab):
    """The pruned network and its dense twin over the same validation images."""

    name = "digits"
    title = TITLE
    tip = TIP

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.told = w.HTML().add_class("explorer-digits-told")
        self.images = ImageGrid().add_class("explorer-digits-images")
        self.sketch = DrawingPad(self._on_drawn, self._on_asked, self._on_cleared)
        self.panel = w.VBox([self.told]).add_class("explorer-digits")
        self.below = w.VBox([self.images, self.sketch]).add_class("explorer-digits-below")
        self._trainer: Trainer | None = None
        self._views: dict[str, LaneView] = {}
        self._names: list[str] = []
        self._pixels: Tensor | None = None  # what is on the pad, uint8 [28, 28]
        self._source = ""
        self._seen: Hashable = None
        self._asking: tuple[Hashable, SlicedEvaluation] | None = None
        self._looked, self._cost, self._as_of = 0.0, 0.0, ""

    def shown(self) -> None:
        """Looks anew at the next frame."""
        self._seen = None

    def pictures(self) -> Charts:
        """The images that flipped, a figure for each kind."""
        sheets = {f"digits-{sheet.name}": sheet for sheet in self.images.sheets if sheet.count}
        told = {n: replace(sheet, note=self._as_of + sheet.note) for n, sheet in sheets.items()}
        return {name: figures.tiles([sheet], width=FIGURE) for name, sheet in told.items()}

    def hidden(self) -> None:
        """Lets go of the networks."""
        self._trainer, self._views, self._asking = None, {}, None

    # -- on the worker --------------------------------------------------------------------------------

    def key(self, trainer: Trainer) -> Hashable:
        """Whether there is a pair, images, and which classes."""
        self._know(trainer)
        return len(trainer.lanes) > 1, len(trainer.split.validation) > 0

    def charts(self, trainer: Trainer) -> Charts:
        """Flips, change, and confusion before and after; one heat map where there is no pair."""
        if not len(trainer.split.validation):
            return {}
        if len(trainer.lanes) < 2:
            return {"digits-pruned": figures.confusion(which="alone")}
        heat = {f"digits-{which}": figures.confusion(which=which) for which in ("change", "dense", "pruned")}
        return {"digits-flips": figures.flips(), **heat}

    def tables(self, frame: Frame, session: Session) -> Tables:
        """Shows what is known of these weights, and else asks them, a slice of time at each frame."""
        trainer, now = frame.trainer, time.perf_counter()
        self._know(trainer)
        nets = ("pruned" if frame.lanes[0].experiment.pruning else "dense", "dense")
        self._views = dict(zip(nets, frame.views, strict=False))
        if not len(trainer.split.validation):
            return self._blind()
        moving = frame.status == "training" and frame.preview is None and frame.past is None
        if moving and self._seen and now - self._looked < max(SECONDS, self._cost / SHARE):
            return {}
        found, more = self._found(frame, moving)
        if more:
            session.refresh()  # no other frame may come
        of = found.step, len(found.lanes[0])
        seen = (id(trainer), of, frame.preview, frame.past, frame.held, moving, _one(frame))
        if moving or seen != self._seen:
            self._answer()
        if seen == self._seen:
            return {}
        made = self._tell_of(frame, found, moving)
        self._seen, self._looked, self._cost = seen, time.perf_counter(), time.perf_counter() - now
        return made

    def _found(self, frame: Frame, moving: bool) -> tuple[Answers, bool]:
        """What the networks answer, and whether there are more images to ask about."""
        known, trainer = frame.answers, frame.trainer
        if known is not None and (moving or frame.preview is not None or known.step == frame.step):
            self._asking = None
            return known, False
        key = (id(trainer), frame.held, frame.preview, len(frame.lanes[0].history.events))
        if self._asking is None or self._asking[0] != key:
            self._asking = key, SlicedEvaluation(trainer, frame.views, frame.held)
        asking = self._asking[1]
        more = asking.work(SLICE)
        return asking.found, more

    def _know(self, trainer: Trainer) -> None:
        if trainer is not self._trainer:
            self._trainer, self._names = trainer, predictions.class_names(trainer)
            self._seen, self._asking = None, None
            self.sketch.offers = len(trainer.split.validation) > 0

    def _blind(self) -> Tables:
        self.told.value = f"<p>{NO_VALIDATION}</p>"
        self.images.show()
        self._answer()
        return {}

    def _tell_of(self, frame: Frame, found: Answers, moving: bool) -> Tables:
        """The words, pictures and charts of these answers."""
        trainer = frame.trainer
        epoch, pixels = found.step / trainer.per_epoch, trainer.split.validation.pixels
        own = found.lanes[0].long()
        truth = trainer.observer.validation[1][: len(own)].cpu()
        start = THEN.format(round(epoch, 2)) if moving or found.step == frame.past else as_of(frame)
        self._as_of = start if frame.past is not None else ""
        if frame.preview is not None:
            start = TRYING.format(frame.preview, epoch)
        end = PAD.format(as_of(frame)) if found.step == frame.past != frame.held else ""
        if len(found.lanes) == 1:
            return self._alone((start, end), pixels, truth, own)
        told = start + (ONE if _one(frame) else PAIRED) + end
        return self._pair(told, pixels, truth, found.lanes[1].long(), own)

    def _pair(self, told: str, pixels: Tensor, truth: Tensor, dense: Tensor, pruned: Tensor) -> Tables:
        lost, gained = predictions.flips(truth, dense, pruned)
        wrong = int(((dense != truth) & (pruned != truth)).sum())
        counts = {"n": _of(truth, pixels), "lost": len(lost), "gained": len(gained), "wrong": wrong}
        right = len(truth) - len(lost) - len(gained) - wrong
        self.told.value = f"<p>{escape(told.format(right=right, **counts))}</p>"
        answered = {"truth": truth, "dense": dense, "pruned": pruned}
        self.images.show(
            self._sheet("lost", lost, pixels, answered),
            self._sheet("gained", gained, pixels, answered),
        )
        truth, dense, pruned = truth.numpy(), dense.numpy(), pruned.numpy()
        names = self._names
        return {
            ("digits-flips", "flips"): figures.flip_table(truth, dense, pruned, names),
            ("digits-flips", "note"): figures.flip_note(len(lost), len(gained)),
            ("digits-change", "cells"): figures.change_table(truth, dense, pruned, names),
            ("digits-dense", "cells"): figures.confusion_table(truth, dense, names),
            ("digits-pruned", "cells"): figures.confusion_table(truth, pruned, names),
        }

    def _alone(self, around: tuple[str, str], pixels: Tensor, truth: Tensor, pruned: Tensor) -> Tables:
        wrong = (pruned != truth).nonzero().flatten().tolist()
        start, end = around
        start += ALONE if "pruned" in self._views else DENSE_RUN
        self.told.value = f"<p>{start + WRONG.format(n=_of(truth, pixels), wrong=len(wrong))}{end}</p>"
        self.images.show(self._sheet("wrong", wrong, pixels, {"truth": truth, "pruned": pruned}))
        cells = figures.confusion_table(truth.numpy(), pruned.numpy(), self._names)
        return {("digits-pruned", "cells"): cells}

    def _sheet(self, name: str, which: Any, pixels: Tensor, answered: dict[str, Tensor]) -> ImageSheet:
        """The first of these images, with what is true and what was answered."""
        pair, title = "dense" in answered, SHEETS[name]
        few = list(which[: MOST if pair else 2 * MOST])
        words = (SOME, ALL) if pair else (SOME_ALONE, ALL_ALONE)
        note = words[len(few) == len(which)].format(shown=len(few), all=len(which)) if few else NONE
        caption = CAPTION if pair else CAPTION_ALONE
        named = [{net: self._names[int(t[i])] for net, t in answered.items()} for i in few]
        captions = [caption.format(**names) for names in named]
        tips = [
            IMAGE_TIP.format(i=i, words=c.replace("\n", ", ")) for i, c in zip(few, captions, strict=True)
        ]
        chosen = pixels[torch.tensor(few, dtype=torch.long, device=pixels.device), 0].cpu().numpy()
        rows, columns = pixels.shape[-2:]
        return ImageSheet(
            name=name,
            kind="image",
            rows=rows,
            columns=columns,
            codes=chosen.astype(np.uint8).tobytes(),
            width=PIXELS,
            height=round(PIXELS * rows / columns),
            title=title,
            note=note,
            text=f"{title}: {note}. " + "; ".join(tips),
            captions=captions,
            tips=tips,
        )

    def _answer(self) -> None:
        """Asks the networks about what is on the pad."""
        trainer, pixels = self._trainer, self._pixels
        if pixels is None or trainer is None:
            return
        experiment = trainer.lanes[0].experiment
        x = predictions.as_input(pixels, experiment, trainer)
        found = {
            net: predictions.probabilities(trainer.network, view, x, experiment.loss)
            for net, view in self._views.items()
        }
        unit = OUTPUT if experiment.loss == "mse" and len(self._names) > 2 else PROBABILITY
        self.sketch.show(pixels, self._names, found, source=self._source, unit=unit)

    # -- from the pad ---------------------------------------------------------------------------------

    def _on_drawn(self, ink: Tensor) -> None:
        self._put(predictions.as_digit(ink), "")

    def _on_cleared(self) -> None:
        self._pixels = None
        self.sketch.clear()

    def _on_asked(self) -> None:
        def pick(trainer: Trainer) -> None:
            held = trainer.split.validation
            i = random.randrange(len(held))
            truth = self._names[int(held.labels[i])]
            self._pixels, self._source = held.pixels[i, 0].cpu(), PICKED.format(i=i, truth=truth)
            self._answer()

        self._call(pick)

    def _put(self, pixels: Tensor | None, source: str) -> None:
        if pixels is None:
            return
        self._pixels, self._source = pixels, source
        self._call(lambda _: self._answer())

    def _call(self, work: Any) -> None:
        """Has the session's worker do it, between two steps; what goes wrong is told."""
        self.context.session.call(work).add_done_callback(self._tell)

    def _tell(self, done: "Future[Any]") -> None:
        error = done.exception()
        if isinstance(error, Exception):
            self.context.tell(error)


def _of(truth: Tensor, pixels: Tensor) -> str:
    """How many images were looked at, in words."""
    words = f"{len(truth):,}" if len(truth) == len(pixels) else SOME_IMAGES
    return words.format(n=len(truth), all=len(pixels))


def _one(frame: Frame) -> bool:
    """Whether the two networks are still one: nothing had been pruned when the frame's answers were given."""
    if frame.preview is not None or len(frame.lanes) == 1:
        return False
    if frame.past is None:
        return len({lane.row for lane in frame.lanes}) < len(frame.lanes)
    events = frame.trainer.lanes[0].history.events
    return not any(what == "prune" and step <= frame.past for step, what, *_ in events)
