"""Sheets of little images: weights, counts or digits, many at once, drawn by the page in its own colours."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anywidget
import traitlets

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sheet:
    """Images of one kind and size.

    `codes` holds them one after the other, a byte a pixel: "weights" have 0 where pruned and 128 for zero,
    "shares" and "image" go from 0 to 255. "counts" have two bytes a pixel, the number itself.
    """

    name: str  # CSS class explorer-sheet-<name>
    kind: str
    rows: int
    columns: int
    codes: bytes
    width: int  # on the page, in its pixels, of one image
    height: int
    title: str = ""
    text: str = ""  # all that it says, for those who do not see it
    captions: list[str] = field(default_factory=list)  # below each image
    tips: list[str] = field(default_factory=list)  # of each image, on hover
    cell: str = ""  # on hover of one pixel: {row}, {column} and {value} are filled in
    meters: list[float] = field(default_factory=list)  # a bar below each image, 0 to 1
    dead: list[bool] = field(default_factory=list)  # images that are crossed out
    legend: dict[str, str] = field(default_factory=dict)  # none, low, high, dead, meter: the words for each
    note: str = ""

    @property
    def count(self) -> int:
        """The number of images."""
        bytes_each = 2 if self.kind == "counts" else 1
        return len(self.codes) // (self.rows * self.columns * bytes_each)


class Tiles(anywidget.AnyWidget):
    """Sheets one below the other; setting them again changes the pictures in place."""

    _esm = (HERE / "image_grid.js").read_text(encoding="utf-8")
    _css = (HERE / "image_grid.css").read_text(encoding="utf-8")
    _sheets = traitlets.List().tag(sync=True)

    def __init__(self) -> None:
        self.sheets: tuple[Sheet, ...] = ()
        super().__init__()

    def show(self, *sheets: Sheet) -> None:
        """Have these sheets instead, all in one message."""
        self.sheets = sheets
        self._sheets = [_plain(sheet) for sheet in sheets]


def _plain(sheet: Sheet) -> dict[str, Any]:
    return {**vars(sheet), "count": sheet.count}
