"""The seam between clips and numbers: cache keys, bad clips, other people's parts, threads."""

import multiprocessing
import sys
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from memory import growth
from nearfar.embedding.chain import Chain
from nearfar.embedding.division import ENCODED, FEW, TOGETHER
from nearfar.embedding.rows import embed
from nearfar.errors import AudioError
from nearfar.parts.own import user_module
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import read
from two_step import TwoStep, overlapping


@dataclass(frozen=True)
class Double:
    """An embedder that answers in double precision."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 2
    fingerprint: ClassVar[str] = "double-1"

    def __call__(self, audios):
        return np.array([[a.std(dtype=np.float64), 1 / 3] for a in audios])


@dataclass(frozen=True)
class Fussy:
    """An embedder that refuses loud clips, or fails with an error of its own."""

    error: type = field(default=nf.NearfarError)

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "fussy-1"

    def __call__(self, audios):
        if any(np.abs(a).max() > 0.9 for a in audios):
            raise self.error("too loud for me")
        return np.array([[a.std()] for a in audios], dtype=np.float32)


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / "press" / f"{i}.wav", machine_sound(rng))
    return nf.Clips.open(tmp_path / "press")


def test_a_cache_gives_back_the_same_bits(clips, tmp_path):
    chain = Chain(nf.Near(), Double())
    plain, _ = embed(clips, (chain,), Runtime())
    for _ in range(2):  # cold, then warm
        cached, _ = embed(clips, (chain,), Runtime(cache=tmp_path / "c"))
        for a, b in zip(plain, cached, strict=True):
            assert a.rows[0].dtype == b.rows[0].dtype == np.float32
            assert np.array_equal(a.rows[0], b.rows[0])


def test_the_key_tells_parts_apart(tmp_path):
    keys = set()
    for text in ("1.0", "2.0"):  # the same file, edited
        path = tmp_path / "mine.py"
        path.write_text(
            "from dataclasses import dataclass\n"
            "from typing import ClassVar\n"
            f"GAIN = {text}\n"
            "@dataclass(frozen=True)\n"
            "class Louder:\n"
            "    needs: ClassVar[int] = 1\n"
            "    channels: ClassVar[int] = 1\n"
            "    fingerprint: ClassVar[str] = 'louder-1'\n"
            "    def __call__(self, audio):\n"
            "        return GAIN * audio\n"
        )
        module = user_module(path)
        keys.add(Chain(module.Louder(), nf.LogMel()).key)
        del sys.modules[module.__name__]
    keys |= {Chain(f, e).key for f in (nf.Near(), nf.Far()) for e in (nf.LogMel(), nf.LogMel(64))}
    assert len(keys) == 6


def test_what_an_embedder_refuses_has_a_name_and_can_be_skipped(clips, tmp_path):
    loud = write(tmp_path / "press" / "2.wav", np.clip(30 * read(clips[2].path), -0.99, 0.99))
    chain = Chain(nf.Near(), Fussy(AudioError))
    with pytest.raises(nf.NearfarError, match=f"{loud.name}: too loud"):
        embed(clips, (chain,), Runtime())
    heard, skipped = embed(clips, (chain,), Runtime(), skip_bad=True)
    assert [h is None for h in heard] == [False, False, True, False]
    assert len(skipped) == 1


def test_all_that_cannot_be_used_is_named_in_one_go_and_nothing_is_embedded(tmp_path, monkeypatch):
    """Over the bounds of jobs, by what listing knew too; the first batch has none."""
    rng = np.random.default_rng(0)
    clips, wanted = [], []
    for i in range(37):
        path = tmp_path / "press" / f"{i:02d}.wav"
        bad = i in (17, 18, 36)
        write(path, machine_sound(rng, 1.1) * (not bad))
        clips.append(nf.Clip(path))
        wanted += [f"press/{i:02d}.wav: the near channel is digitally silent"] * bad
    chain = (Chain(nf.Near(), Double()),)
    with pytest.raises(AudioError) as caught:
        embed(clips, chain, Runtime())
    assert [str(w) in f for w, f in zip(wanted, caught.value.faults, strict=True)] == [True] * 3
    line = str(caught.value)
    summary = "3 of 37 clips cannot be used; leave them out with skip_bad=True"
    assert line.startswith(f"{summary}: {caught.value.faults[0]} (and 2 more like it: ")
    assert "18.wav" in line
    assert "36.wav" in line
    assert len(line) <= 500

    clips[36] = replace(clips[36], fault="press/36_near.wav: its far file is missing")
    calls = []
    monkeypatch.setattr(Double, "__call__", lambda self, audios: calls.append(audios))
    with pytest.raises(nf.NearfarError, match="3 of 37") as caught:
        embed(clips, chain, Runtime())
    assert caught.value.faults[-1] == clips[36].fault
    assert calls == []  # listing knew it: nothing is embedded in vain
    with pytest.raises(AudioError) as caught:  # one alone is what it is
        embed(clips[30:], chain, Runtime())
    assert (str(caught.value), caught.value.faults) == (clips[36].fault, ())


def test_a_fault_of_listing_keeps_its_place_among_those_left_out(clips):
    some = [clips[0], replace(clips[1], fault="note.mp3: no sound that we read"), clips[2]]
    heard, skipped = embed(some, (Chain(nf.Near(), Double()),), Runtime(), skip_bad=True)
    assert [h is None for h in heard] == [False, True, False]
    assert skipped == {1: "note.mp3: no sound that we read"}


def test_an_error_of_somebody_elses_embedder_is_one_line(clips, tmp_path):
    write(tmp_path / "press" / "0.wav", np.ones((2, 32_000)) * np.sin(np.arange(32_000)))
    with pytest.raises(nf.NearfarError, match=r"Fussy.*ZeroDivisionError.*mend the embedder"):
        embed(clips, (Chain(nf.Near(), Fussy(ZeroDivisionError)),), Runtime())


def test_every_blas_library_runs_on_one_thread():
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    with one_thread():
        threads = {
            p["filepath"]: p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"
        }
    assert threads
    assert set(threads.values()) == {1}


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path):
    for i in range(4):
        write(tmp_path / "press" / f"{i}.wav", np.zeros((2, 32_000)))
    clips = nf.Clips.open(tmp_path / "press")
    with (
        pytest.raises(nf.NearfarError, match="press: none of its clips can be used"),
        pytest.warns(),
    ):
        nf.fit(nf.s4(), clips, skip_bad=True)


# ---- two steps


def groups(heard):
    """How many clips each was encoded with, in their order: [3, 3, 3, 1] is a three and a one."""
    sizes, first = [], 0
    beside = [int(h.rows[-1][1]) for h in heard]
    while first < len(beside):
        sizes.append(beside[first])
        assert set(beside[first : first + sizes[-1]]) == {sizes[-1]}
        first += sizes[-1]
    return sizes


MEGABYTE = 1 << 20
ELSEWHERE = "somewhere"  # no CPU: an accelerator's path, which a fake encoder takes anywhere


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return overlapping(tmp_path_factory.mktemp("many") / "press.wav", 70)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("encoder", "batch", "wanted"),
    [
        (TwoStep(4), None, [ENCODED, 70 - ENCODED]),
        (TwoStep(4), 66, [66, 4]),
        (TwoStep(8 * MEGABYTE), None, [8] * 8 + [6]),  # bytes come first
        (TwoStep(8 * MEGABYTE, parts=4), 66, [8] * 8 + [6]),  # also of what is in several arrays
        (TwoStep(TOGETHER + 4), None, [1] * 70),
    ],
)  # fmt: skip
def test_what_is_encoded_together_depends_on_clips_alone(many, encoder, batch, wanted, workers):
    if workers > 1 and encoder.size > 8 * MEGABYTE:
        many = many[:8]
        wanted = wanted[:8]
    runtime = Runtime(workers=workers, device=ELSEWHERE, batch_size=batch)
    heard, _ = embed(many, (Chain(nf.Near(), encoder),), runtime)
    assert groups(heard) == wanted


def test_on_a_cpu_few_clips_are_encoded_together_whatever_they_weigh(many):
    for size, batch, wanted in ((4, None, FEW), (40 * MEGABYTE, None, FEW), (4, 7, 7)):
        chain = Chain(nf.Near(), TwoStep(size))
        heard, _ = embed(many[:14], (chain,), Runtime(workers=2, device="cpu", batch_size=batch))
        assert groups(heard) == [wanted] * (14 // wanted) + [14 % wanted] * (14 % wanted > 0)


@pytest.mark.slow
def test_rows_of_both_kinds_of_embedder_find_their_clips(many, tmp_path):
    """One step and two, bad clips between good ones, some rows in the cache, two workers."""
    silent = nf.Clip(write(tmp_path / "silent.wav", np.zeros((1, 16_000))))
    mixed = [*many[:5], silent, *many[5:9], silent, silent, *many[9:20]]
    chains = (Chain(nf.Near(), Double()), Chain(nf.Near(), TwoStep(4)))
    runtime = Runtime(workers=2, device=ELSEWHERE, cache=tmp_path / "cache")
    embed(many[3:7], chains, runtime)
    told = []
    heard, skipped = embed(
        mixed, chains, replace(runtime, progress=lambda *x: told.append(x)), skip_bad=True
    )
    assert [h is None for h in heard] == [clip is silent for clip in mixed]
    assert len(skipped) == 3
    for clip, what in zip(mixed, heard, strict=True):
        if what is not None:
            one, two = what.rows
            assert one[0] == clip.read().std(dtype=np.float64).astype(np.float32)
            assert two[0] == clip.read().std()
            assert what.seconds == 1
    assert told[0] == ("listening", 0, len(mixed))
    assert told[-1] == ("listening", len(mixed), len(mixed))
    with pytest.raises(nf.NearfarError, match=r"silent\.wav"):
        embed(mixed, chains, runtime)


def test_an_error_ends_the_workers_while_others_still_look_at_it(many, tmp_path):
    silent = nf.Clip(write(tmp_path / "silent.wav", np.zeros((1, 16_000))))
    chain = Chain(nf.Near(), TwoStep(TOGETHER // 2))  # groups of two, so that most is still to do
    with pytest.raises(nf.NearfarError, match=r"silent\.wav") as caught:
        embed([silent, *many[:30]], (chain,), Runtime(workers=2, device=ELSEWHERE))
    assert caught.tb  # holds embed's own variables
    assert not multiprocessing.active_children()


def fitting(count, folder):
    """MB by which `fit` grows, fed by two workers with clips of 4 MB when prepared."""
    return growth(
        "import scipy.linalg, scipy.special\n"
        "import nearfar as nf\n"
        "from two_step import TwoStep, overlapping\n"
        "clips = overlapping(path, count)\n"
        "system = nf.System(nf.Near(), TwoStep(), nf.KNN(metric='euclidean'))\n"
        "runtime = nf.Runtime(workers=2, device=device)\n"
        "nf.fit(system, clips[:1] + clips[-3:], nf.Runtime())\n",  # what it imports is not counted
        "nf.fit(system, clips, runtime)",
        path=str(folder / "press.wav"), count=count, device=ELSEWHERE,
    )  # fmt: skip


@pytest.mark.slow
def test_memory_of_a_fit_is_bounded_in_bytes(tmp_path):
    assert fitting(150, tmp_path) < 200  # of 600


@pytest.mark.slow
def test_memory_of_a_fit_does_not_grow_with_its_clips(tmp_path):
    assert fitting(2_000, tmp_path) < 200  # of 8,000
