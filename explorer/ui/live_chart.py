"""Live charts: one widget holds any number of persistent Vega views and patches their data in place.

Altair charts on named, empty datasets are compiled to Vega once. After that a tick of the display is one
message of binary columns, whatever the number of charts; the page draws the newest data it has, once a frame.
"""

import base64
import difflib
import functools
import json
import threading
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import altair as alt
import anywidget
import numpy as np
import platformdirs
import traitlets
import vl_convert
from ipywidgets import CallbackDispatcher, Widget

from explorer.figures import combining, saving, theme

HERE = Path(__file__).parent
SCRIPTS = ("threshold.js", "names.js", "keys.js", "live_chart.js")  # the last one exports
SNIPPET = "explorerVega.embed = vegaEmbed;"  # the bundle's own `vega` is null, only `vegaEmbed` works
MAX_LABELS = 256  # a column of text travels as one byte a row
SNAPSHOT_SCALE = 1.5

NOT_A_CHART = "a chart is an Altair chart on named data, such as explorer.figures.accuracy(); {!r} is {}"

Key = tuple[str, str]
Columns = dict[str, np.ndarray]


def vega() -> str:
    """Return Vega as one script, out of the user's cache or made by vl-convert (1 to 2 s, no network)."""
    name = f"vega-{vl_convert.__version__}-{saving.vegalite_version()}.js"
    path = Path(platformdirs.user_cache_dir("pruning-explorer")) / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        script = vl_convert.javascript_bundle(SNIPPET, vl_version=saving.vegalite_version())
        _keep(path, script)
        return script


def _keep(path: Path, script: str) -> None:
    """Write the cache whole or not at all; without a cache the next start is only slower."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
            file.write(script)
        Path(file.name).replace(path)
    except OSError:
        return


@functools.cache
def module() -> str:
    """Return the widget's JavaScript: Vega in its own scope, as its minified names would clash, then ours."""
    ours = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f"const explorerVega = {{}};\n(() => {{\n{vega()}\n}})();\n{ours}"


@functools.lru_cache(maxsize=128)
def compiled(spec: str) -> dict[str, Any]:
    """Compile Vega-Lite JSON to Vega; equal specifications cost once. Not to be changed by the caller."""
    return vl_convert.vegalite_to_vega(spec, vl_version=saving.vegalite_version())


def _view(name: str, chart: alt.TopLevelMixin, wide: bool) -> dict[str, Any]:
    """Describe a chart to the page: filling its column, on the page's own background, with no data."""
    spec = chart.to_dict(validate=False)  # Altair checked each part as it was made
    spec.pop("datasets", None)
    if "width" in spec:
        spec["width"] = "container"
    spec.setdefault("config", {})["background"] = "transparent"
    label = spec.get("description", name)
    return {"name": name, "label": label, "wide": wide, "spec": compiled(json.dumps(spec, sort_keys=True))}


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


def _known(what: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there is no {what} {name!r}, only {', '.join(map(repr, names)) or 'none'}{hint}")


class LiveChart(anywidget.AnyWidget):
    """Charts that stay and change: ``update`` their data from any thread, ten times a second or more.

    Args:
        charts: Altair charts by name, their data ``alt.NamedData``; a name is part of a CSS class.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = (HERE / "live_chart.css").read_text(encoding="utf-8")
    _charts = traitlets.List().tag(sync=True)
    _shown = traitlets.List(default_value=None, allow_none=True).tag(sync=True)
    _watched = traitlets.List().tag(sync=True)
    _explorer = traitlets.Unicode().tag(sync=True)  # the widget whose controls are named, by its model's id
    _roles = traitlets.List(default_value=[list(role) for role in theme.ROLES]).tag(sync=True)

    def __init__(self, charts: Mapping[str, alt.TopLevelMixin] | None = None, **kwargs: Any) -> None:
        self._lock = threading.RLock()
        self._sources: dict[str, alt.TopLevelMixin] = {}
        self._tables: dict[Key, Columns] = {}
        self._tag: int | None = None
        self._listeners = CallbackDispatcher()
        super().__init__(**kwargs)
        self.set_charts(charts or {})
        self.on_msg(self._hear)

    @traitlets.default("_esm")
    def _default_esm(self) -> str:
        return module()

    def set_charts(self, charts: Mapping[str, alt.TopLevelMixin], wide: Container[str] = ()) -> None:
        """Have these charts instead. Views of unchanged charts stay, and so do data whose names stay.

        Args:
            charts: As for ``LiveChart``.
            wide: Names of those that take the whole width.
        """
        for name, chart in charts.items():
            if not isinstance(chart, alt.TopLevelMixin):
                raise ValueError(NOT_A_CHART.format(name, type(chart).__name__))
        views = [
            self._stays(name, chart, name in wide) or _view(name, chart, name in wide)
            for name, chart in charts.items()
        ]
        with self._lock:
            self._sources = dict(charts)
            self._tables = {key: table for key, table in self._tables.items() if key in self._datasets(views)}
            self._charts = views

    def _stays(self, name: str, chart: alt.TopLevelMixin, wide: bool) -> dict[str, Any] | None:
        """The view of a chart that is there already; writing one anew, with Altair's checks, takes 25 ms."""
        if self._sources.get(name) is not chart:
            return None
        return next((v for v in self._charts if (v["name"], v["wide"]) == (name, wide)), None)

    def show(self, names: Iterable[str] | None) -> None:
        """Show these charts and hide the others, which are not painted until they are shown again.

        None shows all. A hidden chart keeps the newest data that it is given.
        """
        self._shown = None if names is None else list(names)

    def _datasets(self, views: Iterable[dict[str, Any]]) -> set[Key]:
        return {(v["name"], d["name"]) for v in views for d in v["spec"]["data"] if "source" not in d}

    def update(self, data: Mapping[Key | str, Any], tag: int | None = None) -> None:
        """Replace the data of some datasets; the newest wins, what isn't named stays as it is.

        Args:
            data: ``{(chart, dataset): {column: numbers or strings}}``; "chart/dataset" and DataFrames will do
                as well. NaN and None are gaps. Numbers are float32 on the page.
            tag: An integer that the page shows as ``data-tag`` of its root once these data are painted.
        """
        keys = [tuple(key.split("/", 1)) if isinstance(key, str) else tuple(key) for key in data]
        with self._lock:
            self._check(keys)
            tables = {key: _columns(key, table) for key, table in zip(keys, data.values(), strict=True)}
            self._tables |= tables
            self._tag = self._tag if tag is None else tag
            self._push(tables, tag)  # under the lock: the order on the wire is the order of calls

    def _check(self, keys: Iterable[Key]) -> None:
        datasets = self._datasets(self._charts)
        for chart, *dataset in keys:
            _known("chart", chart, self._sources)
            _known(f"dataset of {chart!r}", "/".join(dataset), sorted(d for c, d in datasets if c == chart))

    def _push(self, tables: Mapping[Key, Columns], tag: int | None = None) -> None:
        heads, buffers = [], []
        for (chart, dataset), table in tables.items():
            columns, own = encode(table)
            length = len(next(iter(table.values())))
            heads.append({"chart": chart, "dataset": dataset, "columns": columns, "length": length})
            buffers += own
        self.send({"type": "data", "tag": tag, "tables": heads}, buffers=buffers)

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"type": "ready"}:
                with self._lock:
                    self._push(self._tables, self._tag)
            case {"type": "grab" | "release" as what, "values": values}:
                self._listeners(what, values)

    def on_release(
        self,
        callback: Callable[[str, list[float]], Any],
        sliders: Iterable[Widget] = (),
        remove: bool = False,
    ) -> None:
        """Call ``callback`` with "grab" as the user takes hold of the threshold, "release" on letting go.

        Watched is the ``.explorer-threshold`` in the same ``.explorer`` as the charts. The callback also gets
        the values that these sliders have on the page: their own last message may come after this one.
        """
        self._watched = [slider.model_id for slider in sliders]
        self._listeners.register_callback(callback, remove=remove)

    def chart(self, name: str) -> Any:
        """Return the Altair chart of this name with the data it shows now."""
        _known("chart", name, self._sources)
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
        shown = [name for name in self._sources if self._shown is None or name in self._shown]
        if not any(chart in shown for chart, _ in self._tables):
            return {}
        return {name: self._spec(name) for name in shown}

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
