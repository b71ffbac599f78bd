"""Whitened distance is Mahalanobis distance, whichever root, whatever the units."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from nearfar.errors import SettingError
from nearfar.scoring.whiten import ZCA, Whitening, ledoit_wolf

ROOTS = ("zca", "cholesky")


def rows(n, dim, seed=0, dtype=np.float64):
    """Correlated features in very different units, far from zero."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim)) @ rng.standard_normal((dim, dim))
    return (x * 10.0 ** rng.uniform(-3, 3, dim) + 10.0 ** rng.uniform(-2, 2, dim)).astype(dtype)


def mahalanobis(x, queries, shrinkage):
    """Distances from first principles: the covariance D R_λ D and its inverse."""
    scale = x.std(axis=0)
    correlation = np.corrcoef(x, rowvar=False)
    shrunk = (1 - shrinkage) * correlation + shrinkage * np.eye(x.shape[1])
    precision = np.linalg.inv(shrunk * np.outer(scale, scale))
    return cdist(queries, queries, "mahalanobis", VI=precision)


def distances(whitening, queries):
    return cdist(whitening(queries), whitening(queries))


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(("n", "dim"), [(300, 12), (40, 12), (9, 12), (3, 5)])
@pytest.mark.parametrize("shrinkage", [0.01, 0.3, 1])
def test_distance_is_the_mahalanobis_distance_of_the_shrunk_correlation(n, dim, shrinkage, root):
    x, queries = rows(n, dim), rows(20, dim, seed=1)
    got = distances(ZCA(shrinkage).fit(x, root=root), queries)
    np.testing.assert_allclose(got, mahalanobis(x, queries, shrinkage), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("root", ROOTS)
def test_training_rows_get_unit_covariance_without_shrinkage_to_speak_of(root):
    x = rows(4000, 8)
    z = ZCA(1e-6).fit(x, root=root)(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(z, rowvar=False, bias=True), np.eye(8), atol=2e-3)


@pytest.mark.parametrize("root", ROOTS)
def test_the_matrix_is_a_root_of_the_inverse(root):
    x = rows(50, 20)
    matrix = ZCA(0.05).fit(x, root=root).matrix
    scale = x.std(axis=0)
    shrunk = 0.95 * np.corrcoef(x, rowvar=False) + 0.05 * np.eye(20)
    standard = matrix * scale[:, None]
    np.testing.assert_allclose(standard @ standard.T @ shrunk, np.eye(20), atol=1e-9)


def test_zca_is_the_symmetric_root():
    """ZCA is the root that changes the standardised features least: it is symmetric."""
    x = rows(50, 20)
    standard = ZCA(0.05).fit(x).matrix * x.std(axis=0)[:, None]
    np.testing.assert_allclose(standard, standard.T, atol=1e-12)
    assert (np.linalg.eigvalsh(standard) > 0).all()


@pytest.mark.parametrize("shrinkage", [0.01, 0.2, "ledoit-wolf"])
@pytest.mark.parametrize(("n", "dim"), [(200, 30), (9, 120), (3, 120), (2, 120)])
def test_both_roots_give_equal_distances(n, dim, shrinkage):
    x = rows(n, dim, dtype=np.float32)
    queries = rows(15, dim, seed=2, dtype=np.float32)
    zca, cholesky = (distances(ZCA(shrinkage).fit(x, root=root), queries) for root in ROOTS)
    assert np.isfinite(zca).all()
    # Two clips are mirror images: Ledoit and Wolf see no noise, R_λ is nearly singular.
    singular = n == 2 and shrinkage == "ledoit-wolf"
    np.testing.assert_allclose(cholesky, zca, rtol=1e-7 if singular else 1e-9)


@pytest.mark.parametrize("n", [2, 3, 9])
@pytest.mark.parametrize("shrinkage", [0.01, "ledoit-wolf"])
def test_few_clips_of_many_dimensions(n, shrinkage):
    """Nine clips span eight directions; in the others √λ of a standard deviation counts one."""
    x = rows(n, 120)
    whitening = ZCA(shrinkage).fit(x)
    assert np.isfinite(whitening.matrix).all()
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    *_, basis = np.linalg.svd(standard)
    unseen = basis[-1]  # orthogonal to all training rows
    amount = 0.01 if shrinkage == 0.01 else max(ledoit_wolf_shrinkage(standard, True), 1e-6)
    moved = whitening((x[0] + unseen * x.std(axis=0))[None]) - whitening(x[:1])
    assert np.linalg.norm(moved) == pytest.approx(amount**-0.5, rel=1e-6)


@given(
    n=st.integers(3, 60), dim=st.integers(2, 25), seed=st.integers(0, 10**6),
    exponent=st.integers(-6, 6),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_distances_do_not_depend_on_the_units_of_features(n, dim, seed, exponent):
    rng = np.random.default_rng(seed)
    x, queries = rng.standard_normal((n, dim)), rng.standard_normal((5, dim))
    units, offset = 10.0 ** (exponent * rng.uniform(-1, 1, dim)), rng.uniform(-1, 1, dim)
    before = distances(ZCA().fit(x), queries)
    after = distances(ZCA().fit((x + offset) * units), (queries + offset) * units)
    np.testing.assert_allclose(after, before, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("shrinkage", [0.01, 0.3, "ledoit-wolf"])
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("constant", [0.0, 0.1, -7e5])
def test_a_constant_feature_keeps_its_own_unit(constant, root, shrinkage):
    x = rows(30, 6)
    x[:, 2] = constant
    whitening = ZCA(shrinkage).fit(x, root=root)
    moved = x[:1].copy()
    moved[0, 2] += 3.0
    assert np.linalg.norm(whitening(moved) - whitening(x[:1])) == pytest.approx(3.0, rel=1e-9)
    rest = np.delete(np.arange(6), 2)
    if shrinkage != "ledoit-wolf":  # whose λ sees all features
        without = ZCA(shrinkage).fit(x[:, rest], root=root)
        np.testing.assert_allclose(
            distances(whitening, x), distances(without, x[:, rest]), rtol=1e-9, atol=1e-9
        )


def test_clips_that_are_all_the_same():
    whitening = ZCA("ledoit-wolf").fit(np.full((5, 4), 0.1))
    z = whitening(np.array([[0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 1.1]]))
    assert np.linalg.norm(z[1] - z[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("n", "dim"), [(10, 50), (50, 10), (30, 30), (3, 120), (1000, 40), (400, 600)]
)
def test_ledoit_wolf_is_that_of_scikit_learn(n, dim):
    y = StandardScaler().fit_transform(rows(n, dim, seed=n))
    expected = ledoit_wolf_shrinkage(y, assume_centered=True)
    assert 1e-6 < expected < 1
    assert ledoit_wolf(y) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert ledoit_wolf(y, y.T @ y / n) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_zca_takes_the_ledoit_wolf_amount():
    x = rows(60, 20)
    amount = ledoit_wolf_shrinkage(StandardScaler().fit_transform(x), assume_centered=True)
    np.testing.assert_allclose(
        distances(ZCA("ledoit-wolf").fit(x), x), mahalanobis(x, x, amount), rtol=1e-9, atol=1e-9
    )


def test_ledoit_wolf_of_white_noise_is_nearly_all_the_way():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((20, 500))
    assert ledoit_wolf(y - y.mean(axis=0)) > 0.8
    assert ledoit_wolf(np.zeros((4, 3))) == 1.0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dim", [1, 2, 7, 120, 257, 300])
@pytest.mark.parametrize("root", ROOTS)
def test_one_row_alone_and_in_any_place_of_any_batch_has_the_same_bits(dim, root, threads):
    """With one BLAS thread, as nearfar works, and with more."""
    with threadpool_limits(threads, "blas"):
        same_bits_everywhere(dim, root)


def same_bits_everywhere(dim, root):
    whitening = ZCA().fit(rows(150, dim, dtype=np.float32), root=root)
    z = rows(131, dim, seed=3, dtype=np.float32)
    alone = np.concatenate([whitening(row[None]) for row in z])
    for size in (1, 2, 3, 31, 32, 33, 64, 100, 131):
        for first in (0, 1, 17, len(z) - size):
            part = slice(max(first, 0), first + size)
            np.testing.assert_array_equal(whitening(z[part]), alone[part])
    np.testing.assert_array_equal(whitening(z[::-1])[::-1], alone)
    np.testing.assert_array_equal(whitening(np.asfortranarray(z)), alone)


def test_a_wild_row_does_not_touch_its_neighbours():
    whitening = ZCA().fit(rows(50, 10))
    z = rows(70, 10, seed=1)
    wild = z.copy()
    wild[[0, 35]] = 1e30
    keep = np.delete(np.arange(70), [0, 35])
    np.testing.assert_array_equal(whitening(wild)[keep], whitening(z)[keep])


def test_the_input_is_left_alone_and_no_rows_give_no_rows():
    x = rows(20, 4)
    before = x.copy()
    whitening = ZCA().fit(x)
    whitening(x)
    np.testing.assert_array_equal(x, before)
    assert whitening(np.empty((0, 4))).shape == (0, 4)
    assert isinstance(whitening, Whitening)
    assert whitening(x.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize(
    "bad", [0, -0.1, 1.01, 1e-9, 10**400, np.nan, np.inf, True, None, "lw", "0.1", (0.1,), [0.1]]
)
def test_bad_settings(bad):
    with pytest.raises(SettingError, match=r"ZCA\.shrinkage is .*ledoit-wolf") as caught:
        ZCA(bad)
    assert "\n" not in str(caught.value)


def test_the_smallest_shrinkage_survives_few_clips_of_many_dimensions():
    for root in ROOTS:
        z = ZCA(1e-6).fit(rows(3, 300), root=root)(rows(3, 300))
        assert np.isfinite(z).all()
