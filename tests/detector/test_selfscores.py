"""Nothing that has seen a clip judges it, also when a bank has grown."""

from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.learning.learnt import NewRows
from nearfar.detector.learning.selfscores import HeldAgain, scored
from nearfar.detector.member import Member, NormalRows, fit_member
from nearfar.detector.traces import AT, NUMBERS, Traces
from nearfar.errors import DatasetError
from nearfar.scoring.bank import MemoryBank
from nearfar.scoring.whiten import ZCA

SYSTEM = replace(nf.logmel(), rule=nf.KNN(metric="euclidean"), whitening=ZCA(), folds=3)
N, DIM = 12, 3


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def traces(n, session=""):
    return Traces(("",) * n, (session,) * n, np.zeros((n, len(NUMBERS))))


def held(system, rows, new, keep=None, session="", folds=None, known=None):
    """Self-scores of a member fitted on rows, with new ones learnt; and the member of both."""
    folds = np.arange(N) % 3 if folds is None else folds
    table = NormalRows(rows, np.arange(N), np.zeros(N, np.int8), np.zeros(N))
    member = fit_member(system, table, (), folds)
    keep = np.ones(N, bool) if keep is None else keep
    m = len(new)
    real = MemoryBank(new.astype(np.float64), N + np.arange(m), np.zeros(m, np.int8)) if m else None
    both = np.concatenate([rows[keep], new])
    origin = np.concatenate([np.arange(N)[keep], N + np.arange(m)])
    grown = Member(both, origin, np.zeros(len(both), np.int8), member.whitening, np.zeros(0))
    asked = HeldAgain(
        system,
        member,
        known or traces(N),
        keep,
        NewRows(system, real, ()),
        traces(m, session),
        grown,
    )
    return scored(asked), member, grown


def test_a_new_clip_is_judged_by_the_fit_that_never_saw_it():
    rows, new = normal(N), normal(4, 1)
    found, member, _ = held(SYSTEM, rows, new)
    z = member.scale(np.concatenate([rows, new]))
    for i in range(N, N + 4):
        others = np.delete(z, i, axis=0)
        nearest = np.sqrt(((others - z[i]) ** 2).sum(axis=1)).min()
        assert found.values[i] == pytest.approx(nearest, rel=1e-12)


def test_one_session_is_held_out_whole():
    rows, new = normal(N), normal(4, 1)
    found, member, _ = held(SYSTEM, rows, new, session="monday")
    z, theirs = member.scale(rows), member.scale(new)
    for i in range(4):
        nearest = np.sqrt(((z - theirs[i]) ** 2).sum(axis=1)).min()
        assert found.values[N + i] == pytest.approx(nearest, rel=1e-12)


def test_one_session_is_held_out_whole_also_where_the_fit_has_clips_of_it():
    rows = normal(N)
    new = rows[:1] + 1e-3  # of the day that the fit's first clip is of
    known = Traces(("",) * N, ("monday", *[""] * (N - 1)), np.zeros((N, len(NUMBERS))))
    apart, member, _ = held(SYSTEM, rows, new)
    together, *_ = held(SYSTEM, rows, new, session="monday", known=known)
    assert apart.values[0] < 0.1 * member.self_scores[0]  # it has a neighbour now
    assert together.values[0] == member.self_scores[0]
    assert apart.values[-1] < 0.1 * together.values[-1]


def test_what_is_learnt_beside_does_not_change_a_bit_of_what_was_learnt_before():
    rows, new = normal(N), normal(7, 1)
    far = new[-1:] + 1e3
    one, *_ = held(SYSTEM, rows, new)
    two, *_ = held(SYSTEM, rows, np.concatenate([new, far]))
    assert np.array_equal(two.values[:-1], one.values)


def test_a_forgotten_clip_judges_none():
    rows = normal(N)
    rows[1] = rows[0] + 1e-3  # of another fold: each other's neighbours
    with_it, *_ = held(SYSTEM, rows, normal(0))
    keep = np.arange(N) != 1
    without, *_ = held(SYSTEM, rows, normal(0), keep)
    assert len(without.values) == N - 1
    assert without.values[0] > 10 * with_it.values[0]


def test_spread_is_one_without_drift_and_rises_with_it_and_one_odd_clip_is_no_drift():
    rows = normal(N)
    assert held(SYSTEM, rows, normal(0))[0].spread == 1.0
    wide = held(SYSTEM, rows, 5 * normal(12, 2))[0].spread
    assert wide > 3
    odd = normal(9, 3)
    odd[0] *= 100
    assert held(SYSTEM, rows, odd)[0].spread < 2
    plain = replace(SYSTEM, whitening=None)
    assert np.isnan(held(plain, rows, normal(2, 1))[0].spread)


def test_where_none_is_left_to_be_held_against_that_is_said():
    keep = np.arange(N) % 3 == 0  # all of one fold
    refused(
        lambda: held(SYSTEM, normal(N), normal(0), keep),
        "all clips that would be left are of one recording or day", error=DatasetError,
    )  # fmt: skip


def test_the_columns_are_what_the_laws_read():
    assert {"seconds", "ratio_db", "near_dbfs", "lr_corr", "moment"} <= set(AT)
