"""Settings of a computation: the cache's place, bad numbers of workers."""

from pathlib import Path

import pytest

from nearfar.errors import SettingError
from nearfar.runtime import cache as cache_module
from nearfar.runtime.cache import default_cache
from nearfar.runtime.runtime import Runtime


def test_runtime_takes_a_text_for_the_cache():
    assert Runtime(cache="somewhere").cache == Path("somewhere")
    assert Runtime().cache is None
    assert Runtime(workers=2) == Runtime(2)


@pytest.mark.parametrize("bad", [0, -1, True, 1.0, "2", None, 1025, 10**20, 10**400])
def test_bad_workers(bad):
    with pytest.raises(SettingError, match=r"workers is .*from 1 to 1024") as caught:
        Runtime(workers=bad)
    assert len(str(caught.value)) <= 500


def test_default_cache(monkeypatch, tmp_path):
    for name in ("NEARFAR_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_cache() == tmp_path / ".cache" / "nearfar"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "nearfar"
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"


def test_a_user_without_a_home(monkeypatch):
    """Containers that run under a number instead of a name have none."""

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("NEARFAR_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(SettingError, match="set NEARFAR_CACHE"):
        default_cache()


def test_nothing_waits_longer_than_it_must():
    assert 0 < cache_module.PATIENCE <= 60
