"""Temporal crops: where they lie, and that clips are cut alike in bank and query."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from nearfar.embedder.crops import STEP, Crops, crop
from nearfar.runtime.runtime import Runtime
from nearfar.testing import check_embedder, check_part, noise
from trained_file import TINY, make_trained


@given(
    samples=st.integers(1, 400_000),
    shortest=st.floats(0.01, 1.0),
    seed=st.integers(0, 1_000),
)
def test_a_crop_lies_inside_and_has_a_length_that_was_asked_for(samples, shortest, seed):
    start, stop = crop(samples, shortest, np.random.default_rng(seed))
    assert 0 <= start < stop <= samples
    if samples < 2 * STEP:
        assert (start, stop) == (0, samples)
        return
    assert (stop - start) % STEP == 0
    whole = samples // STEP * STEP  # the longest that is a multiple
    assert stop - start >= min(whole, round(shortest * samples))


def test_all_lengths_and_places_occur():
    """60 to 100 % of 10 s: 38 to 62 steps of 160 ms, evenly."""
    rng = np.random.default_rng(0)
    found = [crop(160_000, 0.6, rng) for _ in range(20_000)]
    steps = [(b - a) // STEP for a, b in found]
    assert set(steps) == set(range(38, 63))
    counts = np.bincount(steps)[38:]
    assert (abs(counts - 800) < 5 * np.sqrt(800)).all()
    short = [(a, b) for a, b in found if b - a == 38 * STEP]
    assert min(a for a, _ in short) < 5_000
    assert max(b for _, b in short) > 155_000


@given(
    samples=st.integers(2 * STEP, 400_000),
    shortest=st.floats(0.01, 1.0),
    seed=st.integers(0, 1_000),
)
def test_a_length_that_is_given_is_one_of_those_that_are_drawn(samples, shortest, seed):
    """All of them, evenly over 0 to 1, shortest first; the start is drawn as ever."""
    rng = np.random.default_rng(seed)
    grid = (np.arange(1_000) + 0.5) / 1_000
    lengths = []
    for place in grid:
        start, stop = crop(samples, shortest, rng, place)
        assert 0 <= start < stop <= samples
        lengths.append((stop - start) // STEP)
    drawn = {(b - a) // STEP for a, b in (crop(samples, shortest, rng) for _ in range(200))}
    assert lengths == sorted(lengths)
    assert drawn <= set(lengths) == set(range(lengths[0], lengths[-1] + 1))
    counts = np.unique(lengths, return_counts=True)[1]
    assert counts.max() - counts.min() <= 1


def test_places_depend_on_length_and_seed_only():
    part = Crops(nf.LogMel())
    assert part.places(96_000) == Crops(nf.LogMel(n_mels=3)).places(96_000)
    assert part.places(96_000) == Crops(nf.LogMel(), n=12).places(96_000)[:10]
    assert part.places(96_000) != Crops(nf.LogMel(), seed=1).places(96_000)
    assert len(set(part.places(96_000))) == 10


@pytest.mark.parametrize("inner", [nf.LogMel(), nf.EAT(str(TINY))], ids=["one step", "two steps"])
def test_the_row_is_the_mean_over_the_parts_at_length_one(inner):
    part = Crops(inner, n=4)
    sound = noise(1, 3.0)
    rows = np.concatenate([inner([sound[:, a:b]]) for a, b in part.places(sound.shape[1])])
    mean = rows.astype(float).mean(axis=0)
    np.testing.assert_allclose(part([sound])[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert part.dim == inner.dim
    assert part.channels == 1
    check_embedder(part)


def test_a_trained_encoder_inside(tmp_path):
    part = Crops(nf.EAT(str(make_trained(tmp_path / "s1.safetensors"))))
    check_part(part)
    rows = part([noise(1, 2.0), noise(1, 3.0, seed=1)])
    assert rows.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert part.training.frames is None
    assert np.array_equal(part.encode([part.prepare(noise(1, 2.0))], Runtime()), rows[:1])


def test_the_fingerprint_knows_the_cut():
    inner = nf.LogMel()
    parts = [Crops(inner), Crops(inner, n=9), Crops(inner, shortest=0.7), Crops(inner, seed=2)]
    assert len({p.fingerprint for p in parts}) == 4
    assert Crops(nf.LogMel(n_mels=3)).identity != Crops(inner).identity


@dataclass(frozen=True)
class Powers:
    """Two channels in, their powers out."""

    channels: ClassVar[int] = 2
    dim: ClassVar[int] = 2
    fingerprint: ClassVar[str] = "powers"

    def __call__(self, audios):
        return np.stack([(a**2).mean(axis=1) for a in audios]).astype(np.float32)


def test_crops_of_two_channels():
    rows = Crops(Powers())([noise(2, 2.0)])
    assert rows.shape == (1, 2)
    np.testing.assert_allclose(np.linalg.norm(rows), 1, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"n": 0}, {"n": 2.0}, {"shortest": 0}, {"shortest": 1.1}, {"seed": -1}]
)
def test_impossible_settings(settings):
    with pytest.raises(nf.NearfarError, match=rf"Crops\.{next(iter(settings))} is"):
        Crops(nf.LogMel(), **settings)
    with pytest.raises(nf.NearfarError, match=r"Crops\.embedder is 3"):
        Crops(3)


def test_ten_crops_of_many_clips_are_as_many_passes_as_they_have_lengths(monkeypatch):
    """All clips of a length are cut alike: nine lengths of 10 s, however many clips there are."""
    assert len({b - a for a, b in Crops(nf.LogMel()).places(160_000)}) == 9
    pytest.importorskip("torch")
    from nearfar.embedder.eat.weights import open_weights
    from nearfar.embedder.engines import engine

    part, passes = Crops(nf.EAT(str(TINY))), []
    made = engine(open_weights(TINY), "fp32", "cpu")
    whole = made.encoder

    def noted(mels, layer):
        passes.append(tuple(mels.shape[:2]))
        return whole(mels, layer)

    monkeypatch.setattr(made, "encoder", noted)
    clips = [noise(1, 3.0, seed=i) for i in range(5)]
    part.encode([part.prepare(clip) for clip in clips], Runtime(device="cpu", batch_size=64))
    lengths = [(b - a) // 160 for a, b in part.places(48_000)]
    assert sorted(frames for _, frames in passes) == sorted(set(lengths))
