"""Validation images and what the networks answered: the pictures of those that flipped, and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.engine.analysis.predictions import grey
from explorer.ui.widgets.image_grid import ImageSheet

# Every string that a person reads here; the sentences with numbers in them stand in the functions.
TITLES = {
    "lost": "Lost: dense right, pruned wrong",
    "gained": "Gained: dense wrong, pruned right",
    "wrong": "Answered wrongly",
}
ALONE = "No dense twin trains beside this network, so nothing can be compared."
DENSE_RUN = "This run prunes nothing, so nothing can be compared."
NONE = "none"

MOST = 18  # images of each kind: two rows of nine on a laptop
PIXELS = 56  # of each image on the page


@dataclass(frozen=True)
class AnsweredImages:
    """What each network answered to all validation images, or to the first of them."""

    pixels: Tensor  # uint8 [all, channels, rows, columns]
    truth: Tensor  # int [n]
    answers: dict[str, Tensor]  # int [n] each: of "dense" and "pruned", or of "pruned" alone
    names: Sequence[str]  # of the classes

    @property
    def paired(self) -> bool:
        """Whether there is a dense twin's answer to each."""
        return "dense" in self.answers

    def sheet(self, name: str, which: Sequence[int]) -> ImageSheet:
        """Return the first of these images as pictures, each with what is true and what was answered."""
        few = list(which[: MOST if self.paired else 2 * MOST])
        captions = [self._caption(i) for i in few]
        tips = [_tip(i, caption) for i, caption in zip(few, captions, strict=True)]
        pixels = grey(self.pixels[torch.tensor(few, dtype=torch.long, device=self.pixels.device)])
        rows, columns = self.pixels.shape[-2:]
        title, note = TITLES[name], self._note(len(few), len(which))
        return ImageSheet(
            name=name,
            kind="image",
            rows=rows,
            columns=columns,
            codes=pixels.cpu().numpy().tobytes(),
            width=PIXELS,
            height=round(PIXELS * rows / columns),
            title=title,
            note=note,
            text=f"{title}: {note}. {'; '.join(tips)}",
            captions=captions,
            tips=tips,
        )

    def pair_summary(self, lost: int, gained: int, *, unpruned: bool) -> str:
        """Say what pruning costs, in images; where nothing is pruned yet, how the two networks answer."""
        wrong = int(((self.answers["dense"] != self.truth) & (self.answers["pruned"] != self.truth)).sum())
        right = len(self.truth) - lost - gained - wrong
        if unpruned:
            return (
                f"Nothing is pruned yet: the two networks are still one. {self._of_images()} it gets "
                f"{right:,} right and {wrong:,} wrong."
            )
        return (
            f"{self._of_images()} the pruned network loses {lost:,} that its dense twin gets right, and "
            f"gains {gained:,} that the twin gets wrong; {right:,} are right and {wrong:,} wrong in both. "
            "The test speaks of these images alone: another seed may lose others."
        )

    def single_summary(self, wrong: int, *, pruned: bool) -> str:
        """Say how one network answers, and why there is no other."""
        return f"{ALONE if pruned else DENSE_RUN} {self._of_images()} {wrong:,} are answered wrongly."

    def _of_images(self) -> str:
        n, total = len(self.truth), len(self.pixels)
        some = "" if n == total else f" (the first of {total:,}; the others follow)"
        return f"Of {n:,}{some} validation images"

    def _caption(self, i: int) -> str:
        truth, pruned = self.names[int(self.truth[i])], self.names[int(self.answers["pruned"][i])]
        if not self.paired:
            return f"true {truth}\nread {pruned}"
        return f"true {truth}\n{self.names[int(self.answers['dense'][i])]} → {pruned}"

    def _note(self, few: int, total: int) -> str:
        if not few:
            return NONE
        images = f"{total:,} images" if few == total else f"{few} of {total:,} images shown"
        return f"{images}; dense → pruned" if self.paired else images


def _tip(i: int, caption: str) -> str:
    words = caption.replace("\n", ", ")
    return f"validation image {i:,}: {words}"
