"""What is kept of a recording at a URL is known again by what its store says of it."""

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem

from nearfar.clips import Clip
from nearfar.embedding.kept import stamp_of
from nearfar.runtime.urls import place

HALL = "memory://hall-of-stamps"


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    memory = fsspec.filesystem("memory")
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal((800, 2)), 16_000)
        memory.pipe(f"/hall-of-stamps/{name}.wav", (tmp_path / f"{name}.wav").read_bytes())
    yield memory
    memory.rm("/hall-of-stamps", recursive=True)


def clip(name="a", far=None, **span):
    return Clip(place(f"{HALL}/{name}.wav"), far=far and place(f"{HALL}/{far}.wav"), **span)


def test_it_changes_with_the_object_the_order_and_the_part(store):
    stamp = stamp_of(clip(), "near-far")
    assert stamp == stamp_of(clip(), "near-far") != ""
    others = {stamp_of(one, "near-far") for one in (clip("b"), clip(far="b"), clip(stop=0.02))}
    others.add(stamp_of(clip(), "far-near"))
    assert len({stamp} | others) == 5
    store.pipe("/hall-of-stamps/a.wav", store.cat_file("/hall-of-stamps/a.wav"))
    assert stamp_of(clip(), "near-far") not in ("", stamp)  # written again


def test_one_that_is_gone_or_whose_store_knows_no_times_has_none(store, monkeypatch):
    assert stamp_of(clip("gone"), "near-far") == stamp_of(clip(far="gone"), "near-far") == ""
    mute = {"name": "a", "size": 844, "type": "file"}
    # Neither is one that cannot be asked an error: whoever reads the recording says so.
    for told in (lambda *_, **__: mute, lambda *_, **__: 1 / 0):
        with monkeypatch.context() as patched:
            patched.setattr(MemoryFileSystem, "info", told)
            assert stamp_of(clip(), "near-far") == ""
