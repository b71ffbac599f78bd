"""Neighbours are those of brute force in float64, for one query as for many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from nearfar.errors import DatasetError, SettingError
from nearfar.scoring.bank import QUERIES, SOURCE, TARGET, MemoryBank
from nearfar.scoring.rule import KNN

METRICS = ("euclidean", "cosine")


def bank(rows, origin=None):
    n = len(rows)
    origin = np.arange(n) if origin is None else np.asarray(origin)
    return MemoryBank(np.asarray(rows, dtype=np.float64), origin, np.zeros(n, dtype=np.int8))


def brute(rows, z, k, metric):
    """(distances, rows) by extended precision where the machine has it; ties: the earlier row."""
    rows, z = np.asarray(rows, np.longdouble), np.asarray(z, np.longdouble)
    if metric == "cosine":
        rows, z = (x / np.sqrt((x**2).sum(axis=1, keepdims=True)) for x in (rows, z))
    squared = ((z[:, None] - rows[None]) ** 2).sum(axis=-1)
    distances = squared / 2 if metric == "cosine" else np.sqrt(squared)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1).astype(float), order


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "dim", "k"), [(400, 12, 3), (1000, 120, 1), (5, 3, 5), (1, 2, 1)])
def test_brute_force(n, dim, k, metric):
    rng = np.random.default_rng(n)
    rows, z = rng.standard_normal((n, dim)), rng.standard_normal((300, dim))
    distances, nearest = bank(rows).neighbours(z, k, metric)
    expected, order = brute(rows, z, k, metric)
    np.testing.assert_array_equal(nearest, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    np.testing.assert_allclose(distances, np.sort(cdist(z, rows, metric))[:, :k], rtol=1e-9)
    assert (np.diff(distances, axis=1) >= 0).all()


@given(
    n=st.integers(1, 40), dim=st.integers(1, 9), queries=st.integers(0, 12),
    seed=st.integers(0, 999), grid=st.integers(1, 4),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e8, 1e30]), data=st.data(),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_ties_go_to_the_earlier_row(n, dim, queries, seed, grid, scale, data):
    """Small whole numbers make ties by the dozen, and their squares are exact."""
    k = data.draw(st.integers(1, n))
    rng = np.random.default_rng(seed)
    rows = rng.integers(-grid, grid + 1, (n, dim))
    z = rng.integers(-grid, grid + 1, (queries, dim))
    distances, nearest = bank(rows * scale).neighbours(z * scale, k)
    squared = ((z[:, None] - rows[None]) ** 2).sum(axis=-1)
    if scale == 1.0:  # other scales round, and so may break ties
        np.testing.assert_array_equal(nearest, np.argsort(squared, axis=1, kind="stable")[:, :k])
    np.testing.assert_allclose(
        distances, scale * np.sqrt(np.sort(squared, axis=1)[:, :k]), rtol=1e-12
    )


@pytest.mark.parametrize("metric", METRICS)
def test_many_equal_rows_are_found_in_their_order(metric):
    """More ties than any fixed number of candidates."""
    rng = np.random.default_rng(0)
    row = rng.standard_normal(33)
    rows = np.concatenate([rng.standard_normal((200, 33)) + 9, np.tile(row, (50, 1))])
    z = np.concatenate([row[None], row[None] + 1e-3, rng.standard_normal((500, 33))])
    distances, nearest = bank(rows).neighbours(z, 3, metric)
    np.testing.assert_array_equal(nearest[:2], [[200, 201, 202]] * 2)
    assert distances[0] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_near_ties_are_told_apart_far_from_zero(offset):
    """Thirty rows whose distances differ by 1e-12 of themselves, or by what the offset leaves."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal((1, 16)) + offset
    directions = rng.standard_normal((30, 16))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rows = z + directions * (1 + rng.permutation(30)[:, None] * 1e-12)
    rows = np.concatenate([rows, z + 3 * rng.standard_normal((400, 16))])
    expected, order = brute(rows, z, 30, "euclidean")
    distances, nearest = bank(rows).neighbours(z, 30)
    np.testing.assert_allclose(distances, expected, rtol=4e-15)
    step = np.diff(expected[0])
    clear = step > 1e-14  # beyond the rounding of the squared sums themselves
    assert clear.sum() > 10
    assert set(nearest[0]) == set(order[0])
    if offset == 0:
        np.testing.assert_array_equal(nearest, order)


@pytest.mark.parametrize("norm", [1e8, 1e12, 1e150])
def test_huge_norms(norm):
    """‖z‖² − 2zb + ‖b‖² would be noise here: the rows lie 1e-8 of their norm apart."""
    rng = np.random.default_rng(2)
    rows = norm * (1 + 1e-8 * rng.standard_normal((300, 10)))
    z = norm * (1 + 1e-8 * rng.standard_normal((40, 10)))
    distances, nearest = bank(rows).neighbours(z, 4)
    expected, order = brute(rows, z, 4, "euclidean")
    np.testing.assert_array_equal(nearest, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


def test_zero_vectors_have_finite_distances():
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, -2.0]])
    z = np.array([[0.0, 0.0], [5.0, 0.0]])
    for metric in METRICS:
        distances, nearest = bank(rows).neighbours(z, 3, metric)
        assert np.isfinite(distances).all()
        assert nearest[0, 0] == 0
        assert distances[0, 0] == 0
    distances, nearest = bank(rows).neighbours(z, 3, "cosine")
    np.testing.assert_allclose(distances, [[0, 0.5, 0.5], [0, 0.5, 1]], atol=1e-15)
    np.testing.assert_array_equal(nearest, [[0, 1, 2], [1, 0, 2]])


def test_cosine_does_not_see_lengths_and_is_precise_near_zero():
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((50, 6))
    lengths = 10.0 ** rng.uniform(-30, 30, (50, 1))
    z = rows + 1e-7 * rng.standard_normal((50, 6))
    got, _ = bank(rows * lengths).neighbours(z, 1, "cosine")
    expected, _ = brute(rows, z, 1, "cosine")
    assert expected.max() < 1e-11  # 1 − cos itself would keep four digits
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    opposite, _ = bank(-rows[:1]).neighbours(rows[:1], 1, "cosine")
    assert opposite[0, 0] == pytest.approx(2.0, rel=1e-14)


@given(
    n=st.integers(4, 60), dim=st.integers(1, 8), seed=st.integers(0, 10**6),
    clips=st.integers(2, 9), metric=st.sampled_from(METRICS),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_leaving_out_an_origin_is_as_if_its_rows_were_not_there(n, dim, seed, clips, metric):
    rng = np.random.default_rng(seed)
    rows, origin = rng.standard_normal((n, dim)), np.sort(rng.integers(0, clips, n))
    z, leave = rng.standard_normal((20, dim)), rng.integers(-1, clips, 20)
    k = int(min((origin != o).sum() for o in leave))
    if k == 0:
        return
    k = min(k, 3)
    distances, nearest = bank(rows, origin).neighbours(z, k, metric, leave_out=leave)
    for i, o in enumerate(leave):
        rest = np.flatnonzero(origin != o)
        expected, order = brute(rows[rest], z[i : i + 1], k, metric)
        np.testing.assert_allclose(distances[i], expected[0], rtol=1e-10, atol=1e-15)
        if dim > 2:  # in one or two dimensions all cosines are nearly equal
            np.testing.assert_array_equal(nearest[i], rest[order[0]])
        assert o not in origin[nearest[i]]


def test_a_row_in_the_bank_finds_itself_unless_its_clip_is_left_out():
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((30, 5))
    rows[20:] = rows[:10]  # copies, of the same clips
    origin = np.r_[np.arange(20), np.arange(10)]
    whole = bank(rows, origin)
    np.testing.assert_array_equal(whole.neighbours(rows, 1)[0][:, 0], 0)
    distances, nearest = whole.neighbours(rows, 1, leave_out=origin)
    assert distances.min() > 0
    assert (origin[nearest[:, 0]] != origin).all()
    np.testing.assert_array_equal(whole.neighbours(rows, 1, leave_out=np.full(30, -1))[0][:, 0], 0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "dim"), [(50, 1), (300, 2), (700, 120), (41, 257)])
def test_scoring_alone_and_among_others_gives_the_same_bits(n, dim, metric):
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((n, dim)).round(1) + 0.3  # rounded: ties in low dimensions
    z = np.concatenate([rng.standard_normal((2 * QUERIES + 30, dim)).round(1) + 0.3, rows[:30]])
    rule = KNN((1.0, -0.35, -0.05), metric)
    whole = bank(rows)
    together, found = rule(z, whole), whole.neighbours(z, 3, metric)[1]
    for i in (0, 1, 7, QUERIES - 1, QUERIES, QUERIES + 1, len(z) - 1):
        np.testing.assert_array_equal(rule(z[i : i + 1], whole), together[i : i + 1])
        np.testing.assert_array_equal(whole.neighbours(z[i : i + 1], 3, metric)[1][0], found[i])
    np.testing.assert_array_equal(rule(z[::-1], whole)[::-1], together)
    np.testing.assert_array_equal(rule(z[11:274], whole), together[11:274])


@pytest.mark.parametrize("metric", METRICS)
def test_more_rows_elsewhere_do_not_change_a_distance(metric):
    rng = np.random.default_rng(5)
    rows, z = rng.standard_normal((64, 40)) + 3, rng.standard_normal((9, 40)) + 3
    few = bank(rows)
    far = few.extend(-rows, np.arange(64, 128), np.ones(64, dtype=np.int8))
    np.testing.assert_array_equal(few.neighbours(z, 2, metric)[0], far.neighbours(z, 2, metric)[0])


def test_blocks_of_queries_have_no_seams():
    rng = np.random.default_rng(6)
    rows, z = rng.standard_normal((90, 4)), rng.standard_normal((2 * QUERIES + 1, 4))
    leave = rng.integers(-1, 90, len(z))
    distances, nearest = bank(rows).neighbours(z, 2, leave_out=leave)
    table = cdist(z, rows)
    table[np.arange(len(z))[leave >= 0], leave[leave >= 0]] = np.inf
    np.testing.assert_array_equal(nearest, np.argsort(table, axis=1)[:, :2])
    np.testing.assert_allclose(distances, np.sort(table, axis=1)[:, :2], rtol=1e-12)


def test_no_queries_no_answers():
    distances, rows = bank(np.ones((3, 2))).neighbours(np.empty((0, 2)), 2)
    assert distances.shape == rows.shape == (0, 2)
    assert KNN()(np.empty((0, 2)), bank(np.ones((3, 2)))).shape == (0,)


def test_too_few_rows():
    whole = bank(np.eye(3), [0, 0, 1])
    with pytest.raises(
        DatasetError, match=r"k = 4 .* of 3 rows.*fewer neighbours or more"
    ) as caught:
        whole.neighbours(np.eye(3), 4)
    assert "\n" not in str(caught.value)
    whole.neighbours(np.eye(3), 1, leave_out=np.array([-1, -1, 0]))
    with pytest.raises(DatasetError, match=r"k = 2 .* of 1 rows"):
        whole.neighbours(np.eye(3), 2, leave_out=np.array([-1, -1, 0]))
    with pytest.raises(DatasetError, match=r"k = 1 .* of 0 rows"):
        KNN()(np.eye(3)[:1], bank(np.eye(3), [5, 5, 5]), leave_out=np.array([5]))


@pytest.mark.parametrize(
    ("rows", "origin", "domain"), [((0, 3), 0, 0), ((2, 3), 3, 2), ((2, 3), 2, 1), ((4,), 4, 4)]
)
def test_a_bank_that_does_not_fit_itself(rows, origin, domain):
    with pytest.raises(DatasetError, match="memory bank of"):
        MemoryBank(np.zeros(rows), np.zeros(origin, np.int64), np.zeros(domain, np.int8))


def test_extend_keeps_what_was_there():
    first = MemoryBank(np.eye(2), np.array([4, 5]), np.array([SOURCE, TARGET], np.int8))
    more = first.extend(np.ones((1, 2), np.float32), np.array([4]), np.array([TARGET], np.int8))
    assert len(more) == 3
    np.testing.assert_array_equal(more.embeddings, [[1, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(more.origin, [4, 5, 4])
    np.testing.assert_array_equal(more.domain, [SOURCE, TARGET, TARGET])
    assert more.embeddings.dtype == np.float64


def test_equation_4_by_hand():
    """Rows at 1, 3, 7, 20 from the query: 1.0·1 − 0.35·3 − 0.05·7."""
    rows = np.array([[20.0, 0], [0, 1], [-3, 0], [0, -7]])
    rule = KNN((1.0, -0.35, -0.05), "euclidean")
    assert rule.neighbours == 3
    assert rule(np.zeros((1, 2)), bank(rows)) == pytest.approx([1 - 0.35 * 3 - 0.05 * 7])
    assert rule(np.zeros((1, 2)), bank(rows), leave_out=np.array([1])) == pytest.approx(
        [3 - 0.35 * 7 - 0.05 * 20]
    )


def test_equation_3_by_hand():
    """1 − max cos: the angles are 0°, 60° and 90° from the nearest row."""
    rows = np.array([[2.0, 0], [0, 0.1]])
    z = np.array([[7.0, 0], [-np.cos(np.pi / 6), np.cos(np.pi / 3)], [-1, 0]])
    np.testing.assert_allclose(KNN()(z, bank(rows)), [0, 0.5, 1], atol=1e-15)


@pytest.mark.parametrize(
    "bad",
    [
        (),
        [1.0],
        1.0,
        ("1",),
        (1.0, None),
        (np.nan,),
        (np.inf,),
        (True,),
        (10**400,),
        (1e300,),
        None,
    ],
)
def test_bad_weights(bad):
    with pytest.raises(SettingError, match=r"KNN\.weights is") as caught:
        KNN(bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", ["manhattan", None, 2, ("cosine",), "Cosine"])
def test_bad_metric(bad):
    with pytest.raises(SettingError, match=r"KNN\.metric is .*'cosine' or 'euclidean'"):
        KNN(metric=bad)
