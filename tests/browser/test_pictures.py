"""The README's pictures; `EXPLORER_PICTURES=1 pytest tests/browser/test_pictures.py -m slow -n0` renews."""

import os
from pathlib import Path

import pytest
from at_the_page import choose, press, until_state

IMAGES = Path(__file__).parents[2] / "notebooks" / "images"
CODE = "import explorer as ex\ne = ex.Explorer(ex.Experiment(pruning=ex.Pruning(threshold=0.97)))\ne"
# of each tab what shows that its own content has come
TABS = {
    "weights": ".explorer-chart-weights-fc2 canvas.marks",
    "masks": ".explorer-panel-masks",
    "tradeoff": ".explorer-chart-tradeoff canvas.marks",
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "theme"), [("light", "JupyterLab Light"), ("dark", "JupyterLab Dark")])
def test_the_explorer_after_a_run(notebook, quiet, name, theme, tmp_path):
    target = IMAGES if "EXPLORER_PICTURES" in os.environ else tmp_path
    notebook.theme(theme)
    notebook.show(CODE)
    until_state(notebook, "ready")
    press(notebook, "train")
    until_state(notebook, "done")
    notebook.until_at_rest()
    shown = notebook.locator(".explorer").last
    shown.screenshot(path=target / f"explorer-{name}.png")
    for tab, content in TABS.items():
        choose(notebook, tab)
        notebook.locator(content).first.wait_for()
        if tab == "tradeoff":
            notebook.until_kernel("len(e._chart._now('tradeoff').get('curve', {}).get('accuracy', ())) >= 64")
        notebook.until_at_rest()
        shown.screenshot(path=target / f"{tab}-{name}.png")
    notebook.theme("JupyterLab Light")
    for picture in ("explorer", *TABS):
        assert (target / f"{picture}-{name}.png").stat().st_size > 20_000
    assert not quiet.errors
