"""What only a fit can change is told, with how far it is, and when a refit is better."""

import math
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.learning.drift import FEWEST, MORE, WIDER, Drift, alarms_of, drift_of
from nearfar.detector.member import Member
from nearfar.detector.section import Judge, Section, TrainingClip
from nearfar.scoring.calibrate import AlarmRate
from nearfar.scoring.whiten import ZCA, Whitening

PLAIN = replace(nf.logmel(), whitening=ZCA())


def section(system, domain=(0, 0, 0, 0), made=(), **facts):
    n = len(domain)
    known = {"fit_clips": 3.0, "learnt": 1.0, "forgotten": 0.0, "fit_lr_corr": 0.5, "lr_corr": 0.5,
             "spread_now": 1.0} | facts  # fmt: skip
    origin = np.array([*range(n), *(place for place, _ in made)])
    of = np.array([*domain, *(d for _, d in made)], np.int8)
    rows = np.zeros((len(of), 128), np.float32)
    whitening = Whitening(np.zeros(128), np.eye(128)) if system.whitening else None
    member = Member(rows, origin, of, whitening, np.zeros(n), known)
    return Section((member,), tuple(TrainingClip(str(i), "") for i in range(n)), None, 1.0)


def reasons(system, **given):
    return drift_of(system, section(system, **given)).reasons


def test_a_fit_that_learnt_nothing_has_no_drift():
    plain = section(PLAIN)
    member = replace(plain.members[0], facts={"rows": 4.0})
    assert drift_of(PLAIN, replace(plain, members=(member,))) is None


@pytest.mark.parametrize(
    ("system", "fixed"),
    [
        (nf.logmel(), ()),
        (PLAIN, ("whitening",)),
        (nf.s4(), ("whitening", "tier", "the shift of source rows")),
        (replace(nf.logmel(), adaptation=nf.MeanShift()), ("adaptation",)),
    ],
)
def test_what_is_fixed_is_named(system, fixed):
    found = drift_of(system, section(system))
    assert found.fixed == fixed
    assert found.told.startswith("nothing but" if not fixed else fixed[0])


def test_a_refit_is_advised_from_the_measured_borders_on():
    many = {"fit_clips": 30.0, "learnt": float(FEWEST)}
    assert not reasons(PLAIN, spread_now=WIDER, **many)
    (wide,) = reasons(PLAIN, spread_now=2 * WIDER, **many)
    assert "times as wide" in wide
    assert not reasons(PLAIN, learnt=math.ceil(3 * MORE) - 1.0)
    (more,) = reasons(PLAIN, learnt=3 * MORE - 1, forgotten=1.0)
    assert "learnt or forgotten since, fitted on 3" in more
    assert not reasons(nf.logmel(), learnt=300.0)  # which fits nothing that more clips improve


def test_one_odd_clip_is_no_advice():
    """One learnt beside forty made the spread 26, and a refit was advised."""
    few = section(PLAIN, fit_clips=40.0, learnt=FEWEST - 1.0, spread_now=26.0)
    drift = drift_of(PLAIN, few)
    assert not drift.reasons
    assert "26.00 times as wide (7 clips learnt, of fewer than 8 no advice)" in drift.told


def test_another_tier_is_told():
    (tier,) = reasons(nf.s4(), fit_lr_corr=0.61, lr_corr=0.59)
    assert tier.startswith("LR_corr 0.61 then, 0.59 now, is another tier")
    assert not reasons(nf.s4(), fit_lr_corr=0.59, lr_corr=0.31)


def test_first_target_clips_are_told():
    (first,) = reasons(nf.s4(), domain=(0, 0, 0, 1))
    assert "no target clips" in first
    assert not reasons(nf.s4(), domain=(0, 0, 0, 1), made=[(0, 1), (1, 1), (2, 1)])


def test_clips_learnt_that_stay_above_the_threshold_are_counted():
    """Ten learnt beside twenty: the threshold keeps its rate for all, and not for these."""
    system, n, m = nf.logmel(), 20, 10
    scores = np.concatenate([np.linspace(1, 2, n), np.linspace(1.5, 9, m)])
    facts = {"fit_clips": 20.0, "learnt": 10.0, "forgotten": 0.0}
    rows = np.zeros((n + m, 128), np.float32)
    member = Member(rows, np.arange(n + m), np.zeros(n + m, np.int8), None, scores, facts)
    clips = tuple(TrainingClip(str(i), "") for i in range(n + m))
    grown = Section((member,), clips, None, 1.0)
    judge = Judge(system, (system.chain,), grown, false_alarm_rate=0.2)
    alarms = alarms_of(judge)
    assert (alarms.above, alarms.clips) == (5, 10)  # 5 of 30 may be, and all of them are these
    (why,) = drift_of(system, grown, alarms, 0.2).reasons
    assert why.startswith("5 of 10 clips learnt are above the threshold, each held out")
    assert "5 of those learnt are above" in drift_of(system, grown, alarms, 0.2).since
    assert not drift_of(system, grown, AlarmRate(2, 10), 0.2).reasons
    assert not drift_of(system, grown, AlarmRate(3, 3), 0.2).reasons  # too few to say so
    assert alarms_of(Judge(system, (system.chain,), section(system, learnt=0.0), 0.5)) is None


def test_in_words():
    drift = Drift(20, 3, 1, math.nan, (0.4, 0.4), None, ("adaptation",), ())
    assert drift.told == "adaptation is as fitted"
    assert replace(drift, reasons=("a", "b")).told == "fit again when you can: a; b"
