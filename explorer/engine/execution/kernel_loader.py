"""Loads the compiled kernels where numba is there; without it, or switched off, torch does all steps."""

import atexit
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from types import ModuleType

KERNELS = "explorer.engine.execution.numba_kernels"
VECTORS = "explorer.engine.execution.llvm_vectors"
SWITCH = "EXPLORER_COMPILED"  # an environment variable: "0" leaves all steps to torch


def available() -> bool:
    """Return whether steps may be machine code: numba is there, which a new Python may lack, and allowed."""
    return os.environ.get(SWITCH, "1") != "0" and importlib.util.find_spec("numba") is not None


def kernels() -> ModuleType:
    """Return the module of compiled functions; compiled at its very first use, cached on disk."""
    complete = "numba" in sys.modules  # somebody else's import
    try:
        return importlib.import_module(KERNELS)
    except RuntimeError:  # numba can write neither beside the package nor into the user's home
        from numba.core import config  # noqa: PLC0415  it takes half a second to import

        folder = vars(config)["CACHE_DIR"] = tempfile.mkdtemp(prefix="pruning-explorer-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return importlib.import_module(KERNELS)
    except BaseException:  # numba imported by half would fail for as long as the process lasts
        for name in [] if complete else list(sys.modules):
            if name.split(".")[0] == "numba" or name in (KERNELS, VECTORS):
                del sys.modules[name]
        raise
