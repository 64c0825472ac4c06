"""Live charts: one widget holds any number of persistent Vega views and patches their data in place.

Altair charts on named, empty datasets are compiled to Vega once. After that a tick of the display is one
message of binary columns, whatever the number of charts; the page draws the newest data it has, once a frame.
"""

import base64
import json
import threading
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import altair as alt
import anywidget
import numpy as np
import traitlets
import vl_convert

from explorer import registry
from explorer.figures import combining, saving, theme
from explorer.ui.widgets import assets, vega

MAX_LABELS = 256  # a column of text travels as one byte a row
SNAPSHOT_SCALE = 1.5

NOT_A_CHART = "a chart is an Altair chart on named data, such as explorer.figures.accuracy(); {!r} is {}"

Key = tuple[str, str]
Columns = dict[str, np.ndarray]


def _view(name: str, chart: alt.TopLevelMixin, wide: bool) -> dict[str, Any]:
    """Describe a chart to the page: filling its column, on the page's own background, with no data."""
    spec = chart.to_dict(validate=False)  # Altair checked each part as it was made
    spec.pop("datasets", None)
    if "width" in spec:
        spec["width"] = "container"
    spec.setdefault("config", {})["background"] = "transparent"
    label = spec.get("description", name)
    compiled = vega.compile_spec(json.dumps(spec, sort_keys=True))
    return {"name": name, "label": label, "wide": wide, "spec": compiled}


def encode(table: Columns) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Turn columns into a header and one buffer each: float32, or uint8 into a list of labels."""
    headers, buffers = [], []
    for name, values in table.items():
        if values.dtype.kind == "U":
            labels, codes = np.unique(values, return_inverse=True)
            headers.append({"name": name, "labels": labels.tolist()})
            buffers.append(codes.astype(np.uint8).tobytes())
        else:
            headers.append({"name": name})
            buffers.append(values.astype("<f4").tobytes())
    return headers, buffers


def _key(name: Key | str) -> Key:
    if not isinstance(name, str):
        return name
    chart, _, dataset = name.partition("/")
    return chart, dataset


def _columns(key: Key, table: Any) -> Columns:
    """Copy a table's columns, as the caller may go on writing into them, and check them."""
    names = list(table) if isinstance(table, Mapping) else table.columns
    columns = {name: _column(table[name]) for name in names}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"the columns of {'/'.join(key)} must have one length; they have {lengths or 'no columns'}"
        )
    for name, values in columns.items():
        if values.dtype.kind == "U" and len(set(values.tolist())) > MAX_LABELS:
            raise ValueError(
                f"column {name!r} of {'/'.join(key)} has more than {MAX_LABELS} different labels"
            )
    return columns


def _column(values: Any) -> np.ndarray:
    if not isinstance(values, np.ndarray):
        values = list(values)
        if any(isinstance(value, str) for value in values):
            return np.array(["" if value is None else str(value) for value in values])
    array = np.asarray(values)
    return array.astype(np.str_ if array.dtype.kind in "US" else np.float64)  # None becomes NaN, NaN null


def _check_name(what: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise ValueError(registry.unknown(what, name, names))


class LiveChart(anywidget.AnyWidget):
    """Charts that stay and change: ``update`` their data from any thread, ten times a second or more.

    Args:
        charts: Altair charts by name, their data ``alt.NamedData``; a name is part of a CSS class.
    """

    _esm = traitlets.Unicode().tag(sync=True)  # with Vega, which is bundled as the first one is made
    _css = assets.style("live_chart.css")
    _charts = traitlets.List(traitlets.Dict()).tag(sync=True)  # name, label, wide, Vega specification
    visible = traitlets.Instance(list, allow_none=True).tag(sync=True)  # names; None for all
    _roles = traitlets.List([list(role) for role in theme.ROLES]).tag(sync=True)  # light, dark, CSS variable

    def __init__(self, charts: Mapping[str, alt.TopLevelMixin] | None = None, **kwargs: Any) -> None:
        self._lock = threading.RLock()
        self._sources: dict[str, alt.TopLevelMixin] = {}
        self._tables: dict[Key, Columns] = {}
        self._tag: int | None = None
        super().__init__(**kwargs)
        self.set_charts(charts or {})
        self.on_msg(self._on_message)

    @traitlets.default("_esm")
    def _default_esm(self) -> str:
        return vega.module("live_chart.js")

    def set_charts(self, charts: Mapping[str, alt.TopLevelMixin], wide: Container[str] = ()) -> None:
        """Replace the charts. Views of unchanged charts stay, and so do data whose names stay.

        Args:
            charts: As for ``LiveChart``.
            wide: Names of those that take the whole width.
        """
        for name, chart in charts.items():
            if not isinstance(chart, alt.TopLevelMixin):
                raise ValueError(NOT_A_CHART.format(name, type(chart).__name__))
        views = [
            self._unchanged_view(name, chart, name in wide) or _view(name, chart, name in wide)
            for name, chart in charts.items()
        ]
        with self._lock:
            self._sources = dict(charts)
            self._tables = {key: table for key, table in self._tables.items() if key in self._datasets(views)}
            self._charts = views

    def _unchanged_view(self, name: str, chart: alt.TopLevelMixin, wide: bool) -> dict[str, Any] | None:
        """Return the view of a chart that is there already: to write one, with checks, takes 25 ms."""
        if self._sources.get(name) is not chart:
            return None
        return next((v for v in self._charts if (v["name"], v["wide"]) == (name, wide)), None)

    def show(self, names: Iterable[str] | None) -> None:
        """Show these charts and hide the others, which are not painted until they are shown again.

        None shows all. A hidden chart keeps the newest data that it is given.
        """
        self.visible = None if names is None else list(names)

    def _datasets(self, views: Iterable[dict[str, Any]]) -> set[Key]:
        return {(v["name"], d["name"]) for v in views for d in v["spec"]["data"] if "source" not in d}

    def update(self, data: Mapping[Key, Any] | Mapping[str, Any], tag: int | None = None) -> None:
        """Replace the data of some datasets; the newest wins, what isn't named stays as it is.

        Args:
            data: ``{(chart, dataset): {column: numbers or strings}}``; "chart/dataset" and DataFrames will do
                as well. NaN and None are gaps. Numbers are float32 on the page.
            tag: An integer that the page shows as ``data-tag`` of its root once these data are painted.
        """
        keys = [_key(key) for key in data]
        with self._lock:
            self._check(keys)
            tables = {key: _columns(key, table) for key, table in zip(keys, data.values(), strict=True)}
            self._tables |= tables
            self._tag = self._tag if tag is None else tag
            self._push(tables, tag)  # under the lock: the order on the wire is the order of calls

    def _check(self, keys: Iterable[Key]) -> None:
        datasets = self._datasets(self._charts)
        for chart, dataset in keys:
            _check_name("chart", chart, self._sources)
            names = sorted(name for owner, name in datasets if owner == chart)
            _check_name(f"dataset of {chart!r}", dataset, names)

    def _push(self, tables: Mapping[Key, Columns], tag: int | None = None) -> None:
        heads, buffers = [], []
        for (chart, dataset), table in tables.items():
            columns, own = encode(table)
            length = len(next(iter(table.values())))
            heads.append({"chart": chart, "dataset": dataset, "columns": columns, "length": length})
            buffers += own
        self.send({"type": "data", "tag": tag, "tables": heads}, buffers=buffers)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("type") == "ready":
            with self._lock:
                self._push(self._tables, self._tag)

    def chart(self, name: str) -> Any:
        """Return the Altair chart of this name with the data it shows now."""
        _check_name("chart", name, self._sources)
        return theme.inline(self._sources[name], self._now(name))

    def _now(self, name: str) -> dict[str, Columns]:
        with self._lock:
            return {dataset: table for (chart, dataset), table in self._tables.items() if chart == name}

    def _spec(self, name: str) -> dict[str, Any]:
        """Return the same as Vega-Lite, without Altair's validation of every row, which takes seconds."""
        tables = {dataset: theme.rows(table) for dataset, table in self._now(name).items()}
        return {**self._sources[name].to_dict(validate=False), "datasets": tables}

    def specs(self) -> dict[str, dict[str, Any]]:
        """Return the charts that are shown as Vega-Lite specifications; none where there are no data."""
        visible = [name for name in self._sources if self.visible is None or name in self.visible]
        if not any(chart in visible for chart, _ in self._tables):
            return {}
        return {name: self._spec(name) for name in visible}

    def page(self) -> dict[str, Any] | None:
        """Return the charts that are shown as one Vega-Lite specification; None where there are no data."""
        specs = self.specs()
        return combining.page(specs) if specs else None

    def save(self, name: str, path: str | Path, scale: float = 2) -> Path:
        """Write one chart with the data it shows now: .png, .svg, .pdf, .html or .json."""
        return saving.save(self.chart(name), path, scale)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a picture for readers without a kernel; the widget's own view wins where there is one."""
        bundle = super()._repr_mimebundle_(**kwargs)
        page = self.page()
        if bundle is None or page is None:
            return bundle
        version = saving.vegalite_version()
        png = vl_convert.vegalite_to_png(page, vl_version=version, scale=SNAPSHOT_SCALE)
        return {**bundle[0], "image/png": base64.b64encode(png).decode()}, bundle[1]
