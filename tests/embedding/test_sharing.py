"""Chains that prepare alike: each clip is masked and prepared once, whatever their number."""

import pickle
import weakref
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from nearfar.embedder.contract import preparation_of
from nearfar.embedder.pooling import Bands, Pooled, RelativeDeviation
from nearfar.embedding.chain import Chain
from nearfar.embedding.division import TOGETHER, waiting_bytes
from nearfar.embedding.hearing import hear
from nearfar.embedding.jobs import Job, do_job
from nearfar.embedding.rows import embed
from nearfar.embedding.sharing import Sharing
from nearfar.runtime.runtime import Runtime
from two_step import TwoStep, overlapping

ELSEWHERE = "somewhere"  # an accelerator's path
LIVE = {"bytes": 0, "most": 0, "prepared": 0, "heard": 0}


def counted(size):
    """An array of so many bytes, counted as long as it lives."""
    made = np.zeros(size, np.uint8)
    LIVE["bytes"] += size
    LIVE["prepared"] += 1
    LIVE["most"] = max(LIVE["most"], LIVE["bytes"])
    weakref.finalize(made, lambda: LIVE.update(bytes=LIVE["bytes"] - size))
    return made


@dataclass(frozen=True)
class Seed(TwoStep):
    """One of an ensemble: another encoder, the same preparation."""

    seed: int = 0

    @property
    def preparation(self):
        return f"{self.size}"

    @property
    def fingerprint(self):
        return f"seed {self.seed}"

    def prepare(self, audio):
        return counted(self.size)

    def encode(self, prepared, runtime):
        return np.full((len(prepared), 2), self.seed, np.float32)


@dataclass(frozen=True)
class Counting(nf.Near):
    """The near channel, counted."""

    def __call__(self, audio):
        LIVE["heard"] += 1
        return super().__call__(audio)


@dataclass(frozen=True)
class Other(nf.LogMel):
    """The floor under another name."""

    fingerprint: ClassVar[str] = "other"


@pytest.fixture(autouse=True)
def from_nothing():
    LIVE.update(bytes=0, most=0, prepared=0, heard=0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return overlapping(tmp_path_factory.mktemp("many") / "press.wav", 120)


def ensemble(size, seeds=4):
    return tuple(Chain(Counting(), Seed(size, seed=seed)) for seed in range(seeds))


@pytest.mark.parametrize("device", ["cpu", ELSEWHERE])
def test_four_encoders_behind_one_front_end_prepare_a_clip_once(clips, device):
    heard, _ = embed(clips[:10], ensemble(100), Runtime(device=device))
    assert (LIVE["prepared"], LIVE["heard"]) == (10, 10)
    assert [[row[0] for row in what.rows] for what in heard] == [[0, 1, 2, 3]] * 10


@pytest.mark.parametrize("seeds", [1, 4])
def test_what_waits_is_bounded_in_bytes_whatever_the_clips_and_the_encoders(clips, seeds):
    size, most = 4 << 20, []
    for count in (20, 60, 120):
        LIVE["most"] = 0
        embed(clips[:count], ensemble(size, seeds), Runtime(device=ELSEWHERE))
        most.append(LIVE["most"])
    assert max(most) <= 2 * TOGETHER + size  # a group, and the jobs on their way
    assert most[1] == most[2]
    assert LIVE["bytes"] == 0


def test_a_worker_sends_it_home_once(clips):
    (result,) = do_job(Job(clips[:1], ensemble(50_000), "near-far", Runtime(), digest=False))
    assert len({id(row.features) for row in result.rows}) == 1
    assert waiting_bytes(result) == 50_000
    sent = pickle.dumps([result])
    assert len(sent) < 60_000
    (home,) = pickle.loads(sent)
    assert waiting_bytes(home) == 50_000


def test_what_differs_is_made_by_itself(clips):
    differing = (
        Chain(Counting(), Seed(100)),
        Chain(nf.Far(), Seed(100)),  # another front end
        Chain(Counting(), Seed(104)),  # another preparation
        Chain(Counting(), TwoStep(100)),  # which says nothing of its preparation
        Chain(Counting(), replace(TwoStep(100), parts=1)),
    )
    stereo = [replace(clip, channels=None) for clip in clips[:1]]
    audio = np.repeat(stereo[0].read(), 2, axis=0)
    sharing = Sharing(differing)
    made = [sharing.prepare(chain, 0, audio[: chain.frontend.needs]) for chain in differing]
    assert len({id(some) for some in made}) == len(differing)
    assert sharing.prepare(differing[0], 0, audio[:1]) is not made[0]  # wanted once: not kept


def test_one_step_embedders_share_what_their_front_end_made(clips):
    chains = (Chain(Counting(), nf.LogMel()), Chain(Counting(), Other()))
    heard, _ = embed(clips[:3], chains, Runtime())
    assert LIVE["heard"] == 3
    alone, _ = embed(clips[:3], chains[:1], Runtime())
    assert all(np.array_equal(a.rows[0], b.rows[0]) for a, b in zip(heard, alone, strict=True))


def test_whose_preparations_are_equal():
    eat = nf.EAT("a folder")
    crops = nf.Crops(eat)
    others = (
        eat, crops, replace(eat, frames=1024), replace(crops, n=3), replace(crops, seed=1),
        replace(crops, shortest=0.5), nf.Crops(nf.LogMel()), nf.Crops(replace(eat, frames=1024)),
    )  # fmt: skip
    assert len({preparation_of(some) for some in others}) == len(others)
    # Weights, layers, pooling and precision come after it.
    encoder = replace(eat, weights="b", layer=2, pooling="cls", precision="bf16")
    assert preparation_of(encoder) == preparation_of(eat)
    assert preparation_of(nf.Crops(encoder)) == preparation_of(crops)
    # Who is silent, and who wraps one that is, shares nothing; nor who inherits the promise.
    assert preparation_of(TwoStep()) == preparation_of(nf.Crops(TwoStep())) == ""
    derived = type("Derived", (nf.EAT,), {})
    assert preparation_of(derived("a folder")) != preparation_of(eat)


# ---- one encoder's grids, pooled in several ways ---------------------------------------------

ENCODED = Counter()  # clips whose grid was made, by their sound


@dataclass(frozen=True)
class GridAtOnce:
    """An encoder of one step whose grid is the clip, cut up."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 4
    fingerprint: ClassVar[str] = "grid at once 1"
    grid_bands: ClassVar[int] = 2
    grid_dim: ClassVar[int] = 4

    def __call__(self, audios):
        return np.stack([self._cut(a).mean(axis=(0, 1)) for a in audios])

    def grids(self, audios, runtime):
        ENCODED.update(a.tobytes() for a in audios)
        return [self._cut(a) for a in audios]

    def _cut(self, audio):
        return audio[0, : audio.shape[1] // 8 * 8].reshape(-1, 2, 4)


@dataclass(frozen=True)
class GridInTwo(GridAtOnce):
    """The same in two steps."""

    fingerprint: ClassVar[str] = "grid in two 1"
    preparation: ClassVar[str] = "as it is"

    def prepare(self, audio):
        return audio

    def encode(self, prepared, runtime):
        return self(prepared)


POOLINGS = (Bands(), RelativeDeviation(4), RelativeDeviation(8))


@pytest.mark.parametrize("encoder", [GridAtOnce(), GridInTwo()], ids=["one step", "two steps"])
@pytest.mark.parametrize("cached", [False, True])
def test_an_encoder_hears_a_clip_once_for_all_poolings(encoder, cached, dcase, tmp_path):
    clips = nf.Clips.open(dcase, split="test", machines=["fan"])
    chains = [Chain(nf.Near(), Pooled(encoder, pooling)) for pooling in POOLINGS]
    alone = [hear(clips, [chain], nf.Runtime()).heard for chain in chains]
    ENCODED.clear()
    runtime = nf.Runtime(cache=tmp_path if cached else None)
    if cached:  # one of them knows the clips already
        hear(clips, chains[:1], runtime)
        ENCODED.clear()
    together = hear(clips, [*chains, Chain(nf.Near(), encoder)], runtime).heard
    assert len(ENCODED) == len(clips)
    assert set(ENCODED.values()) == {1}
    for i, (_, what) in enumerate(together):
        for place, one in enumerate(alone):
            np.testing.assert_array_equal(what.rows[place], one[i][1].rows[0])
    if cached:
        ENCODED.clear()
        hear(clips, chains, runtime)
        assert not ENCODED


@pytest.mark.parametrize("encoder", [GridAtOnce(), GridInTwo()], ids=["one step", "two steps"])
def test_other_front_ends_have_grids_of_their_own(encoder, dcase):
    clips = nf.Clips.open(dcase, split="test", machines=["fan"])
    fronts = (nf.Near(), nf.Far())
    chains = [Chain(f, Pooled(encoder, p)) for f in fronts for p in POOLINGS[:2]]
    alone = [hear(clips, [chain], nf.Runtime()).heard for chain in chains]
    ENCODED.clear()
    together = hear(clips, chains, nf.Runtime()).heard
    assert len(ENCODED) == 2 * len(clips)
    assert set(ENCODED.values()) == {1}
    for i, (_, what) in enumerate(together):
        for place, one in enumerate(alone):
            np.testing.assert_array_equal(what.rows[place], one[i][1].rows[0])
