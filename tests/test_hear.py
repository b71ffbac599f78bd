"""The seam between clips and numbers: cache keys, bad clips, other people's parts, threads."""

import sys
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.embedding.chain import Chain
from nearfar.embedding.rows import hear
from nearfar.parts.own import user_module
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import read


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
    plain, _ = hear(clips, (chain,), Runtime())
    for _ in range(2):  # cold, then warm
        cached, _ = hear(clips, (chain,), Runtime(cache=tmp_path / "c"))
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
    from nearfar.errors import AudioError

    loud = write(tmp_path / "press" / "2.wav", np.clip(30 * read(clips[2].path), -0.99, 0.99))
    chain = Chain(nf.Near(), Fussy(AudioError))
    with pytest.raises(nf.NearfarError, match=f"{loud.name}: too loud"):
        hear(clips, (chain,), Runtime())
    heard, skipped = hear(clips, (chain,), Runtime(), skip_bad=True)
    assert [h is None for h in heard] == [False, False, True, False]
    assert len(skipped) == 1


def test_an_error_of_somebody_elses_embedder_is_one_line(clips, tmp_path):
    write(tmp_path / "press" / "0.wav", np.ones((2, 32_000)) * np.sin(np.arange(32_000)))
    with pytest.raises(nf.NearfarError, match=r"Fussy.*ZeroDivisionError.*mend the embedder"):
        hear(clips, (Chain(nf.Near(), Fussy(ZeroDivisionError)),), Runtime())


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
