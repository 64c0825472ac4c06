"""Loads the compiled kernels where numba is there; without it, or switched off, torch does all steps."""

import importlib
import importlib.util
import os
import sys
import tempfile
from types import ModuleType

KERNELS = "explorer.engine.execution.kernel_calls"
SWITCH = "EXPLORER_COMPILED"  # an environment variable: "0" leaves all steps to torch
DISABLED = "NUMBA_DISABLE_JIT"  # numba's own, set to debug: it compiles nothing


def available() -> bool:
    """Return whether steps may be machine code: numba is there, which a new Python may lack, and allowed."""
    allowed = os.environ.get(SWITCH, "1") != "0" and not _interpreted()
    return allowed and importlib.util.find_spec("numba") is not None


def _interpreted() -> bool:
    """Return whether numba is to leave functions to Python, which knows no vector instructions."""
    config = getattr(sys.modules.get("numba"), "config", None)  # importing it takes half a second
    setting = os.environ.get(DISABLED, "0").strip()
    return setting not in ("", "0") or bool(getattr(config, "DISABLE_JIT", False))


def kernels() -> ModuleType:
    """Return the module that calls compiled functions; compiled at its very first use, cached on disk."""
    try:
        return importlib.import_module(KERNELS)
    except RuntimeError:  # numba can write neither beside the package nor into the user's home
        from numba.core import config  # noqa: PLC0415  it takes half a second to import

        vars(config)["CACHE_DIR"] = tempfile.mkdtemp(prefix="pruning-explorer-")
        return importlib.import_module(KERNELS)
