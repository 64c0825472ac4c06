"""Digits: which ones pruning costs, the very images that flipped, and one to draw oneself."""

import random
import time
from collections.abc import Hashable
from concurrent.futures import Future
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np
import torch
from torch import Tensor

from explorer import figures
from explorer.engine.state import View
from explorer.engine.trainer import Trainer
from explorer.ui import answers
from explorer.ui.frames import SHARE, Frame
from explorer.ui.session import Session
from explorer.ui.sketch import Sketch
from explorer.ui.tabs.base import Charts, Context, Tab, Tables
from explorer.ui.tiles import Sheet, Tiles

# Every string that a person reads here.
TITLE, TIP = "Digits", "Which digits pruning costs, the images that flipped, and one to draw yourself"
PAIRED = (
    "Of {n} validation images the pruned network loses {lost:,} that its dense twin gets right, and gains "
    "{gained:,} that the twin gets wrong; {right:,} are right and {wrong:,} wrong in both."
)
SOME_IMAGES = "{n:,} (the first of {all:,}; all are looked at when it rests)"
ONE_SEED = "The test speaks of these images alone: another seed may lose others."
TRYING = "Trying the threshold {:.4g}, not trained any further, beside the dense twin as it is now. "
ONE = "Nothing is pruned yet: the two networks are still one. "
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

SECONDS = 0.5  # between two looks at all images while it trains
AT_ONCE = 0.2  # seconds for a look while it trains or a threshold is dragged: slow networks see fewer images
FEWEST = 500
MOST = 20  # images of each kind
PIXELS = 56  # of each image on the page


class Digits(Tab):
    """The pruned network and its dense twin over the same validation images."""

    name = "digits"
    title = TITLE
    tip = TIP

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.told = w.HTML().add_class("explorer-digits-told")
        self.images = Tiles().add_class("explorer-digits-images")
        self.sketch = Sketch(self._on_drawn, self._on_asked, self._on_cleared)
        self.panel = w.VBox([self.told]).add_class("explorer-digits")
        self.below = w.VBox([self.images, self.sketch]).add_class("explorer-digits-below")
        self._trainer: Trainer | None = None
        self._views: dict[str, View] = {}
        self._names: list[str] = []
        self._pixels: Tensor | None = None  # what is on the pad, uint8 [28, 28]
        self._source = ""
        self._seen: Hashable = None
        self._twin: tuple[Hashable, Tensor] | None = None  # the twin's answers at a step
        self._looked = self._cost = 0.0
        self._few = FEWEST  # images, where a look must be short

    def shown(self) -> None:
        """Looks anew at the next frame."""
        self._seen = None

    def hidden(self) -> None:
        """Lets go of the networks."""
        self._trainer, self._views, self._twin = None, {}, None

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

    def tables(self, frame: Frame, session: Session) -> Tables:  # noqa: ARG002
        """Looks at all images where that is due."""
        trainer, now = frame.trainer, time.perf_counter()
        self._know(trainer)
        seen = (id(trainer), trainer.step, frame.preview, frame.view.mask is None)
        wait = max(SECONDS, self._cost / SHARE)
        moving = frame.status == "training" and frame.preview is None
        if seen == self._seen or (moving and self._seen and now - self._looked < wait):
            return {}
        lanes = trainer.lanes
        self._views = {"pruned" if lanes[0].experiment.pruning else "dense": frame.view}
        if len(lanes) > 1:
            self._views["dense"] = trainer.view(lanes[1])
        few = moving or frame.preview is not None
        found = self._look(frame, few) if len(trainer.split.validation) else self._blind()
        self._answer()
        self._seen, self._looked, self._cost = seen, time.perf_counter(), time.perf_counter() - now
        return found

    def _know(self, trainer: Trainer) -> None:
        if trainer is not self._trainer:
            self._trainer, self._names = trainer, answers.names_of(trainer)
            self._seen, self._twin = None, None
            self.sketch.offers = len(trainer.split.validation) > 0

    def _blind(self) -> Tables:
        self.told.value = f"<p>{NO_VALIDATION}</p>"
        self.images.show()
        return {}

    def _look(self, frame: Frame, few: bool) -> Tables:
        started, trainer = time.perf_counter(), frame.trainer
        x, truth = trainer.observer.validation
        x, truth = (x[: self._few], truth[: self._few]) if few else (x, truth)
        shared = len({lane.row for lane in trainer.lanes}) < len(trainer.lanes) and frame.preview is None
        dense = self._dense(trainer, x)
        pruned = dense if shared and dense is not None else answers.choices(trainer.network, frame.view, x)
        told = [None if each is None else each.cpu() for each in (truth, dense, pruned)]
        if not few:  # a number that changed with each look would make the curves jump
            took = (time.perf_counter() - started) * (2 if shared else 1)
            self._few = max(FEWEST, round(len(truth) * AT_ONCE / took))
        pixels = trainer.split.validation.pixels
        if dense is None:
            return self._alone(frame, pixels, told[0], told[2])
        start = TRYING.format(frame.preview) if frame.preview is not None else ONE if shared else ""
        return self._pair(start, pixels, *told)

    def _dense(self, trainer: Trainer, x: Tensor) -> Tensor | None:
        """The twin's answers, which a threshold that is tried out leaves alone; None without a twin."""
        view = self._views.get("dense")
        if view is None or len(trainer.lanes) < 2:
            return None
        at = (id(trainer), trainer.step, len(x))
        if self._twin is None or self._twin[0] != at:
            self._twin = at, answers.choices(trainer.network, view, x)
        return self._twin[1]

    def _pair(self, start: str, pixels: Tensor, truth: Tensor, dense: Tensor, pruned: Tensor) -> Tables:
        lost, gained = answers.flipped(truth, dense, pruned)
        wrong = int(((dense != truth) & (pruned != truth)).sum())
        counts = {"n": _of(truth, pixels), "lost": len(lost), "gained": len(gained), "wrong": wrong}
        right = len(truth) - len(lost) - len(gained) - wrong
        self.told.value = f"<p>{escape(start + PAIRED.format(right=right, **counts))} {ONE_SEED}</p>"
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

    def _alone(self, frame: Frame, pixels: Tensor, truth: Tensor, pruned: Tensor) -> Tables:
        wrong = (pruned != truth).nonzero().flatten().tolist()
        start = ALONE if frame.trainer.lanes[0].experiment.pruning else DENSE_RUN
        self.told.value = f"<p>{start + WRONG.format(n=_of(truth, pixels), wrong=len(wrong))}</p>"
        self.images.show(self._sheet("wrong", wrong, pixels, {"truth": truth, "pruned": pruned}))
        cells = figures.confusion_table(truth.numpy(), pruned.numpy(), self._names)
        return {("digits-pruned", "cells"): cells}

    def _sheet(self, name: str, which: Any, pixels: Tensor, answered: dict[str, Tensor]) -> Sheet:
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
        return Sheet(
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
        x = answers.image_of(pixels, experiment, trainer)
        found = {
            net: answers.outputs(trainer.network, view, x, experiment.loss)
            for net, view in self._views.items()
        }
        unit = OUTPUT if experiment.loss == "mse" and len(self._names) > 2 else PROBABILITY
        self.sketch.show(pixels, self._names, found, source=self._source, unit=unit)

    # -- from the pad ---------------------------------------------------------------------------------

    def _on_drawn(self, ink: Tensor) -> None:
        self._put(answers.centred(ink), "")

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
