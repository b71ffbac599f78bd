"""What a worker does with clips: what rows are kept under, and what a job finds out."""

from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import (
    Heard,
    Job,
    JobResult,
    Prepared,
    describe,
    do_job,
    open_cache,
    row_key,
)
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import digest_of
from nearfar.testing import noise
from two_step import TwoStep

STEREO, NEAR = Chain(nf.Stereo(), nf.DIF()), Chain(nf.Near(), nf.LogMel(invariant=False))
RAMP = (np.arange(-800, 800, dtype=np.float32) / 1024).reshape(2, 800)


def test_rows_lie_where_the_first_caches_have_them():
    """Digests and keys as nearfar printed them before its files moved into folders."""
    both, near = digest_of(RAMP), digest_of(RAMP[:1])
    assert both == "82710f28d6023bae4d09a995a3a8b3167de1b1b73ba4c2badc2ec3734c4528d3"
    assert near == "d64494663a57b021a44a77795b7507f681a900ee08578b9458ecd6ef59d0fc89"
    # DIF rounds otherwise since dif-2: nothing else of its key has moved.
    assert row_key(both, STEREO.key.replace("dif-2", "dif-1")).hex() == (
        "a376a46aa1c1294f190ddedf5a1a7903e6ca53ddfe232f02f3a1cfe2a8f70c8c"
    )
    assert row_key(near, NEAR.key).hex() == (
        "1072acdb2d08c7818c8bb3222f87c1c9b7b5f36862ea28f93b217a3f9a4eda0f"
    )


def test_a_clip_of_one_channel_has_nothing_to_compare():
    about = describe(RAMP[:1], "a digest")
    assert (about.seconds, about.digest, about.identical) == (0.05, "a digest", False)
    assert np.isnan([about.lr_corr, about.level]).all()


@pytest.mark.parametrize(("changed", "identical"), [(0.0, True), (1e-6, False)])
def test_channels_are_identical_to_the_last_sample_or_not(changed, identical):
    audio = np.repeat(noise(1), 2, axis=0)
    audio[1, -1] += changed
    about = describe(audio, "")
    assert about.lr_corr == pytest.approx(1)
    assert about.level == pytest.approx(0, abs=1e-3)
    assert about.identical == identical


@pytest.fixture
def clips(tmp_path):
    """Four, of which the second is silent."""
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / "press" / f"{i}.wav", machine_sound(rng) * (i != 1))
    return nf.Clips.open(tmp_path / "press")


def job(clips, *chains, runtime=None, digest=True):
    return Job(clips, chains, "near-far", runtime or Runtime(), digest)


def test_results_come_in_the_order_of_the_clips_and_failures_at_their_places(clips):
    results = do_job(job(clips, NEAR))
    assert [isinstance(r, JobResult) for r in results] == [True, False, True, True]
    assert "1.wav" in str(results[1])
    good = [r for r in results if isinstance(r, JobResult)]
    assert [r.about.rows for r in good] == [()] * 3
    assert [r.rows[0].shape for r in good] == [(128,)] * 3


def test_an_embedder_that_likes_batches_gives_the_same_rows(clips, monkeypatch):
    alone = do_job(job(clips, NEAR))
    monkeypatch.setattr(nf.LogMel, "batch", 3, raising=False)
    together = do_job(job(clips, NEAR))
    for a, b in zip(alone, together, strict=True):
        assert type(a) is type(b)
        if isinstance(a, JobResult):
            assert np.array_equal(a.rows[0], b.rows[0])


def test_a_row_is_kept_under_the_channels_that_its_chain_needs(clips, tmp_path):
    """So a system of the near channel alone finds it again."""
    runtime = Runtime(cache=tmp_path / "cache")
    first = [r for r in do_job(job(clips, STEREO, NEAR, runtime=runtime)) if hasattr(r, "rows")]
    for clip, result in zip((clips[0], clips[2], clips[3]), first, strict=True):
        audio = clip.read()
        assert result.about.digest == digest_of(audio)
        with open_cache(runtime) as cache:
            found = cache.get(row_key(digest_of(audio[:1]), NEAR.key))
            assert np.array_equal(found, result.rows[1])
            assert np.array_equal(cache.get(row_key(digest_of(audio), STEREO.key)), result.rows[0])


def test_a_row_of_another_length_is_computed_again(clips, tmp_path):
    """As of an embedder that grew and forgot to change its fingerprint."""
    runtime = Runtime(cache=tmp_path / "cache")
    key = row_key(digest_of(clips[0].read()[:1]), NEAR.key)
    with open_cache(runtime) as cache:
        cache.put([(key, np.zeros(3, np.float32))])
    (result,) = do_job(job(clips[:1], NEAR, runtime=runtime))
    assert result.rows[0].shape == (128,)
    with open_cache(runtime) as cache:
        assert np.array_equal(cache.get(key), result.rows[0])


def test_the_first_of_two_steps_is_done_here_and_nothing_is_kept_of_it(clips, tmp_path):
    runtime = Runtime(cache=tmp_path / "cache")
    chain = Chain(nf.Near(), TwoStep(size=400))
    results = [r for r in do_job(job(clips, chain, runtime=runtime)) if hasattr(r, "rows")]
    for result in results:
        (waiting,) = result.rows
        assert isinstance(waiting, Prepared)
        assert waiting.features.shape == (100,)
        with open_cache(runtime) as cache:
            assert cache.get(waiting.key) is None


def test_the_near_channels_digest_is_there_when_a_fit_asks(clips):
    """Of the near channel alone, so it is the same whatever chains hear; scoring needs none."""
    near = digest_of(clips[0].read()[:1])
    for chains in ((NEAR,), (STEREO,), (STEREO, NEAR)):
        (result,) = do_job(replace(job(clips[:1], *chains), near=True))
        assert result.about.near == near
        (result,) = do_job(job(clips[:1], *chains, digest=False))
        assert result.about.near == result.about.digest == ""
    (result,) = do_job(job(clips[:1], STEREO))
    assert result.about.near == ""


def test_heard_alone_knows_nothing():
    assert (Heard((), 1.0).digest, Heard((), 1.0).near) == ("", "")
