"""What features add to a distance: in sum the distance, each with the right sign."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from nearfar.detector.explanation.members import heed
from nearfar.detector.explanation.movements import has_names, movements_of
from nearfar.detector.member import Member
from nearfar.embedder.dif import NAMES
from nearfar.scoring.adapt import Standardise
from nearfar.scoring.rule import judged_beside

CLIPS = 60
CHOSEN = NAMES[-12:]


def recipe(metric="euclidean", whitening=None, names=CHOSEN, **more):
    return nf.System(
        nf.Stereo(), nf.DIF(names=names), nf.KNN((1.0,), metric), whitening=whitening, **more
    )


def fitted(system, rows):
    """A member of real rows alone."""
    n = len(rows)
    rows = rows.astype(np.float32)
    adapted = system.adaptation and system.adaptation.fit(rows, np.zeros(n, np.int8))
    seen = rows if adapted is None else adapted(rows)
    whitening = system.whitening and system.whitening.fit(seen)
    origin, domain = np.arange(n), np.zeros(n, np.int8)
    return Member(rows, origin, domain, whitening, np.ones(n), adaptation=adapted)


def moved(system, rows, row):
    one = heed(system, fitted(system, rows), "features", row.astype(np.float32))
    return movements_of(one)


def rows_of(seed):
    """Correlated, in units of their own."""
    dim, clips = len(CHOSEN), CLIPS
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((clips, dim)) @ rng.standard_normal((dim, dim))
    return mixed * 10.0 ** rng.uniform(-2, 2, dim) + rng.uniform(-5, 5, dim)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("whitening", [None, nf.ZCA()], ids=["bare", "whitened"])
@pytest.mark.parametrize("adaptation", [None, Standardise()], ids=["plain", "adapted"])
@given(seed=st.integers(0, 10_000))
def test_contributions_sum_to_the_squared_distance(metric, whitening, adaptation, seed):
    system = recipe(metric, whitening, adaptation=adaptation)
    rows, row = rows_of(seed), rows_of(seed + 1)[0]
    movements, squared = moved(system, rows, row)
    member = fitted(system, rows)
    z = member.scale(row.astype(np.float32)[None])
    _, distance, _ = judged_beside(system.rule, z, member.bank)
    # A cosine distance is half of the squared one of unit vectors.
    want = 2 * distance[0] if metric == "cosine" else distance[0] ** 2
    assert squared == pytest.approx(want, rel=1e-9)
    assert sum(m.contribution for m in movements) == pytest.approx(want, rel=1e-9)
    assert min(m.contribution for m in movements) >= 0
    assert [m.contribution for m in movements] == sorted(
        (m.contribution for m in movements), reverse=True
    )
    assert sorted(m.feature for m in movements) == sorted(CHOSEN)


@pytest.mark.parametrize("place", [0, 5, 11])
@pytest.mark.parametrize("way", [-1.0, 1.0])
def test_a_feature_that_is_raised_rose_and_leads(place, way):
    rng = np.random.default_rng(3)
    spread = np.array([1e-3, 1.0, 50.0] * 4)
    rows = rng.standard_normal((CLIPS, 12)) * spread
    row = rows[7].astype(np.float32).copy()
    row[place] += way * 20 * spread[place]
    movements, _ = moved(recipe(whitening=nf.ZCA()), rows, row)
    first = movements[0]
    assert first.feature == CHOSEN[place]
    assert first.sentence == f"{first.words} {'rose' if way > 0 else 'fell'}"
    # Twenty standard deviations, drawn from 60 clips, from whichever clip is the nearest now.
    assert first.movement * way == pytest.approx(20, rel=0.35)
    assert first.usual * way == pytest.approx(20, rel=0.35)
    assert np.sign(first.adjusted) == way


def test_of_two_that_go_together_the_one_that_goes_alone_says_more():
    rng = np.random.default_rng(4)
    common = rng.standard_normal((400, 1))
    rows = np.hstack([common + 0.1 * rng.standard_normal((400, 1)) for _ in range(2)])
    together, alone = np.array([3.0, 3.0]), np.array([3.0, 0.0])
    system = recipe(whitening=nf.ZCA(shrinkage=1e-3), names=CHOSEN[:2])
    _, of_both = moved(system, rows, together)
    movements, of_one = moved(system, rows, alone)
    assert of_one > 20 * of_both
    # The other did not move, but it should have.
    stayed = next(m for m in movements if m.feature == CHOSEN[1])
    assert abs(stayed.movement) < 1.5
    assert stayed.adjusted < -5


def test_what_moved_less_than_its_like_is_told_so():
    rng = np.random.default_rng(5)
    common = rng.standard_normal((400, 1))
    rows = np.hstack([common + 0.1 * rng.standard_normal((400, 1)) for _ in range(2)])
    row = np.array([9.0, 5.0])
    movements, _ = moved(recipe(whitening=nf.ZCA(shrinkage=1e-3), names=CHOSEN[:2]), rows, row)
    said = {m.feature: m for m in movements}
    assert said[CHOSEN[1]].movement > 0
    assert said[CHOSEN[1]].adjusted < 0
    assert said[CHOSEN[1]].sentence.endswith(" rose less than what goes with it")
    assert said[CHOSEN[0]].sentence.endswith(" rose")


def test_a_constant_feature_has_a_unit_of_its_own():
    rows = rows_of(6)
    rows[:, 2] = 4.0
    row = rows[0].copy()
    row[2] = 6.0
    movements, squared = moved(recipe(), rows, row)
    there = next(m for m in movements if m.feature == CHOSEN[2])
    assert (there.movement, there.usual, there.value, there.normal) == (2.0, 2.0, 6.0, 4.0)
    assert squared == pytest.approx(4.0)


def test_features_have_names_behind_crops_too_and_spectra_have_none():
    rows = np.eye(3, 128, dtype=np.float32)
    member = Member(rows, np.arange(3), np.zeros(3, np.int8), None, np.ones(3))
    assert not has_names(heed(nf.logmel(), member, "", rows[0]))
    both = nf.System(nf.Stereo(), nf.Crops(nf.DIF(names=NAMES[:3]), n=2), nf.KNN())
    member = Member(rows[:, :3], np.arange(3), np.zeros(3, np.int8), None, np.ones(3))
    assert has_names(heed(both, member, "", rows[0, :3]))


def test_a_near_channel_that_is_louder_is_heard_as_that():
    """From the sound to the words."""
    rng = np.random.default_rng(8)
    sounds = 0.05 * rng.standard_normal((20, 2, 20_000)).astype(np.float32)
    system = recipe(whitening=nf.ZCA(), names=("rms_ratio", "kurtosis", "flatness_mean"))
    rows = system.embedder(list(sounds))
    louder = sounds[3] * np.array([[2.0], [1.0]], np.float32)
    movements, _ = moved(system, rows, system.embedder([louder])[0])
    assert movements[0].sentence == "the level of near over far rose"
    assert movements[0].value - movements[0].normal == pytest.approx(6.0, abs=0.2)  # dB
