"""Loads the compiled kernels where numba is there; without it, or switched off, torch does all steps."""

import atexit
import functools
import importlib
import importlib.util
import os
import pickle
import shutil
import sys
import tempfile
import warnings
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from pickle import PickleError
from types import ModuleType
from typing import Any

KERNELS = "explorer.engine.execution.kernel_calls"
COMPILED = "explorer.engine.execution.numba_kernels"
VECTORS = "explorer.engine.execution.llvm_vectors"
SWITCH = "EXPLORER_COMPILED"  # an environment variable: "0" leaves all steps to torch
DISABLED = "NUMBA_DISABLE_JIT"  # numba's own, set to debug: it compiles nothing

CHECKSUM = 32  # bytes behind each file of the cache


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
    complete = "numba" in sys.modules  # somebody else's import
    try:
        return _guarded()
    except RuntimeError:  # numba can write neither beside the package nor into the user's home
        from numba.core import config  # noqa: PLC0415  it takes half a second to import

        folder = vars(config)["CACHE_DIR"] = tempfile.mkdtemp(prefix="pruning-explorer-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return _guarded()
    except BaseException:  # numba imported by half would fail for as long as the process lasts
        for name in [] if complete else list(sys.modules):
            if name.split(".")[0] == "numba" or name in (KERNELS, COMPILED, VECTORS):
                del sys.modules[name]
        raise


class GuardedCache:
    """numba's cache of one function, where nothing that goes wrong with its files ends a training.

    A file that is damaged, by its checksum or as it is read, is compiled anew.

    Args:
        cache: numba's own.
    """

    def __init__(self, cache: Any) -> None:
        self._cache, self._file = cache, cache._cache_file
        self._dump = self._file._dump
        self._file._dump, self._file._load_data = self._dump_checked, self._load_checked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """Return what is cached; None where there is nothing, or nothing that can be used."""
        try:
            return self._cache.load_overload(*arguments)
        except Exception as error:  # noqa: BLE001  a damaged pickle may raise anything
            _warn(self._cache.cache_path, f"is damaged ({type(error).__name__}): compiling anew")
            with suppress(OSError):
                self._file.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Cache what was compiled, where there is room."""
        try:
            self._cache.save_overload(*arguments)
        except (OSError, EOFError, PickleError) as error:
            _warn(
                self._cache.cache_path,
                f"cannot be written ({error}): training goes on, each process compiles for itself; "
                "make room there, or name another folder in NUMBA_CACHE_DIR",
            )

    def _dump_checked(self, entry: Any) -> bytes:
        data: bytes = self._dump(entry)
        return data + sha256(data).digest()

    def _load_checked(self, name: str) -> Any:
        data = Path(self._file._data_path(name)).read_bytes()
        data, checksum = data[:-CHECKSUM], data[-CHECKSUM:]
        if sha256(data).digest() != checksum:
            raise EOFError("the checksum is another")
        return pickle.loads(data)  # as numba does, which wrote it


def _guarded() -> ModuleType:
    module = importlib.import_module(KERNELS)
    for function in vars(sys.modules[COMPILED]).values():
        cache = getattr(function, "_cache", None)
        if hasattr(cache, "_cache_file") and not isinstance(cache, GuardedCache):
            function._cache = GuardedCache(cache)
    return module


@functools.cache  # once a process
def _warn(folder: str, problem: str) -> None:
    warnings.warn(f"the cache of compiled code in {folder} {problem}", stacklevel=2)
