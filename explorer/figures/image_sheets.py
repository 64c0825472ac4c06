"""Sheets of little images as figures: masks, filters and digits, with what the page has around them.

Each image is a PNG inside the specification, as a mark for each pixel would make a hundred thousand. Its few
colours stand in a table, so that a dark figure is the light one with its colours swapped.

Datasets:
    images-<i>: x, y, url, tip; the images of a sheet, all of one size
    boxes: x, y, x2, y2, fill, stroke, opacity; frames, meters and the legend's swatches
    lines: x, y, x2, y2; the crosses over what is dead
    words: x, y, text, role ("title", "note", "caption" or "legend")
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import altair as alt
import numpy as np

from explorer.figures import theme

GAP, FAR = 4, (14, 7)  # pixels between images; of those that are made of kernels, across and down
TITLE, LINE, LETTER = 20, 15, 6.6  # pixels: heights of a title and of a line of text, width of a letter
METER, SWATCH, RAMP, AFTER = 3, 12, 64, 18
FINE = 2  # pixels of the image for each of the page's, at least: a viewer must not blur it
NONE, FAINT = 0.3, 0.12  # how strong the grey of what is pruned is, and the smallest count above zero

Row = dict[str, Any]


class Sheet(Protocol):
    """What a sheet has to have: the fields of `explorer.ui.widgets.image_grid.ImageSheet`."""

    name: str
    kind: str
    rows: int
    columns: int
    codes: bytes
    width: int
    height: int
    title: str
    note: str
    text: str
    captions: list[str]
    tips: list[str]
    meters: list[float]
    dead: list[bool]
    legend: dict[str, str]


def tiles(sheets: Sequence[Sheet], *, width: int = 2 * theme.WIDTH) -> alt.LayerChart:
    """Draw sheets of little images, one below the other.

    Args:
        sheets: Each of one kind: "weights", "counts", "shares" or "image".
        width: Pixels, which the images of a sheet fill row by row.
    """
    drawing = _Drawing(width)
    for sheet in sheets:
        drawing.add(sheet)
    place = {"x": _axis("x", width), "y": _axis("y", drawing.high)}
    chart = alt.LayerChart(layer=drawing.layers(place)).properties(
        width=width,
        height=drawing.high,
        description=" ".join(sheet.text for sheet in sheets),
        config=theme.config(),
    )
    return theme.inline(chart, drawing.tables())


def _axis(name: str, pixels: float) -> Any:
    """Return an axis whose scale is the pixels themselves, downwards for y."""
    kind = alt.X if name == "x" else alt.Y
    scale = alt.Scale(domain=[0, pixels], range=[0, pixels], nice=False, zero=False)
    return kind(f"{name}:Q", axis=None, scale=scale)


class _Drawing:
    """Sheets one below the other, as the rows of the tables that draw them."""

    def __init__(self, width: int) -> None:
        self.width, self.high = width, 0
        self.images: list[tuple[int, int, list[Row]]] = []  # width, height, and the images of this size
        self.boxes: list[Row] = []
        self.lines: list[Row] = []
        self.words: list[Row] = []

    def add(self, sheet: Sheet) -> None:
        """Draw a sheet below the others."""
        self.high += AFTER if self.high else 0
        for role, text, high in (("title", sheet.title, TITLE), ("note", sheet.note, TITLE)):
            if text:
                self.words.append({"x": 0, "y": self.high + 0.5 * high, "text": text, "role": role})
                self.high += high
        urls, colours = urls_of(sheet)
        if urls:
            self._images(sheet, urls)
            self._legend(sheet, colours)

    def _images(self, sheet: Sheet, urls: list[str]) -> None:
        across, down = FAR if sheet.name == "kernels" else (GAP, GAP)
        lines = max((text.count("\n") + 1 for text in sheet.captions), default=0)
        below = (METER + 2) * bool(sheet.meters) + 13 * lines
        each_row = max(1, (self.width + across) // (sheet.width + across))
        rows: list[Row] = []
        for i, url in enumerate(urls):
            y, x = divmod(i, each_row)
            x, y = x * (sheet.width + across), self.high + y * (sheet.height + below + down)
            tip = sheet.tips[i] if i < len(sheet.tips) else sheet.title
            rows.append({"x": x, "y": y, "url": url, "tip": tip})
            self._around(sheet, i, x, y)
        self.images.append((sheet.width, sheet.height, rows))
        self.high = rows[-1]["y"] + sheet.height + below

    def _around(self, sheet: Sheet, i: int, x: int, y: int) -> None:
        """Draw the frame of an image, its cross, its meter and its caption."""
        right, foot = x + sheet.width, y + sheet.height
        if i < len(sheet.dead) and sheet.dead[i]:
            self._cross(x, y, right, foot)
        else:
            self._box(x, y, right, foot, stroke=theme.GRID)
        if sheet.meters:
            top = foot + 2
            self._box(x, top, right, top + METER, fill=theme.DENSE, opacity=0.25)
            self._box(x, top, x + sheet.meters[i] * sheet.width, top + METER, fill=theme.PRUNED)
        if sheet.captions:
            at = {"x": x + sheet.width / 2, "y": foot + 10, "role": "caption"}
            self.words.append({**at, "text": sheet.captions[i]})

    def _cross(self, x: float, y: float, right: float, foot: float) -> None:
        self._box(x, y, right, foot, stroke=theme.MUTED)
        self.lines.append({"x": x, "y": y, "x2": right, "y2": foot})
        self.lines.append({"x": x, "y": foot, "x2": right, "y2": y})

    def _box(self, *corners: float, fill: str = "", stroke: str = "", opacity: float = 1.0) -> None:
        place = dict(zip(("x", "y", "x2", "y2"), corners, strict=True))
        look = {"fill": fill or "transparent", "stroke": stroke or "transparent", "opacity": opacity}
        self.boxes.append({**place, **look})

    def _legend(self, sheet: Sheet, colours: theme.Bytes) -> None:
        """Draw what the colours mean, in one line, or more where there is no room."""
        words = sheet.legend
        if not words:
            return
        self.high += 8
        x = 0.0
        entries = ["scale"] * bool(words.get("high")) + [n for n in ("none", "dead", "meter") if words.get(n)]
        for name in entries:
            low = _wide(words["low"]) + 6 if name == "scale" else 0.0
            mark = RAMP if name == "scale" else SWATCH + 6 * (name == "meter")
            text = words["high"] if name == "scale" else words[name]
            whole = low + mark + 6 + _wide(text)
            if x and x + whole > self.width:
                x, self.high = 0.0, self.high + LINE + 4
            if low:
                self._word(x, words["low"])
            self._swatch(name, x + low, mark, colours)
            self._word(x + low + mark + 6, text)
            x += whole + 16
        self.high += LINE

    def _word(self, x: float, text: str) -> None:
        self.words.append({"x": x, "y": self.high + SWATCH / 2, "text": text, "role": "legend"})

    def _swatch(self, name: str, x: float, wide: float, colours: theme.Bytes) -> None:
        y, right, foot = self.high, x + wide, self.high + SWATCH
        if name == "scale":
            ramp = np.linspace(1, 255, int(wide)).round().astype(np.uint8)[None]
            self.images.append(
                (int(wide), SWATCH, [{"x": x, "y": y, "url": theme.png_url(ramp, colours), "tip": ""}])
            )
            self._box(x, y, right, foot, stroke=theme.GRID)
        elif name == "none":
            self._box(x, y, right, foot, fill=theme.DENSE, opacity=NONE)
        elif name == "dead":
            self._cross(x, y, right, foot)
        else:
            self._box(x, y, right, foot, fill=theme.PRUNED)

    # -- what is drawn --------------------------------------------------------------------------------

    def layers(self, place: Mapping[str, Any]) -> list[alt.Chart]:
        """Return the marks, the images first."""
        ends = {"x2": alt.X2("x2"), "y2": alt.Y2("y2")}
        marks: list[alt.Chart] = [
            theme.on(f"images-{i}")
            .mark_image(width=wide, height=high, align="left", baseline="top", aspect=False)
            .encode(**place, url=alt.Url("url:N"), tooltip=alt.Tooltip("tip:N", title=None))
            for i, (wide, high, _) in enumerate(self.images)
        ]
        opacity = alt.FillOpacity("opacity:Q", scale=None, legend=None)
        boxes = theme.on("boxes").mark_rect(strokeWidth=1)
        marks.append(
            boxes.encode(
                **place,
                **ends,
                fill=alt.Fill("fill:N", scale=None, legend=None),
                stroke=alt.Stroke("stroke:N", scale=None, legend=None),
                fillOpacity=opacity,
            )
        )
        lines = theme.on("lines").mark_rule(color=theme.INK, opacity=0.6, strokeWidth=1.2)
        marks.append(lines.encode(**place, **ends))
        return [*marks, *(self._text(role, place) for role in ("title", "note", "caption", "legend"))]

    @staticmethod
    def _text(role: str, place: Mapping[str, Any]) -> alt.Chart:
        look: dict[str, dict[str, Any]] = {
            "title": {"fontSize": 14, "fontWeight": 600},
            "note": {"color": theme.MUTED},
            "caption": {"fontSize": 11, "align": "center", "lineBreak": "\n", "lineHeight": 13},
            "legend": {},
        }
        mark = theme.text(**{"align": "left", "baseline": "middle", **look[role]})
        data = theme.on("words").transform_filter(f"datum.role == '{role}'")
        words: alt.Chart = data.mark_text(**mark)
        return words.encode(**place, text="text:N")

    def tables(self) -> dict[str, Any]:
        """Return the datasets."""
        images = {f"images-{i}": _table(rows) for i, (_, _, rows) in enumerate(self.images)}
        return {
            **images,
            "boxes": _table(self.boxes),
            "lines": _table(self.lines),
            "words": _table(self.words),
        }


def _table(rows: list[Row]) -> theme.Columns:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {"x": []}


def _wide(text: str) -> float:
    return LETTER * len(text)


# -- images -------------------------------------------------------------------------------------------


def urls_of(sheet: Sheet) -> tuple[list[str], theme.Bytes]:
    """Return each image of a sheet as a PNG in a URL, and the colours of its codes, uint8 [256, 4]."""
    if sheet.kind == "counts":
        counts = np.frombuffer(sheet.codes, "<u2").astype(float)
        above = np.maximum(counts - 1, 0) / max(1, counts.max(initial=1) - 1)
        if counts.max(initial=0) <= 1:
            above[:] = 1
        codes = np.where(counts > 0, 1 + (254 * above).round(), 0).astype(np.uint8)
    else:
        codes = np.frombuffer(sheet.codes, np.uint8)
    colours = palette(sheet.kind)
    times = max(1, -(-FINE * sheet.width // sheet.columns))
    images = codes.reshape(-1, sheet.rows, sheet.columns).repeat(times, 1).repeat(times, 2)
    return [theme.png_url(image, colours) for image in images], colours


def palette(kind: str) -> theme.Bytes:
    """Return the colour of each code on a light page, uint8 [256, 4]; its alpha lets the page through."""
    code = np.arange(256)
    if kind == "image":
        return _palette([theme.INK] * 256, code / 255)
    grey = [theme.DENSE]
    if kind == "weights":
        signs = [theme.REMOVED] * 127 + [theme.PRUNED] * 128
        return _palette(grey + signs, np.where(code, abs(code - 128) / 127, NONE))
    return _palette(grey + [theme.PRUNED] * 255, np.where(code, FAINT + (1 - FAINT) * code / 255, NONE))


def _palette(names: Sequence[str], alpha: Any) -> theme.Bytes:
    rgb = np.array([theme.rgb(name) for name in names])
    return np.column_stack([rgb, (255 * alpha.clip(0, 1)).round()]).astype(np.uint8)
