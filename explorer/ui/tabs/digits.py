"""Digits: which ones pruning costs, the very images that flipped, and one to draw oneself."""

import random
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as w
from torch import Tensor

from explorer import figures
from explorer.engine.analysis import predictions
from explorer.engine.network.state import LaneView
from explorer.engine.training.trainer import Trainer
from explorer.experiment import Experiment
from explorer.ui.session.frames import SHARE, Frame, Predictions
from explorer.ui.session.session import Session
from explorer.ui.session.sliced_evaluation import SlicedEvaluation
from explorer.ui.session.snapshots import as_of, as_of_epoch
from explorer.ui.session.throttle import Throttle
from explorer.ui.tabs.parts.digit_images import AnsweredImages
from explorer.ui.tabs.tab import Charts, Context, Tab, Tables
from explorer.ui.widgets.drawing_pad import DrawingPad
from explorer.ui.widgets.image_grid import ImageGrid

# Every string that a person reads here; the sentences with numbers in them stand below.
NO_VALIDATION = "No validation images are held out (validation = 0), and test images are not looked at."
PROBABILITY, OUTPUT = "probability", "output"

SECONDS = 0.5  # between two pictures while it trains
SLICE = 0.1  # seconds of evaluation in one frame, where nobody has evaluated these weights before
FIGURE = 416  # pixels of all images of a kind, in a figure


class Digits(Tab):
    """The pruned network and its dense twin over the same validation images."""

    name = "digits"
    title = "Digits"
    tip = "Which digits pruning costs, the images that flipped, and one to draw yourself"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.summary_text = w.HTML().add_class("explorer-digits-told")
        self.images = ImageGrid().add_class("explorer-digits-images")
        self.pad = DrawingPad(self._on_draw, self._on_random, self._on_clear)
        self.panel = w.VBox([self.summary_text]).add_class("explorer-digits")
        self.below = w.VBox([self.images, self.pad]).add_class("explorer-digits-below")
        self._trainer: Trainer | None = None
        self._classes: list[str] = []
        self._experiment: Experiment  # that the networks were trained by
        self._networks: dict[str, LaneView] = {}
        self._pixels: Tensor | None = None  # what is on the pad, uint8 [C, H, W]
        self._source = ""  # where it comes from
        self.evaluation: tuple[Hashable, SlicedEvaluation] | None = None
        self._throttle = Throttle(SECONDS, SHARE)
        self._as_of = ""  # of the pictures

    def on_show(self) -> None:
        """Draw at the next frame, whatever was drawn last."""
        self._throttle.reset()

    def on_hide(self) -> None:
        """Let go of the networks."""
        self._trainer, self._networks, self.evaluation = None, {}, None

    def pictures(self) -> Charts:
        """Return the images that flipped, a figure for each kind."""
        sheets = [replace(each, note=self._as_of + each.note) for each in self.images.sheets if each.count]
        return {f"digits-{sheet.name}": figures.tiles([sheet], width=FIGURE) for sheet in sheets}

    # -- on the worker --------------------------------------------------------------------------------

    def key(self, trainer: Trainer) -> Hashable:
        """Return whether there is a pair, and whether there are images."""
        self._follow(trainer)
        return len(trainer.lanes) > 1, len(trainer.split.validation) > 0

    def charts(self, trainer: Trainer) -> Charts:
        """Return flips, change, and confusion before and after; one heat map where there is no pair."""
        if not len(trainer.split.validation):
            return {}
        if len(trainer.lanes) < 2:
            return {"digits-pruned": figures.confusion(which="alone")}
        heat = {f"digits-{which}": figures.confusion(which=which) for which in ("change", "dense", "pruned")}
        return {"digits-flips": figures.flips(), **heat}

    def tables(self, frame: Frame, session: Session) -> Tables:
        """Draw what is known of these weights, and else evaluate them, a slice of time at each frame."""
        trainer = frame.trainer
        self._follow(trainer)
        self._experiment = frame.lanes[0].experiment
        nets = ("pruned" if self._experiment.pruning else "dense", "dense")
        self._networks = dict(zip(nets, frame.views, strict=False))
        if not len(trainer.split.validation):
            return self._without_images()
        moving = frame.status == "training" and frame.preview is None and frame.viewed_step is None
        if moving and self._throttle.resting:
            return {}
        answers, unfinished = self._evaluate(frame, moving)
        if unfinished:
            session.refresh()  # no other frame may come
        key = (
            *(id(trainer), answers.step, len(answers.lanes[0]), frame.preview, frame.viewed_step),
            *(frame.weights_step, moving, _unpruned(frame)),
        )
        changed = self._throttle.due(key)
        if moving or changed:
            self._evaluate_pad()
        if not changed:
            return {}
        with self._throttle.work(key):
            return self._draw(frame, answers, moving)

    def _follow(self, trainer: Trainer) -> None:
        """Begin anew where there is another trainer."""
        if trainer is not self._trainer:
            self._trainer, self._classes = trainer, predictions.class_names(trainer)
            self.evaluation = None
            self._throttle.reset()
            if self._pixels is not None and self._pixels.shape[1:] != trainer.split.train.pixels.shape[2:]:
                self._on_clear()  # it was made for images of another shape
            self.pad.offers = len(trainer.split.validation) > 0

    def _without_images(self) -> Tables:
        self.summary_text.value = f"<p>{NO_VALIDATION}</p>"
        self.images.show()
        self._evaluate_pad()
        return {}

    def _evaluate(self, frame: Frame, moving: bool) -> tuple[Predictions, bool]:
        """Return what the networks answer, and whether there are more images to evaluate."""
        newest, trainer = frame.predictions, frame.trainer
        if newest is not None and (moving or frame.preview is not None or newest.step == frame.step):
            self.evaluation = None
            return newest, False
        key = (id(trainer), frame.weights_step, frame.preview, len(frame.lanes[0].history.events))
        if self.evaluation is None or self.evaluation[0] != key:
            self.evaluation = key, SlicedEvaluation(trainer, frame.views, frame.weights_step)
        evaluation = self.evaluation[1]
        unfinished = evaluation.work(SLICE)
        return evaluation.predictions, unfinished

    def _draw(self, frame: Frame, answers: Predictions, moving: bool) -> Tables:
        """Set the words and pictures of these answers, and return the charts' data."""
        trainer, epoch = frame.trainer, answers.step / frame.trainer.per_epoch
        own, *twin = (lane.long() for lane in answers.lanes)
        truth = trainer.observer.validation[1][: len(own)].cpu()
        start = as_of_epoch(round(epoch, 2)) if moving or answers.step == frame.viewed_step else as_of(frame)
        self._as_of = start if frame.viewed_step is not None else ""
        if frame.preview is not None:
            moment = f"beside the dense twin of epoch {epoch:.3g}. "
            start = f"Trying the threshold {frame.preview:.4g}, not trained any further, {moment}"
        elsewhere = answers.step == frame.viewed_step != frame.weights_step
        end = f" The pad asks other weights. {as_of(frame)}" if elsewhere else ""
        by_net = {**({"dense": twin[0]} if twin else {}), "pruned": own}
        images = AnsweredImages(trainer.split.validation.pixels, truth, by_net, self._classes)
        summary, tables = self._draw_pair(images, frame) if twin else self._draw_single(images)
        self.summary_text.value = f"<p>{escape(start + summary + end)}</p>"
        return tables

    def _draw_pair(self, images: AnsweredImages, frame: Frame) -> tuple[str, Tables]:
        truth, dense, pruned = images.truth, images.answers["dense"], images.answers["pruned"]
        lost, gained = predictions.flips(truth, dense, pruned)
        self.images.show(images.sheet("lost", lost), images.sheet("gained", gained))
        summary = images.pair_summary(len(lost), len(gained), unpruned=_unpruned(frame))
        names, (t, d, p) = self._classes, (each.numpy() for each in (truth, dense, pruned))
        return summary, {
            ("digits-flips", "flips"): figures.flip_table(t, d, p, names),
            ("digits-flips", "note"): figures.flip_note(len(lost), len(gained)),
            ("digits-change", "cells"): figures.change_table(t, d, p, names),
            ("digits-dense", "cells"): figures.confusion_table(t, d, names),
            ("digits-pruned", "cells"): figures.confusion_table(t, p, names),
        }

    def _draw_single(self, images: AnsweredImages) -> tuple[str, Tables]:
        truth, own = images.truth, images.answers["pruned"]
        wrong = (own != truth).nonzero().flatten().tolist()
        self.images.show(images.sheet("wrong", wrong))
        summary = images.single_summary(len(wrong), pruned="pruned" in self._networks)
        cells = figures.confusion_table(truth.numpy(), own.numpy(), self._classes)
        return summary, {("digits-pruned", "cells"): cells}

    def _evaluate_pad(self) -> None:
        """Ask the networks about what is on the pad."""
        trainer, pixels = self._trainer, self._pixels
        if pixels is None or trainer is None:
            return
        loss, x = self._experiment.loss, predictions.as_input(pixels, self._experiment, trainer)
        outputs = {
            net: predictions.probabilities(trainer.network, view, x, loss)
            for net, view in self._networks.items()
        }
        unit = OUTPUT if loss == "mse" and len(self._classes) > 2 else PROBABILITY
        self.pad.show(predictions.grey(pixels), self._classes, outputs, source=self._source, unit=unit)

    # -- from the pad ---------------------------------------------------------------------------------

    def _on_draw(self, ink: Tensor) -> None:
        def draw(trainer: Trainer) -> None:
            pixels = predictions.as_digit(ink, *trainer.split.train.pixels.shape[2:])
            if pixels is not None:
                self._pixels, self._source = pixels[None], ""
                self._evaluate_pad()

        self._call(draw)

    def _on_clear(self) -> None:
        self._pixels = None
        self.pad.clear()

    def _on_random(self) -> None:
        def pick(trainer: Trainer) -> None:
            images = trainer.split.validation
            i = random.randrange(len(images))
            truth = self._classes[int(images.labels[i])]
            self._pixels, self._source = images.pixels[i].cpu(), f"Validation image {i:,}, true {truth}"
            self._evaluate_pad()

        self._call(pick)

    def _call(self, work: Callable[[Trainer], None]) -> None:
        """Have the session's worker do it, between two steps, and report what goes wrong."""
        self.context.session.call(work).add_done_callback(self._report)

    def _report(self, future: "Future[Any]") -> None:
        error = future.exception()
        if isinstance(error, Exception):
            self.context.report(error)


def _unpruned(frame: Frame) -> bool:
    """Return whether the two networks are still one: nothing had been pruned when the answers were given."""
    if frame.preview is not None:
        return False
    if frame.viewed_step is None:
        return len({lane.row for lane in frame.lanes}) < len(frame.lanes)
    events = frame.trainer.lanes[0].history.events  # go further than the snapshot next to that step
    return not any(what == "prune" and step <= frame.viewed_step for step, what, *_ in events)
