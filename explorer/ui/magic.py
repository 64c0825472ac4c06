"""The magic `%explorer`: opens the explorer in a notebook."""

import altair as alt
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class

from explorer.experiment import Experiment
from explorer.ui.explorer import Explorer


@magics_class
class ExplorerMagics(Magics):
    """`%explorer` and, with changes, `%explorer lr=0.05 pruning.threshold=0.95`."""

    @line_magic
    def explorer(self, line: str) -> Explorer:
        """Open the explorer; `name=value` pairs change the Experiment that it starts from."""
        pairs = [part.partition("=") for part in line.split()]
        for name, sign, _ in pairs:
            if not sign:
                raise ValueError(f"%explorer takes name=value pairs, this is {name!r}; try lr=0.05")
        return Explorer(Experiment().replace({name: _parse(text) for name, _, text in pairs}))


def _parse(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"None": None, "True": True, "False": False}.get(text, text)


def register(shell: InteractiveShell) -> None:
    """Make `%explorer` known to a shell, and have Altair draw figures here: its default asks a CDN."""
    shell.register_magics(ExplorerMagics)
    alt.renderers.enable("svg")
