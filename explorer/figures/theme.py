"""What all charts share: colours, type, and how data get into a chart.

Colours follow Okabe and Ito's palette, so that readers with a colour vision deficiency can tell them apart,
and the same thing has the same colour in every figure. Each colour is a role with one value for light and one
for dark pages; a dark figure is the light one with its colours swapped.

A table is a DataFrame or a mapping of columns; a dataset is a table under the name by which a chart knows it.
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, TypeVar, cast

import altair as alt
import numpy as np
import numpy.typing as npt

INK, MUTED, LINE, GRID, PAPER = "#1f2328", "#59606b", "#8c939d", "#e4e7eb", "#ffffff"
DENSE, PRUNED = "#6f7681", "#0072b2"  # the two networks that are compared
KEPT, REMOVED, REVIVED = PRUNED, "#d55e00", "#009e73"  # weights: what is kept *is* the pruned network
CLIPPED, UNCLIPPED = "#a8467f", PRUNED
OCHRE = "#8a6d00"  # one more, where runs are many

# role in light, its value in dark, and JupyterLab's own variable for it, which wins on a live page
ROLES = (
    (INK, "#e6e8eb", "--jp-ui-font-color1"),
    (MUTED, "#abb2bd", "--jp-ui-font-color2"),
    (LINE, "#7d858f", ""),
    (GRID, "#363b42", "--jp-border-color2"),
    (PAPER, "#111111", "--jp-layout-color0"),
    (DENSE, "#a3abb5", ""),
    (PRUNED, "#4aa3df", ""),
    (REMOVED, "#f0883e", ""),
    (REVIVED, "#2cc295", ""),
    (CLIPPED, "#dd8fc0", ""),
    (OCHRE, "#d9b93b", ""),
)

WIDTH = 360
BELOW_EACH_OTHER = (
    "{bottom: {anchor: 'start', direction: 'vertical'}}"  # legends; side by side they are cropped
)
PNG_START = "data:image/png;base64,"
PNG_URL = re.compile(f"{PNG_START}([A-Za-z0-9+/]+=*)")

Table = Any  # a DataFrame, or a mapping of columns by name
Columns = dict[str, list[Any]]
Bytes = npt.NDArray[np.uint8]
C = TypeVar("C", bound=alt.TopLevelMixin)


# -- the look -----------------------------------------------------------------------------------------


def config() -> dict[str, Any]:
    """Return the Vega-Lite configuration of every figure, in light colours."""
    axis = {
        "labelColor": MUTED,
        "titleColor": INK,
        "domainColor": LINE,
        "tickColor": LINE,
        "gridColor": GRID,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    }
    legend = {"labelColor": INK, "labelFontSize": 12, "symbolSize": 90, "orient": "bottom", "title": None}
    title = {"color": INK, "fontSize": 14, "fontWeight": 600, "subtitleColor": MUTED, "subtitleFontSize": 12}
    return {
        "background": PAPER,
        "view": {"stroke": None},
        "axis": axis,
        "legend": {**legend, "offset": 8, "layout": {"expr": BELOW_EACH_OTHER}},
        "title": {**title, "anchor": "start", "frame": "group", "subtitlePadding": 4},
    }


def text(**mark: Any) -> dict[str, Any]:
    """Return a text mark's properties: readable on both themes, as Vega's own default is black on either."""
    return {"color": INK, "fontSize": 12, **mark}


def label(data: alt.Chart, mark: dict[str, Any], **encoding: Any) -> alt.LayerChart:
    """Draw text that stays readable across lines and dots: over a halo in the page's colour."""
    halo = {**mark, "stroke": PAPER, "strokeWidth": 4, "strokeOpacity": 0.85, "strokeJoin": "round"}
    return alt.LayerChart(layer=[data.mark_text(**look).encode(**encoding) for look in (halo, mark)])


def note() -> alt.Chart:
    """Draw the text of the dataset "note" above the marks, where ``beside_note`` leaves room for it."""
    words: alt.Chart = on("note").mark_text(**text(align="left", baseline="bottom", color=MUTED))
    return words.encode(x=alt.value(0), y=alt.value(-8), text="text:N")


def beside_note(title: str) -> alt.Title:
    """Return a title that leaves room for the note between itself and the marks."""
    return alt.Title(title, offset=4)


def finish(
    chart: alt.LayerChart,
    tables: Mapping[str, Table] | None,
    title: str | alt.Title,
    description: str,
    height: float | alt.Step,
    *,
    width: float = WIDTH,
) -> alt.LayerChart:
    """Return the chart with its theme, title, size and tables by dataset; live where the first table is None.

    The description is for screen readers; a height is in pixels, or a step of them for each row.
    """
    look = {"title": title, "description": description, "width": width, "height": height}
    chart = chart.properties(**look, config=config())
    if not tables or next(iter(tables.values())) is None:
        return chart
    return inline(chart, tables)


def dark(chart: C) -> C:
    """Return the same chart for a dark page or slide."""
    spec = json.dumps(chart.to_dict(validate=False))
    for light, night, _ in ROLES:
        spec = spec.replace(f'"{light}"', f'"{night}"')
    spec = PNG_URL.sub(lambda url: _dark_png(url[1]), spec)
    kind: Any = type(chart)
    return cast("C", kind.from_dict(json.loads(spec), validate=False))


def rgb(colour: str) -> tuple[int, ...]:
    """Return "#0072b2" as numbers."""
    return tuple(bytes.fromhex(colour[1:]))


def png_url(codes: Bytes, colours: Bytes) -> str:
    """Return an image of codes, uint8 [rows, columns], as a PNG in a URL; its colours are uint8 [256, 4].

    They stand in a table of the file's own, in which a dark figure swaps them.
    """
    from PIL import Image  # noqa: PLC0415  a live page draws no such figures

    image, file = Image.fromarray(codes), BytesIO()
    image.putpalette(colours.tobytes(), "RGBA")
    image.save(file, "PNG", compress_level=9)
    return PNG_START + base64.b64encode(file.getvalue()).decode()


def _dark_png(content: str) -> str:
    """Return the URL of a PNG, given in base 64, with its colours swapped."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(BytesIO(base64.b64decode(content))) as image:
        if image.mode != "P":
            return PNG_START + content  # not one of ours
        image.apply_transparency()  # which moves it into the table of colours
        codes, colours = np.array(image), np.array(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    night = {rgb(light): rgb(dark) for light, dark, _ in ROLES}
    colours[:, :3] = [night.get(colour, colour) for colour in map(tuple, colours[:, :3].tolist())]
    return png_url(codes, colours)


# -- data ---------------------------------------------------------------------------------------------


def on(dataset: str) -> alt.Chart:
    """Return a chart on data that come later, of the right types: Vega need not parse and copy them."""
    return alt.Chart(alt.NamedData(dataset, format={"parse": None}))


def columns(rows: Iterable[Sequence[Any]], names: Iterable[str]) -> Columns:
    """Turn rows into a table of columns."""
    rows = list(rows)
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def rows(table: Table) -> list[dict[str, Any]]:
    """Turn a DataFrame, or a mapping of columns, into JSON rows; what is not finite becomes null."""
    records = table.to_dicts() if hasattr(table, "to_dicts") else _zip(table)
    return [{name: _plain(value) for name, value in record.items()} for record in records]


def _zip(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = [values.tolist() if hasattr(values, "tolist") else list(values) for values in table.values()]
    return [dict(zip(table, record, strict=True)) for record in zip(*lists, strict=True)]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def inline(chart: C, tables: Mapping[str, Table]) -> C:
    """Return a copy of ``chart`` that carries ``tables`` by dataset name; a table of None is left out."""
    source: Any = chart
    copy = source.copy(deep=False)
    copy.datasets = {name: rows(table) for name, table in tables.items() if table is not None}
    return cast("C", copy)
