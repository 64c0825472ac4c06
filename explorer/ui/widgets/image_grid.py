"""Image grids: weights, counts or digits as little images, many at once, in the page's own colours."""

from dataclasses import dataclass, field
from typing import Any

import anywidget
import traitlets

from explorer.ui.widgets import assets


@dataclass(frozen=True)
class ImageSheet:
    """Images of one kind and size.

    `codes` holds them one after the other, a byte a pixel: "weights" have 0 where pruned and 128 for zero,
    "shares" and "image" go from 0 to 255. "counts" have two bytes a pixel, the number itself.
    """

    name: str  # CSS class explorer-sheet-<name>
    kind: str
    rows: int
    columns: int
    codes: bytes
    width: int  # of one image on the page, in pixels
    height: int
    title: str = ""
    text: str = ""  # all that it says, for those who don't see it
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


class ImageGrid(anywidget.AnyWidget):
    """Sheets of images, one below the other; showing others changes the pictures in place."""

    _esm = assets.script("image_grid.js")
    _css = assets.style("image_grid.css")
    _sheets = traitlets.List(traitlets.Dict()).tag(sync=True)  # each sheet's fields and number of images

    def __init__(self) -> None:
        self.sheets: tuple[ImageSheet, ...] = ()
        super().__init__()

    def show(self, *sheets: ImageSheet) -> None:
        """Show these sheets instead, all in one message."""
        self.sheets = sheets
        self._sheets = [_fields(sheet) for sheet in sheets]


def _fields(sheet: ImageSheet) -> dict[str, Any]:
    return {**vars(sheet), "count": sheet.count}
