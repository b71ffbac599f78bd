"""What each band of a member says: in sum its distance, against normal clips held out."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.explanation.bands import COMPARED, bands_of, is_banded
from nearfar.detector.explanation.explanation import Explanation
from nearfar.detector.explanation.members import heed
from nearfar.detector.member import Member
from nearfar.scores.verdict import Verdict
from nearfar.scoring.rule import judged

CLIPS, BANDS, WIDE = 20, 8, 256
RULES = (nf.KNN(), nf.LocalDensity(1, metric="cosine"), nf.VarMin(4), nf.PerDomain(nf.KNN()))


def system(rule):
    return nf.System(nf.Near(), nf.Pooled(nf.YAMNet("a folder")), rule=nf.PerBand(rule))


def rows(count=CLIPS, seed=0):
    """About one direction in each band, so that distances are small and alike."""
    rng = np.random.default_rng(seed)
    return (1 + 0.1 * rng.standard_normal((count, BANDS * WIDE))).astype(np.float32)


def member(count=CLIPS, made=0):
    """Real rows, then some that were made of the first clips."""
    whole = np.concatenate([rows(count), rows(made, seed=5)])
    origin = np.concatenate([np.arange(count), np.arange(made)])
    domain = np.where(np.arange(len(whole)) % 4, 0, 1).astype(np.int8)
    return Member(whole, origin, domain, None, np.ones(count))


def odd(band):
    """A clip that is strange in one band."""
    row = rows(1, seed=9)[0]
    part = slice(band * WIDE, (band + 1) * WIDE)
    row[part] += np.random.default_rng(3).standard_normal(WIDE)
    return row


@pytest.mark.parametrize("rule", RULES)
def test_parts_sum_to_the_distance(rule):
    one = heed(system(rule), member(made=3), "ear", odd(5))
    told = bands_of(one)
    assert sum(band.part for band in told) == pytest.approx(one.distance, abs=1e-12)
    assert sum(band.share for band in told) == pytest.approx(1)
    assert [band.number for band in told] == list(range(BANDS))


@pytest.mark.parametrize("rule", RULES[:3])
@pytest.mark.parametrize("band", [0, 5])
def test_the_band_that_is_strange_is_the_farthest_above(rule, band):
    told = bands_of(heed(system(rule), member(), "ear", odd(band)))
    assert int(np.argmax([b.above for b in told])) == band
    assert int(np.argmax([b.share for b in told])) == band


@pytest.mark.parametrize("rule", RULES[:3])
def test_what_is_usual_is_the_median_of_clips_held_out(rule):
    held = member(made=3)
    told = bands_of(heed(system(rule), held, "ear", odd(2)))
    for band in told[:2]:
        part = slice(band.number * WIDE, (band.number + 1) * WIDE)
        said = []
        for clip in range(CLIPS):
            others = held.bank.where(held.bank.origin != clip)
            own = type(others)(
                np.ascontiguousarray(others.embeddings[:, part]), others.origin, others.domain
            )
            said.append(judged(rule, held.bank.embeddings[clip : clip + 1, part].copy(), own)[0])
        assert band.usual == pytest.approx(np.median(said), abs=1e-9)
        low, high = np.quantile(said, [0.25, 0.75])
        assert band.above == pytest.approx((band.distance - band.usual) / (high - low) * 1.35)


def test_of_many_clips_some_say_what_is_usual():
    count = COMPARED * 2 + 1
    told = bands_of(heed(system(nf.KNN()), member(count), "ear", odd(1)))
    assert np.isfinite([band.usual for band in told]).all()


def test_a_clip_alone_makes_nothing_usual():
    told = bands_of(heed(system(nf.KNN()), member(1), "ear", odd(1)))
    assert np.isnan([band.usual for band in told]).all()
    assert sum(band.share for band in told) == pytest.approx(1)
    assert int(np.argmax([band.share for band in told])) == 1


def test_hertz_are_those_of_the_encoder():
    told = bands_of(heed(system(nf.KNN()), member(), "ear", odd(1)))
    edges = nf.YAMNet("a folder").grid_hertz
    assert [band.band for band in told] == list(pairwise(edges))


def test_other_rules_have_no_bands():
    plain = replace(system(nf.KNN()), rule=nf.KNN())
    one = heed(plain, member(), "ear", odd(1))
    assert not is_banded(one)
    assert bands_of(one) == ()


def test_why_is_told_by_the_band_that_is_farthest_above():
    one = heed(system(nf.LocalDensity(1, metric="cosine")), member(), "ear", odd(6))
    clip = nf.Clip("a.wav", machine="fan")
    verdict = Verdict(clip, 9.0, 1.0, 1.0, "b.wav", "", 0.01)
    told = Explanation(verdict, banded="ear", bands=bands_of(one), member="ear")
    assert told.why == "the sound at 3.9–5.4 kHz is unlike that of normal clips"
    assert told.loudest_bands(1)[0].number == 6
    data = told.as_dict()
    assert data["schema"] == 1  # what was there is as it was
    assert [b["number"] for b in data["bands"]] == list(range(BANDS))
    assert {"band", "distance", "usual", "above", "share", "part", "where"} <= set(data["bands"][0])
