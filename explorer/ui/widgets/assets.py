"""The JavaScript and CSS that widgets send to the page, as strings that are read once.

anywidget takes a ``Path`` as well, and reloads it while one works on it. But it ties each widget to a signal
of the file's that never lets go of it: a widget that was closed is never freed, watched or not
(anywidget#929, with 0.11.0). Nor could scripts share ``dom.js`` then: the page gets a script as text, which
can't import what lies beside it here.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from explorer.figures import theme
from explorer.figures.image_sheets import FAINT, NONE

FOLDER = Path(__file__).parent
# CSS variables, by the roles that colours have in figures
COLOURS = {
    "ink": theme.INK,
    "dense": theme.DENSE,
    "pruned": theme.PRUNED,
    "removed": theme.REMOVED,
    "revived": theme.REVIVED,
    "clipped": theme.CLIPPED,
    "ochre": theme.OCHRE,
}
# How strong the grey of what is pruned is, and the smallest count above zero
STRENGTHS = {"pruned-alpha": NONE, "least-alpha": FAINT}


@cache
def script(name: str) -> str:
    """Return a script of this folder as a module, with ``dom.js`` in front of it."""
    return _read("dom.js") + _read(name)


@cache
def style(name: str) -> str:
    """Return a style sheet of this folder after the palette and ``dom.css``, which a widget needs alone."""
    return palette() + _read("dom.css") + _read(name)


@cache
def palette() -> str:
    """Return the figures' colours, light and dark, as CSS variables such as ``rgb(var(--explorer-ink))``."""
    dark = {light: dark for light, dark, _ in theme.ROLES}
    day = {name: _channels(colour) for name, colour in COLOURS.items()}
    night = {name: _channels(dark[colour]) for name, colour in COLOURS.items()}
    return _rule(":root", {**day, **STRENGTHS}) + _rule('body[data-jp-theme-light="false"]', night)


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _channels(colour: str) -> str:
    """Turn "#0072b2" into "0, 114, 178", to which a style sheet can add an alpha."""
    return ", ".join(str(value) for value in bytes.fromhex(colour[1:]))


def _rule(selector: str, values: Mapping[str, object]) -> str:
    lines = (f"--explorer-{name}: {value};" for name, value in values.items())
    return f"{selector} {{ {' '.join(lines)} }}\n"
