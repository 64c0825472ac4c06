"""numba's cache on disk: whatever happens to it, training goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CALL = """
import numpy as np
from explorer.engine.execution import kernel_loader
nonzero = kernel_loader.kernels().numba_kernels.nonzero
{before}
nonzero(np.eye(3, dtype=np.uint8))
print(sum(nonzero.stats.cache_hits.values()), kernel_loader.__name__)
"""


def call(folder, before=""):
    result = subprocess.run(
        [sys.executable, "-c", CALL.format(before=before)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
    )
    return int(result.stdout.split()[0]), result.stderr


def truncate(data):
    return data[: len(data) // 2]


def empty(data):
    return data[:0]


def flip(data):
    return data[:-200] + bytes([data[-200] ^ 1]) + data[-199:]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder that a first process has filled and a second one has read."""
    folder = tmp_path_factory.mktemp("cache")
    assert call(folder) == (0, "")
    assert call(folder) == (1, "")
    return folder


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("nbc", flip),
        ("nbi", truncate),
        pytest.param("nbc", truncate, marks=pytest.mark.slow),
        pytest.param("nbc", empty, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_file_is_compiled_anew(cache, kind, damage):
    files = list(cache.rglob(f"*.nonzero*.{kind}"))
    assert files
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    hits, text = call(cache)
    assert hits == 0
    assert str(cache) in text
    assert call(cache) == (1, "")


def test_without_room_it_is_compiled_for_this_process(tmp_path):
    full = """
import builtins, errno
from numba.core import caching
def dump(self, *arguments): raise OSError(errno.ENOSPC, "No space left on device")
caching.IndexDataCacheFile._save_index = dump
"""
    hits, text = call(tmp_path, full)
    assert hits == 0
    assert "No space left" in text
    assert str(tmp_path) in text
    assert text.count("UserWarning") == 1


def test_a_folder_of_its_own_is_removed_at_the_end():
    code = """
from numba.core import caching
for name in ("InTreeCacheLocator", "InTreeCacheLocatorFsAgnostic", "UserWideCacheLocator"):
    getattr(caching, name).from_function = classmethod(lambda cls, function, file: None)
from explorer.engine.execution import kernel_loader
kernel_loader.kernels()
from numba.core import config
print(config.CACHE_DIR)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pruning-explorer-" in run.stdout
    assert not Path(run.stdout.strip()).exists()
