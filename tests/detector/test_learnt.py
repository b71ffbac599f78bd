"""Clips that were learnt are a set, and bring the rows that an enrichment says."""

import numpy as np

import nearfar as nf
from nearfar.detector.learning.learnt import Learnt, LearntRows, NewRows, kept_rows
from nearfar.detector.member import Member
from nearfar.detector.section import TrainingClip
from nearfar.detector.traces import NUMBERS, Traces
from nearfar.scoring.bank import SOURCE, TARGET, MemoryBank


def learnt(digests, domain=None):
    n = len(digests)
    rows = np.array([[ord(d)] for d in digests], np.float32)
    pools = ({i: np.full((2, 1), 10 * ord(d), np.float32) for i, d in enumerate(digests)}, {})
    return Learnt(
        tuple(TrainingClip(f"{d}.wav", d) for d in digests),
        np.zeros(n, np.int8) if domain is None else np.array(domain, np.int8),
        Traces(tuple(digests), ("",) * n, np.zeros((n, len(NUMBERS)))),
        tuple(d < "c" for d in digests),
        (LearntRows(rows, pools),),
    )


def seen(some):
    rows = some.rows[0]
    return (
        [c.digest for c in some.clips], rows.embeddings.ravel().tolist(), some.fresh,
        some.traces.near, {i: rows.tolist() for i, rows in rows.pools[0].items()},
    )  # fmt: skip


def test_the_order_of_learning_is_forgotten():
    whole = learnt("abcd")
    assert seen(learnt("c").beside(learnt("ad")).beside(learnt("b"))) == seen(whole)
    assert seen(whole.chosen([3, 0]).ordered()) == seen(learnt("ad"))
    assert seen(Learnt.none([(1, 2)], trained=True).beside(whole)) == seen(whole)


def test_new_rows_have_origins_of_their_own_and_no_made_row_without_its_clip():
    member = Member(
        np.zeros((3, 1), np.float32), np.array([0, 1, 1]), np.array([0, 1, 1], np.int8), None,
        np.zeros(2),
    )  # fmt: skip
    new = NewRows.of(nf.s4(), member, learnt("ab", [SOURCE, TARGET]), 0)
    assert new.real.origin.tolist() == [2, 3]
    real = MemoryBank(np.array([[0.0], [7.0]]), np.arange(2), np.array([SOURCE, TARGET]))
    residual, moved = new.made(real)
    assert residual.origin.tolist() == [3, 3]  # of the target clip alone
    assert moved.origin.tolist() == [2]
    assert moved.embeddings.ravel().tolist() == [ord("a") + 7.0]
    (alone,) = new.made(real, np.array([True, False]))
    assert alone.origin.tolist() == [2]


def test_rows_go_with_their_clip_and_moved_ones_with_the_last_of_their_domain():
    origin, domain = np.array([0, 1, 2, 2, 0, 1]), np.array([0, 0, 1, 1, 1, 1], np.int8)
    member = Member(np.zeros((6, 1), np.float32), origin, domain, None, np.zeros(3))
    bank = MemoryBank(np.zeros((6, 1)), origin, domain)

    def stays(*keep):
        return kept_rows(member, np.array(keep, bool), bank).astype(int).tolist()

    assert stays(1, 1, 1) == [1] * 6
    assert stays(0, 1, 1) == [0, 1, 1, 1, 0, 1]
    assert stays(1, 1, 0) == [1, 1, 0, 0, 0, 0]
