import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from nearfar.embedder.dif import CANDIDATES, DIF
from nearfar.embedder.dif.select import select, shift, wasserstein
from nearfar.errors import DatasetError, SettingError


def clips(n_source=200, n_target=10, machines=("fan", "pump"), d=6, seed=0):
    rng = np.random.default_rng(seed)
    domain = (["source"] * n_source + ["target"] * n_target) * len(machines)
    machine = np.repeat(machines, n_source + n_target).tolist()
    return rng.standard_normal((len(domain), d)), domain, machine


def target(domain):
    return np.array(domain) == "target"


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (37, 11), (100, 100)])
def test_wasserstein_is_scipys(n, m):
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((n, 8)).round(1), rng.exponential(size=(m, 8)).round(1)  # with ties
    want = [wasserstein_distance(a[:, i], b[:, i]) for i in range(8)]
    np.testing.assert_allclose(wasserstein(a, b), want, atol=1e-12)


def test_a_feature_that_does_not_move_has_a_shift_of_about_zero():
    assert np.abs(shift(*clips(n_source=900, n_target=300))).max() < 0.1
    many = [shift(*clips(seed=seed)) for seed in range(20)]
    assert abs(np.mean(many)) < 0.03  # the distance itself is 0.3 by chance alone


def test_a_moved_feature_shifts_by_as_many_standard_deviations():
    x, domain, machine = clips(n_source=2_000, n_target=500)
    x[:, 1] *= 40
    x[target(domain), 1] += 3 * 40
    assert shift(x, domain, machine)[1] == pytest.approx(3, abs=0.2)


def test_units_and_offsets_do_not_matter():
    x, domain, machine = clips()
    want = shift(x, domain, machine)
    np.testing.assert_allclose(shift(1e-6 * x - 7, domain, machine), want, atol=1e-6)
    np.testing.assert_allclose(shift(-1e6 * x, domain, machine), want, atol=1e-6)


def test_machines_are_averaged():
    x, domain, machine = clips()
    x[(np.array(machine) == "fan") & target(domain), 0] += 100
    assert shift(x, domain, machine)[0] == pytest.approx(50, rel=0.1)


def test_machines_without_both_domains_do_not_count():
    x, domain, machine = clips(machines=("fan", "pump"))
    want = shift(*clips(machines=("fan",)))
    only_source = np.where(np.array(machine) == "pump", "source", domain).tolist()
    np.testing.assert_allclose(shift(x, only_source, machine), want)


def test_a_seed_gives_the_same_distances_in_any_order_of_machines():
    x, domain, machine = clips()
    want = shift(x, domain, machine, seed=3)
    np.testing.assert_array_equal(shift(x, domain, machine, seed=3), want)
    assert (shift(x, domain, machine, seed=4) != want).any()
    half = len(x) // 2
    order = np.r_[half : len(x), :half]
    swapped = shift(x[order], np.array(domain)[order], np.array(machine)[order], seed=3)
    np.testing.assert_array_equal(swapped, want)


def test_constant_features():
    x, domain, machine = clips()
    x[:, 0] = 0.1
    x[:, 1] = np.where(target(domain), 2.0, 0.1)
    got = shift(x, domain, machine)
    assert got[0] == 0
    assert got[1] == np.inf


def test_keep_takes_the_smallest_and_tau_the_small_ones():
    d = np.random.default_rng(0).uniform(size=151)
    kept = select(d, keep=120)
    assert len(kept) == 120
    dropped = [i for i, name in enumerate(CANDIDATES) if name not in kept]
    assert d[dropped].min() > max(d[CANDIDATES.index(name)] for name in kept)
    assert select(d, tau=np.sort(d)[119]) == kept
    assert list(kept) == sorted(kept, key=CANDIDATES.index)
    assert DIF(names=kept).dim == 120


def test_keep_takes_the_earlier_of_equals():
    assert select([1.0, 0.0, 1.0], keep=2, names=("a", "b", "c")) == ("a", "b")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either keep"),
        ({"keep": 1, "tau": 0.1}, "either keep"),
        ({"keep": 0}, "keep=0"),
        ({"keep": 4}, "keep=4"),
        ({"tau": 0.01}, "smallest distance is 0.1"),
        ({"keep": 1, "names": ("a",)}, "1 names"),
    ],
)
def test_impossible_selections_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        select([0.1, 0.2, 0.3], **{"names": ("a", "b", "c")} | settings)


def test_impossible_clips_are_refused():
    x, domain, machine = clips()
    with pytest.raises(DatasetError, match="no machine has both domains"):
        shift(x, ["source"] * len(x), machine)
    with pytest.raises(DatasetError, match="no machine has both domains"):
        shift(x[-11:], domain[-11:], machine[-11:])
    with pytest.raises(DatasetError, match="domain 'test'"):
        shift(x, ["test", *domain[1:]], machine)
    with pytest.raises(DatasetError, match="one row, domain and machine"):
        shift(x[1:], domain, machine)
    with pytest.raises(SettingError, match="repeats=0"):
        shift(x, domain, machine, repeats=0)
    x[7, 3] = np.nan
    with pytest.raises(DatasetError, match="clip 7"):
        shift(x, domain, machine)
