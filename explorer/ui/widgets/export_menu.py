"""Export menu: a button whose menu writes the run and its figures as files, and offers them for download."""

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anywidget
import traitlets

from explorer import figures
from explorer.engine.training.run import WRITERS, Run
from explorer.figures import saving
from explorer.figures.provenance import usermeta
from explorer.ui.session.session import Session
from explorer.ui.widgets import assets

FOLDER = "explorer-exports"  # beside the notebook

# Every string that a person reads here.
BUTTON, TIP = "Export", "Save figures, tables, the network or the recipe as files"
FIGURES = {"png": "PNG", "svg": "SVG", "pdf": "PDF", "html": "HTML", "json": "Vega-Lite"}
MENU = (
    ("shown", "This tab", FIGURES),
    ("overview", "All figures", FIGURES),
    ("data", "Tables (CSV)", {"history": "History", "histograms": "Histograms", "events": "Events"}),
    ("model", "Network", {"safetensors": "safetensors, with masks"}),
    ("experiment", "Recipe", {"json": "JSON", "py": "Python"}),
    ("run", "All of the run", {"zip": "Folder"}),
)
WORDS = {
    "button": BUTTON,
    "tip": TIP,
    "note": f"Files go to the folder {FOLDER}. Figures and networks hold the recipe that made them.",
    "busy": "Writing …",
    "failed": "It could not be written.",
    "download": "Download",
}
NOTHING_SHOWN = "this tab has no charts to export; choose another tab, or all figures"

TabFigure = Callable[[], tuple[str, dict[str, Any] | None]]


class ExportMenu(anywidget.AnyWidget):
    """The button and its menu.

    Args:
        session: Returns the session, which changes with the device.
        figure: Returns the name of the tab that is shown, and its charts as one Vega-Lite specification.
        tell: Puts an error into the error box, or None to empty it.
        beside: Returns the charts that an overview has beside those of the run's record.
    """

    _esm = assets.script("export_menu.js")
    _css = assets.style("export_menu.css")
    menu = traitlets.List(traitlets.List()).tag(sync=True)  # what, title and [kind, name] of each entry
    words = traitlets.Dict(WORDS).tag(sync=True)  # what a person reads there

    def __init__(
        self,
        session: Callable[[], Session],
        figure: TabFigure,
        tell: Callable[[Exception | None], None],
        beside: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._session, self._figure, self._tell, self._beside = session, figure, tell, beside
        super().__init__(menu=[[what, title, list(kinds.items())] for what, title, kinds in MENU])
        self.add_class("explorer-exporting")
        self.on_msg(self._on_message)

    def write(self, what: str, kind: str, folder: str | Path = FOLDER) -> Path:
        """Write one entry of the menu, such as ("shown", "png") or ("data", "history"); return its path."""
        run = self._session().run
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        start = f"{run.experiment.hash}-"
        match what:
            case "shown" | "overview":
                name, spec = self._figure() if what == "shown" else (what, self._overview(run))
                if spec is None:
                    raise ValueError(NOTHING_SHOWN)
                signed = {**spec, "usermeta": usermeta([run.provenance])}
                return saving.write(signed, folder / f"{start}{name}.{kind}")
            case "run":
                return run.save(folder / run.experiment.hash)
        inside = f"{kind}.csv" if what == "data" else f"{what}.{kind}"
        WRITERS[inside](run, folder / f"{start}{inside}")
        return folder / f"{start}{inside}"

    def _overview(self, run: Run) -> dict[str, Any]:
        spec: dict[str, Any] = figures.overview(run, self._beside()).to_dict(validate=False)
        return spec

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        match content:
            case {"type": "export", "what": str(what), "kind": str(kind)}:
                threading.Thread(target=self._offer, args=(what, kind), name="explorer-export").start()

    def _offer(self, what: str, kind: str) -> None:
        try:
            path = self.write(what, kind)
            name, content = _download(path)
        except Exception as error:  # noqa: BLE001  whatever it is, the person at the menu must see it
            self._tell(error)
            self.send({"type": "failed"})
        else:
            self._tell(None)
            self.send({"type": "file", "name": name, "path": path.as_posix()}, buffers=[content])


def _download(path: Path) -> tuple[str, bytes]:
    """Return the name and the bytes of what a browser can save: a file as it is, a folder as one archive."""
    if path.is_file():
        return path.name, path.read_bytes()
    with TemporaryDirectory() as folder:
        archive = Path(shutil.make_archive(f"{folder}/{path.name}", "zip", path.parent, path.name))
        return archive.name, archive.read_bytes()
