"""Clips heard once for many chains: each system gets the rows it would hear alone."""

import itertools
import warnings

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import Hearing, hear
from nearfar.embedding.jobs import Heard
from nearfar.runtime.runtime import Runtime
from two_step import TwoStep

CHAINS = (
    Chain(nf.Near(), nf.LogMel(n_mels=20)),
    Chain(nf.Stereo(), nf.DIF(names=("kurtosis", "rms_ratio"))),
    Chain(nf.Far(), TwoStep(size=400)),
)
HERE = Runtime(device="cpu")


@pytest.fixture
def clips(tmp_path):
    """Four, of which the third is silent and of no use."""
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / "press" / f"{i}.wav", machine_sound(rng) * (i != 2))
    return nf.Clips.open(tmp_path / "press")


@pytest.fixture
def good(clips):
    return nf.Clips(c for c in clips if c.path.stem != "2")


def same(a: Heard, b: Heard) -> bool:
    """To the bit."""
    facts = [(h.seconds, h.digest, h.near, h.lr_corr, h.level, h.identical) for h in (a, b)]
    rows = zip(a.rows, b.rows, strict=True)
    return facts[0] == facts[1] and all(x.tobytes() == y.tobytes() for x, y in rows)


@pytest.mark.parametrize(
    "some", [s for n in (1, 2, 3) for s in itertools.permutations(range(3), n)], ids=str
)
def test_rows_of_some_chains_are_those_heard_for_them_alone(good, some):
    chains = [CHAINS[i] for i in some]
    together = hear(good, CHAINS, HERE)
    alone = hear(good, chains, HERE)
    assert alone.chains == tuple(chains)
    taken = together.of(chains)
    assert [clip for clip, _ in taken] == list(good)
    for (_, what), (_, wanted) in zip(taken, alone.heard, strict=True):
        # A digest is of the channels that are read, and of those one chain may need fewer.
        if max(c.frontend.needs for c in chains) == 2:
            assert same(what, wanted)
        else:
            assert [r.tobytes() for r in what.rows] == [r.tobytes() for r in wanted.rows]


def test_equal_chains_are_heard_once(good, monkeypatch):
    calls = []
    real = nf.LogMel.__call__
    monkeypatch.setattr(
        nf.LogMel, "__call__", lambda self, audios: calls.append(len(audios)) or real(self, audios)
    )
    again = Chain(nf.Near(), nf.LogMel(n_mels=20))
    hearing = hear(good, (CHAINS[0], again, CHAINS[1], again), HERE)
    assert sum(calls) == len(good)
    assert hearing.chains == CHAINS[:2]
    assert all(len(what.rows) == 2 for _, what in hearing.heard)
    assert [w.rows[0] is w.rows[1] for _, w in hearing.of((again, CHAINS[0]))] == [True] * 3


def test_a_chain_that_was_not_heard_is_a_bug(good):
    with pytest.raises(ValueError, match="not in tuple"):
        hear(good, CHAINS[:1], HERE).of(CHAINS[1:])


def test_a_hearing_is_not_changed_by_who_takes_from_it(good):
    hearing = hear(good, CHAINS, HERE)
    taken = hearing.of(CHAINS)
    taken.clear()
    hearing.of(CHAINS[1:])
    assert [len(what.rows) for _, what in hearing.heard] == [3, 3, 3]


def test_clips_left_out_are_named_and_the_others_stay_beside_their_rows(clips, good):
    with pytest.warns(nf.NearfarWarning, match=r"left out: .*2\.wav") as said:
        hearing = hear(clips, CHAINS[:2], HERE, skip_bad=True)
    assert len(said) == 1
    wanted = hear(good, CHAINS[:2], HERE)
    assert [clip.path.stem for clip, _ in hearing.heard] == ["0", "1", "3"]
    assert all(map(same, *([what for _, what in h.heard] for h in (hearing, wanted))))


def test_who_tells_of_clips_left_out_gets_their_places(clips):
    with warnings.catch_warnings():
        warnings.simplefilter("error", nf.NearfarWarning)
        hearing = hear(clips, CHAINS[:1], HERE, skip_bad=True, tell=False)
    assert {place: "digitally silent" in why for place, why in hearing.left_out.items()} == {
        2: True
    }
    assert hear(clips[:2], CHAINS[:1], HERE).left_out == {}


def test_a_clip_that_cannot_be_used_stops_the_work_unless_it_may_be_left_out(clips):
    with pytest.raises(nf.NearfarError, match=r"2\.wav"):
        hear(clips, CHAINS[:1], HERE)


def test_digests_are_made_where_they_are_wanted(good):
    assert all(len(w.digest) == 64 for _, w in hear(good, CHAINS[:1], HERE).heard)
    assert all(w.digest == "" for _, w in hear(good, CHAINS[:1], HERE, digest=False).heard)


def test_nothing_heard_gives_nothing():
    assert Hearing(CHAINS, ()).of(CHAINS[:1]) == []
    assert hear((), CHAINS, HERE).heard == ()
