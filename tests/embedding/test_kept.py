"""Log-mels kept for the next encoder: equal to the bit, read no more, mended, never in the way."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import DATA, machine_sound, write
from nearfar.embedding import kept as of_kept
from nearfar.embedding.chain import Chain
from nearfar.embedding.heard_file import as_plain
from nearfar.embedding.kept import Claims, Kept, drop_kept, folder_of
from nearfar.embedding.rows import embed
from nearfar.errors import NearfarWarning, StorageError
from nearfar.runtime.arrays import ArrayStore
from nearfar.runtime.cache import CACHE_FILE
from nearfar.runtime.runtime import Runtime
from nearfar.sound import audio
from two_step import Encoder, TwoStep

TINY = str(DATA / "eat" / "tiny")


MASK = nf.CoherenceMask()
FIRST, SECOND = Chain(MASK, Encoder()), Chain(MASK, Encoder(seed=1))


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        write(tmp_path / "press" / f"{i}.wav", machine_sound(rng, (1.0, 1.2)[i % 2]))
    return nf.Clips.open(tmp_path / "press")


@pytest.fixture
def runtime(tmp_path):
    return Runtime(cache=tmp_path / "cache", keep=True, device="cpu")


@pytest.fixture
def reads(monkeypatch):
    """Files that were read."""
    count = []
    real = audio.read_recorded
    monkeypatch.setattr(audio, "read_recorded", lambda *a, **k: count.append(a[0]) or real(*a, **k))
    return count


def heard(clips, chains, runtime):
    found, _ = embed(clips, chains, runtime)
    return found


def same(some, others):
    """Everything, rows by their bits."""
    for a, b in zip(some, others, strict=True):
        assert [r.tobytes() for r in a.rows] == [r.tobytes() for r in b.rows]
        for x, y in (a, b), (b, a):
            assert repr(plain(x)) == repr(plain(y))


def plain(what):
    return as_plain(replace(what, rows=()))


def test_the_next_encoder_reads_nothing_and_hears_the_same_bits(clips, runtime, reads):
    same(heard(clips, (FIRST,), runtime), heard(clips, (FIRST,), Runtime()))
    alone = heard(clips, (SECOND,), Runtime())
    del reads[:]
    same(heard(clips, (SECOND,), runtime), alone)
    assert reads == []


def test_encoders_of_the_real_kind_agree_to_the_bit(clips, runtime, reads):
    pytest.importorskip("torch")
    crops = nf.Crops(nf.EAT(TINY), n=3)
    first, second = Chain(MASK, crops), Chain(MASK, replace(crops, embedder=nf.EAT(TINY, "cls")))
    for chain in (first, second):
        same(heard(clips, (chain,), runtime), heard(clips, (chain,), replace(runtime, cache=None)))
    del reads[:]
    for chain in (Chain(MASK, replace(crops, embedder=nf.EAT(TINY, layer=1))), first, second):
        heard(clips, (chain,), runtime)
    assert reads == []


def test_another_front_end_and_another_preparation_are_others(clips, runtime, reads):
    heard(clips, (FIRST,), runtime)
    for chain in (Chain(nf.Far(), Encoder()), Chain(MASK, TwoStep(40)), Chain(MASK, nf.LogMel())):
        del reads[:]
        same(heard(clips, (chain,), runtime), heard(clips, (chain,), Runtime()))
        assert len(reads) == 2 * len(clips)
    assert folder_of(Path("c"), FIRST) == folder_of(Path("c"), SECOND)
    others = [folder_of(Path("c"), c) for c in (FIRST, Chain(nf.Near(), Encoder()))]
    assert len(set(others)) == 2
    with pytest.raises(StorageError, match="does not say how it prepares"):
        folder_of(Path("c"), Chain(MASK, TwoStep(40)))


def test_near_alone_and_both_channels_find_the_right_sound(clips, runtime, reads):
    near = Chain(nf.Near(), Encoder())
    both = (near, Chain(nf.Stereo(), nf.DIF()))
    wanted = heard(clips, both, Runtime())
    for _ in range(2):
        same(heard(clips, both, runtime), wanted)
    same(heard(clips, (near,), runtime), heard(clips, (near,), Runtime()))
    del reads[:]
    later = (Chain(nf.Near(), Encoder(seed=1)), both[1])
    heard(clips, later, runtime)  # by near's own digest, which every note has
    heard(clips, (later[0],), runtime)
    assert reads == []


@pytest.mark.parametrize("damage", ["array", "note", "about", "gone", "cut"])
def test_what_is_damaged_is_made_anew(clips, runtime, damage, reads):
    wanted = heard(clips, (FIRST,), runtime)
    folder = folder_of(runtime.cache, FIRST)
    place = folder.parent / "heard" if damage == "about" else folder
    pattern = "*.note" if damage in ("note", "about") else "*.npy"
    hurt = sorted(place.glob(pattern))[:2]
    for path in hurt:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content[:-20] if damage == "cut" else content)
        os.utime(path, ns=(0, 10**18))
        if damage == "gone":
            path.unlink()
    (runtime.cache / CACHE_FILE).unlink()  # rows, which would need none of it
    del reads[:]
    same(heard(clips, (FIRST,), runtime), wanted)
    assert len(reads) == 2
    (runtime.cache / CACHE_FILE).unlink()
    same(heard(clips, (FIRST,), runtime), wanted)
    assert len(reads) == 2  # mended


def test_a_file_that_changed_is_read_again(clips, runtime, reads):
    heard(clips, (FIRST,), runtime)
    write(clips[2].path, machine_sound(np.random.default_rng(9)))
    del reads[:]
    same(heard(clips, (SECOND,), runtime), heard(clips, (SECOND,), Runtime()))
    assert reads.count(clips[2].path) == 2
    assert len(reads) == 1 + len(clips)


def test_a_clip_that_is_refused_is_refused_again(clips, runtime):
    write(clips[1].path, np.zeros((2, 16_000)))
    for _ in range(2):
        with pytest.raises(nf.NearfarError, match="digitally silent"):
            embed(clips, (FIRST,), runtime)


def by_python(line):
    """As a person's own part may."""
    warnings.warn(line, NearfarWarning, stacklevel=1)


@pytest.mark.parametrize("say", [of_kept.warn, by_python])
def test_what_is_said_of_a_clip_is_said_each_time(clips, runtime, monkeypatch, say):
    def telling(self, audio):
        say("a clip was cut")
        return audio[:1]

    monkeypatch.setattr(nf.Far, "__call__", telling)
    chain = Chain(nf.Far(), Encoder())
    for seed in range(3):
        with pytest.warns(NearfarWarning, match="a clip was cut"):
            heard(clips, (replace(chain, embedder=Encoder(seed=seed)),), runtime)


def test_a_full_disk_costs_a_warning_and_no_result(clips, runtime, monkeypatch):
    def full(self, digest, array):
        raise StorageError(f"{self.folder / digest}.npy: no space left on the disk; free some")

    monkeypatch.setattr(ArrayStore, "add", full)
    with pytest.warns(NearfarWarning, match="cannot be kept .*no space left on the disk"):
        found = heard(clips, (FIRST,), runtime)
    same(found, heard(clips, (FIRST,), Runtime()))


def test_dropped_it_is_gone_and_nothing_else_is(clips, runtime, tmp_path):
    heard(clips, (FIRST,), runtime)
    folder = folder_of(runtime.cache, FIRST)
    assert folder.is_dir()
    drop_kept(folder)
    drop_kept(tmp_path / "press")
    assert not folder.exists()
    assert len(clips) == len(list((tmp_path / "press").iterdir()))
    heard(clips, (SECOND,), runtime)
    assert folder.is_dir()


def test_gone_while_it_waits_is_one_line(tmp_path):
    kept = Kept(tmp_path / "gone" / "prepared-1", "a", 3, (2, 1))
    with pytest.raises(StorageError, match="do not empty the cache while it is in use"):
        kept.read()
    assert not list(tmp_path.iterdir())  # to look makes no folder


def test_what_another_process_wants_is_not_dropped(clips, runtime):
    """Each has locks of its own, as two objects here have."""
    heard(clips, (FIRST,), runtime)
    folder = folder_of(runtime.cache, FIRST)
    others = set(folder.parent.iterdir())
    with Claims() as one:
        with Claims() as other:
            for claims in (one, other, one):
                claims.hold(folder)
            one.drop(folder)
            assert folder.is_dir()
            one.hold(folder)
        one.hold(folder)
        one.drop(folder)
        assert not folder.exists()
    assert set(folder.parent.iterdir()) == others - {folder}


def test_a_killed_process_wants_nothing(clips, runtime):
    heard(clips, (FIRST,), runtime)
    folder = folder_of(runtime.cache, FIRST)
    killed, living = Claims(), Claims()
    killed.hold(folder)
    for _, handle in killed._held.values():
        os.close(handle)  # as the system does at its end
    with living:
        living.drop(folder)
    assert not folder.exists()
    assert not list(folder.parent.glob(f"{folder.name}*"))


def test_a_clip_that_listing_refuses_now_is_not_taken_from_what_is_kept(clips, runtime):
    heard(clips, (FIRST,), runtime)
    listed = [replace(clips[0], fault=f"{clips[0].name}: listed as broken"), *clips[1:]]
    for cache in (runtime, Runtime(cache=runtime.cache)):
        found, left_out = embed(listed, (FIRST,), cache, skip_bad=True)
        assert found[0] is None
        assert list(left_out) == [0]


def test_without_a_cache_nothing_is_kept(clips, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    heard(clips, (FIRST,), Runtime(keep=True))
    assert before == sorted(tmp_path.rglob("*"))


@pytest.mark.slow
def test_workers_keep_what_a_process_alone_keeps(clips, tmp_path):
    kept, wanted = [], heard(clips, (FIRST,), Runtime())
    for workers in (1, 2):
        runtime = Runtime(workers, tmp_path / str(workers), device="somewhere", keep=True)
        for _ in range(2):
            same(heard(clips, (FIRST,), runtime), wanted)
            (runtime.cache / CACHE_FILE).unlink()
        folder = folder_of(runtime.cache, FIRST)
        kept.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert kept[0] == kept[1]
    assert len(kept[0]) == 2 * len(clips)
