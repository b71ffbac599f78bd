"""Limits of containers and affinity are told; what cannot be asked is one line."""

import os

import pytest

from nearfar.doctor import computer as module
from nearfar.doctor.computer import computer

QUOTA, PERIOD = "cpu__cpu_dot_cfs_quota_us", "cpu__cpu_dot_cfs_period_us"


def told(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {sign.name: sign for sign in computer(tmp_path)}


@pytest.fixture(autouse=True)
def light(monkeypatch):
    monkeypatch.setattr(module, "_devices", lambda: "CPU")
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


def test_here_everything_is_known(tmp_path):
    found = told(tmp_path)
    assert list(found) == ["processor", "cores", "BLAS", "memory", "cache", "devices"]
    assert {sign.state for sign in found.values()} == {"ok"}
    assert found["cores"].told == "16, all usable"


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ({"cpu_dot_max": "250000 100000"}, "2 of 16"),
        ({"cpu_dot_max": "max 100000"}, "16, all"),
        ({"cpu_dot_max": "50000 100000"}, "1 of 16"),
        ({QUOTA: "400000", PERIOD: "100000"}, "4 of 16"),
        ({QUOTA: "-1", PERIOD: "100000"}, "16, all"),
        ({"cpu_dot_max": "what is this"}, "16, all"),
    ],
)  # fmt: skip
def test_the_time_of_a_control_group(tmp_path, files, usable):
    assert told(tmp_path, **files)["cores"].told.startswith(usable)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 5})
    assert told(tmp_path)["cores"].told == "3 of 16 usable (affinity allows 3); say --workers 3"


def test_the_memory_of_a_container(tmp_path):
    assert "1 GB for this container" in told(tmp_path, memory_dot_max="1000000000")["memory"].told
    for unlimited in ("max", str(2**63 - 4096)):
        assert "container" not in told(tmp_path, memory_dot_max=unlimited)["memory"].told


def test_a_cache_that_cannot_be_used_is_broken(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "file" / "cache"))
    found = told(tmp_path)["cache"]
    assert (found.state, "NEARFAR_CACHE" in found.way) == ("broken", True)
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "new"))
    assert told(tmp_path)["cache"].state == "ok"
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "embeddings.sqlite").write_bytes(b"damaged" * 1000)
    found = told(tmp_path)["cache"]
    assert (found.state, found.way) == ("broken", "nearfar cache --clear")
