"""Rules that know how densely the bank lies: formulas by plain programs, and what none may see."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfar as nf
from made_banks import bank_of, plain_density, plain_distance, plain_slope, queries_of, without
from nearfar.detector.member import NormalRows, assign_folds, fit_member
from nearfar.errors import DatasetError, SettingError
from nearfar.scoring.bank import MemoryBank
from nearfar.scoring.local import LocalDensity, VarMin
from nearfar.scoring.rule import judged_beside

METRICS = ("cosine", "euclidean")
RULES = [
    LocalDensity(), LocalDensity(3, "difference"), LocalDensity(2, metric="cosine"),
    LocalDensity(50), VarMin(), VarMin(2, "euclidean"), VarMin(50),
]  # fmt: skip


def plain_score(rule, query, bank):
    """The docstrings' sentences, one row at a time."""
    distances = [plain_distance(query, row, rule.metric) for row in bank.embeddings]
    around = [plain_density(bank, i, rule.k, rule.metric) for i in range(len(bank))]
    if isinstance(rule, VarMin):
        alpha = plain_slope(bank, rule.k, rule.metric)
        return min(d - alpha * (b or 0.0) for d, b in zip(distances, around, strict=True))
    if rule.form == "difference":
        return min(d - (rho or 0.0) for d, rho in zip(distances, around, strict=True))
    known = [rho for rho in around if rho is not None]
    mean = sum(known) / len(known) if known else 0.0
    floor = [max(rho, 1e-9 * mean) if mean > 0 else 1.0 for rho in around]
    return min(d / rho for d, rho in zip(distances, floor, strict=True))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize(("clips", "rows"), [(12, 20), (20, 20), (2, 7), (3, 3), (1, 4)])
def test_the_score_is_what_the_sentence_says(rule, clips, rows):
    bank, queries = bank_of(clips, rows), queries_of()
    expected = [plain_score(rule, q, bank) for q in queries]
    np.testing.assert_allclose(rule(queries, bank), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize(("clips", "rows"), [(12, 20), (3, 9), (40, 300)])
def test_a_clip_left_out_was_never_there(rule, clips, rows):
    """Neither its rows, nor any density, nor α knows it; nor does the next query's clip matter."""
    bank = bank_of(clips, rows)
    queries = queries_of(clips + 1)
    out = np.append(np.arange(clips), -1)
    expected = [rule(q[None], without(bank, o))[0] for q, o in zip(queries, out, strict=True)]
    np.testing.assert_allclose(rule(queries, bank, leave_out=out), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_many_rows_of_one_clip_are_one_clip(rule):
    """More of them than are looked at first: what is held out is made up for by a longer look."""
    x = np.random.default_rng(3).standard_normal((40, 4))
    x[:24] = x[0] + 0.01 * np.random.default_rng(4).standard_normal((24, 4))
    origin = np.r_[np.zeros(24, np.int64), np.arange(1, 17)]
    bank = MemoryBank(x, origin, np.zeros(40, np.int8))
    for out in (-1, 0):
        got = rule(queries_of(3), bank, leave_out=np.full(3, out))
        expected = [plain_score(rule, q, without(bank, out)) for q in queries_of(3)]
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_query_scores_the_same_bits_alone(rule):
    bank, queries = bank_of(150, 300), queries_of(270)
    together = rule(queries, bank)
    alone = [float(rule(q[None], bank)[0]) for q in queries[::9]]
    assert alone == together[::9].tolist()
    assert rule(queries, bank_of(150, 300)).tolist() == together.tolist()


@given(
    st.integers(1, 6), st.integers(1, 12), st.integers(0, 5), st.sampled_from(RULES),
    st.sampled_from(["spread", "one place", "a line", "far away"]),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_any_bank_gives_numbers(clips, rows, twins, rule, how):
    """Twins of other clips, all rows equal, hardly any clips: a number, and never below no score"""
    bank = bank_of(min(clips, rows), rows, twins=min(twins, rows // 2))
    x = bank.embeddings
    x = {"spread": x, "one place": x * 0 + 1, "a line": x[:, :1] * np.ones(4), "far away": x + 1e7}
    bank = replace(bank, embeddings=x[how])
    queries = np.concatenate([queries_of(), bank.embeddings[:2], np.zeros((1, 4))])
    assert np.isfinite(rule(queries, bank)).all()
    if len(set(bank.origin.tolist())) > 1:
        out = np.arange(len(queries)) % 3 - 1
        assert np.isfinite(rule(queries, bank, leave_out=out)).all()


def test_far_from_the_origin_all_digits_are_there():
    """Rows so far out that a quick search in few digits tells none from the other."""
    bank, queries = bank_of(20, 40), queries_of()
    far = replace(bank, embeddings=bank.embeddings + 2.0**20)
    for rule in (LocalDensity(), VarMin(metric="euclidean")):
        np.testing.assert_allclose(
            rule(queries + 2.0**20, far), rule(queries, bank), rtol=1e-7, atol=1e-7
        )


def test_twins_of_other_clips_count_only_for_their_equals():
    x = np.array([[0.0], [0.0], [5.0], [7.0]])
    bank = MemoryBank(x, np.arange(4), np.zeros(4, np.int8))
    scores = LocalDensity(1)(np.array([[0.0], [1.0], [6.0]]), bank)
    assert scores.tolist() == [0.0, 2.0, 0.5]  # 1 is 4 from 5, whose nearest is at 2
    assert LocalDensity(1)(np.array([[3.0]]), replace(bank, embeddings=x * 0)).tolist() == [3.0]


def test_nothing_left_to_compare_with_is_one_line():
    bank = bank_of(1, 3)
    for rule in RULES:
        with pytest.raises(DatasetError, match="no row of another clip is left"):
            rule(queries_of(2), bank, leave_out=np.array([-1, 0]))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_verdict_names_the_nearest_row_by_distance(rule):
    bank, queries = bank_of(), queries_of()
    scores, distances, rows = judged_beside(rule, queries, bank)
    assert scores.tolist() == rule(queries, bank).tolist()
    expected, places = bank.neighbours(queries, 1, rule.metric)
    assert distances.tolist() == expected[:, 0].tolist()
    assert rows.tolist() == places[:, 0].tolist()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LocalDensity(k=0), r"LocalDensity\.k is 0"),
        (lambda: LocalDensity(k=1.0), r"LocalDensity\.k is 1\.0"),
        (lambda: LocalDensity(form="quotient"), r"LocalDensity\.form is 'quotient'"),
        (lambda: LocalDensity(metric="cosin"), r"did you mean 'cosine'"),
        (lambda: VarMin(k=True), r"VarMin\.k is True"),
        (lambda: VarMin(metric=None), r"VarMin\.metric is None"),
    ],
)
def test_impossible_settings_are_one_line(make, words):
    with pytest.raises(SettingError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


# ---- within a system


def table_of(n=14, dim=6, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    domain = (np.arange(n) >= n - 4).astype(np.int8)
    return NormalRows(x, np.arange(n), domain, np.zeros(n))


def member_of(rule, table, **changes):
    system = replace(nf.s4(), rule=rule, enrichment=(nf.PseudoTarget(),), **changes)
    folds = assign_folds(table.origin, table.domain, system.folds, 0)
    return fit_member(system, table, [{}], folds), folds


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("n", [3, 5, 14])
@pytest.mark.parametrize("kind", ["cross-fitted", "loo"])
def test_machines_of_few_clips_work(rule, n, kind):
    member, _ = member_of(rule, table_of(n), self_scores=kind)
    assert np.isfinite(member.self_scores).all()
    assert np.isfinite(rule(member.scale(table_of(4, seed=1).embeddings), member.bank)).all()


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_no_density_sees_a_clip_that_is_held_out(rule):
    """Planted: moved from one far place to another, a clip changes no self-score of its fold."""
    table = table_of()
    scores = []
    for place in (50.0, 90.0):
        x = table.embeddings.copy()
        x[3] += place
        moved = NormalRows(x, table.origin, table.domain, table.lr_corr)
        member, folds = member_of(rule, moved, whitening=None, folds=5)
        scores.append(member.self_scores)
    beside = (folds == folds[3]) & (np.arange(14) != 3)
    assert beside.any()
    np.testing.assert_array_equal(scores[0][beside], scores[1][beside])


@pytest.mark.parametrize("base", ["s4", "logmel"])
@pytest.mark.parametrize("rule", [LocalDensity(1), VarMin()], ids=repr)
def test_a_detector_of_it_is_fitted_kept_and_used(base, rule, dcase, tmp_path):
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    system = replace(getattr(nf, base)(), rule=rule)
    detector = nf.fit(system, clips)
    detector.save(tmp_path / "one")
    again = nf.load(tmp_path / "one")
    assert again.system == system
    assert again.score(clips) == detector.score(clips)
