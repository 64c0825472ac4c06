"""Vega is bundled once for each user, and every time where there is no place to keep it."""

import pytest

from explorer.ui.widgets import vega


@pytest.fixture
def bundler(monkeypatch):
    """Count bundlings instead of doing them."""
    calls = []
    make = lambda snippet, vl_version: calls.append(vl_version) or f"/* vega */ {snippet}"  # noqa: E731
    monkeypatch.setattr(vega.vl_convert, "javascript_bundle", make)
    return calls


def test_vega_is_bundled_once_for_each_user(bundler, monkeypatch, tmp_path):
    monkeypatch.setattr(vega.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "new"))
    assert vega.bundle() == vega.bundle() == "/* vega */ explorerVega.embed = vegaEmbed;"
    assert len(bundler) == 1
    [file] = (tmp_path / "new").iterdir()
    assert vega.version("vl-convert-python") in file.name


def test_vega_without_a_writable_cache(bundler, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(vega.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "file"))
    assert vega.bundle() == vega.bundle()
    assert len(bundler) == 2
