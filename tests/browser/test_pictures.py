"""The README's pictures; `EXPLORER_PICTURES=1 pytest tests/browser/test_pictures.py -m slow` renews."""

import os
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[2] / "notebooks" / "images"
STATE = ".explorer-fact-state b"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "theme"), [("light", "JupyterLab Light"), ("dark", "JupyterLab Dark")])
def test_the_explorer_after_a_run(notebook, quiet, name, theme, tmp_path):
    target = IMAGES if "EXPLORER_PICTURES" in os.environ else tmp_path
    notebook.theme(theme)
    notebook.show("import explorer as ex\nex.Explorer(ex.Experiment(pruning=ex.Pruning(threshold=0.97)))")
    notebook.locator(f"{STATE}:text-is('ready')").wait_for()
    notebook.locator(".explorer-train").click()
    notebook.locator(f"{STATE}:text-is('done')").wait_for()
    notebook.until_at_rest()
    notebook.locator(".explorer").last.screenshot(path=target / f"explorer-{name}.png")
    notebook.theme("JupyterLab Light")
    assert (target / f"explorer-{name}.png").stat().st_size > 20_000
    assert not quiet.errors
