"""Vega: its JavaScript for the page without a CDN, and Vega-Lite compiled to it once."""

import functools
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import platformdirs
import vl_convert

from explorer.figures import saving
from explorer.ui.widgets import assets

SNIPPET = "explorerVega.embed = vegaEmbed;"  # the bundle's own `vega` is null, only `vegaEmbed` works


@functools.cache
def module(name: str) -> str:
    """Return a script of this folder after Vega in a scope of its own, as its minified names would clash."""
    return f"const explorerVega = {{}};\n(() => {{\n{bundle()}\n}})();\n{assets.script(name)}"


def bundle() -> str:
    """Return Vega as one script, out of the user's cache or made by vl-convert (1 to 2 s, no network)."""
    name = f"vega-{version('vl-convert-python')}-{saving.vegalite_version()}.js"
    path = Path(platformdirs.user_cache_dir("pruning-explorer")) / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        script = vl_convert.javascript_bundle(SNIPPET, vl_version=saving.vegalite_version())
        _write_cache(path, script)
        return script


def _write_cache(path: Path, script: str) -> None:
    """Write the cache whole or not at all; without a cache the next start is only slower."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
            file.write(script)
        Path(file.name).replace(path)
    except OSError:
        return


@functools.lru_cache(maxsize=128)
def compile_spec(spec: str) -> dict[str, Any]:
    """Compile Vega-Lite JSON to Vega; equal specifications cost once. Not to be changed by the caller."""
    return vl_convert.vegalite_to_vega(spec, vl_version=saving.vegalite_version())
