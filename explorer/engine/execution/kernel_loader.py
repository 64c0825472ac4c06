"""Loads the compiled kernels where numba is there; without it, or switched off, torch does all steps."""

import importlib
import importlib.util
import os
import tempfile
from types import ModuleType

KERNELS = "explorer.engine.execution.kernel_calls"
SWITCH = "EXPLORER_COMPILED"  # an environment variable: "0" leaves all steps to torch


def available() -> bool:
    """Return whether steps may be machine code: numba is there, which a new Python may lack, and allowed."""
    return os.environ.get(SWITCH, "1") != "0" and importlib.util.find_spec("numba") is not None


def kernels() -> ModuleType:
    """Return the module that calls compiled functions; compiled at its very first use, cached on disk."""
    try:
        return importlib.import_module(KERNELS)
    except RuntimeError:  # numba can write neither beside the package nor into the user's home
        from numba.core import config  # noqa: PLC0415  it takes half a second to import

        vars(config)["CACHE_DIR"] = tempfile.mkdtemp(prefix="pruning-explorer-")
        return importlib.import_module(KERNELS)
