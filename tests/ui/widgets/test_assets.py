"""What widgets send to the page: shared code, one palette, and nothing that keeps them alive."""

import gc
import re
import weakref

import pytest

from explorer.figures import theme
from explorer.ui.widgets import assets
from explorer.ui.widgets.drawing_pad import DrawingPad
from explorer.ui.widgets.experiment_text import ExperimentText
from explorer.ui.widgets.export_menu import ExportMenu
from explorer.ui.widgets.image_grid import ImageGrid
from explorer.ui.widgets.page import Page
from explorer.ui.widgets.runs_table import RunsTable
from explorer.ui.widgets.tab_bar import TabBar

EACH = {
    DrawingPad: (print, print, print),
    ExperimentText: (print,),
    ExportMenu: (print, print, print),
    ImageGrid: (),
    Page: (print,),
    RunsTable: (print,),
    TabBar: ([("live", "Live", "")],),
}


@pytest.mark.parametrize("kind", EACH, ids=lambda kind: kind.__name__)
def test_a_closed_widget_is_freed(kind):
    widget = kind(*EACH[kind])
    gone = weakref.ref(widget)
    widget.close()
    del widget
    gc.collect()
    assert gone() is None


def test_the_palette_has_the_colours_of_figures_in_both_themes():
    light, dark = assets.palette().splitlines()
    assert light.startswith(":root {")
    assert dark.startswith('body[data-jp-theme-light="false"] {')
    assert "--explorer-pruned: 0, 114, 178;" in light
    assert "--explorer-pruned: 74, 163, 223;" in dark


def test_no_style_sheet_or_script_has_a_colour_of_a_figure_by_itself():
    roles = {colour.lower() for role in theme.ROLES for colour in role[:2]}
    files = [path for path in assets.FOLDER.parent.rglob("*") if path.suffix in {".css", ".js"}]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8").lower()
        # white paper and black night are fallbacks of JupyterLab's own variables
        found = set(re.findall(r"#[0-9a-f]{6}", text)) & roles
        assert found <= {"#ffffff", "#111111"}, path.name


def test_every_variable_of_the_palette_that_a_sheet_uses_is_there():
    there = set(re.findall(r"(--explorer-[a-z-]+):", assets.palette()))
    used = set()
    for path in assets.FOLDER.glob("*.css"):
        used |= set(re.findall(r"rgba?\(var\((--explorer-[a-z-]+)", path.read_text(encoding="utf-8")))
    assert used
    assert used <= there
