"""How densely rows lie, by plain programs over all rows but those that must not be seen."""

import numpy as np
import pytest

from made_banks import bank_of, plain_density, plain_slope, without
from nearfar.scoring.density import NOBODY, SPARE, Surroundings, floored

METRICS = ("cosine", "euclidean")
BANKS = [bank_of(), bank_of(3, 30), bank_of(200, 400), bank_of(2, 2), bank_of(30, 40, twins=6)]


def seen(bank, hidden):
    return np.flatnonzero(bank.origin != hidden)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 4, SPARE + 20])
@pytest.mark.parametrize("bank", BANKS, ids=repr)
def test_densities_are_means_over_other_clips(bank, k, metric):
    around = Surroundings(bank, k, metric)
    for hidden in (NOBODY, 0, 1):
        rows = seen(bank, hidden)[:40]
        expected = [plain_density(bank, i, k, metric, hidden=(hidden,)) for i in rows]
        expected = [np.nan if e is None else e for e in expected]
        got = around.densities(hidden)[rows]
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 4, SPARE + 20])
@pytest.mark.parametrize("bank", [b for b in BANKS if len(b) < 100], ids=repr)
def test_the_slope_is_that_of_the_bank_without_the_clip(bank, k, metric):
    around = Surroundings(bank, k, metric)
    for hidden in (NOBODY, 0, 1):
        expected = plain_slope(without(bank, hidden), k, metric)
        assert around.slope(hidden) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_equal_densities_have_no_slope():
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    bank = bank_of(4, 4, 2)
    square = type(bank)(corners, np.arange(4), np.zeros(4, np.int8))
    assert Surroundings(square, 1, "euclidean").slope() == 0.0


def test_they_are_worked_out_once_for_a_bank():
    bank = bank_of()
    one = Surroundings.of(bank, 3, "cosine")
    assert Surroundings.of(bank, 3, "cosine") is one
    assert one.densities() is one.densities()
    assert Surroundings.of(bank, 4, "cosine") is not one
    assert Surroundings.of(bank_of(), 3, "cosine") is not one


def test_what_may_be_divided_by():
    everybody = np.ones(3, dtype=bool)
    assert floored(np.array([0.0, 1.0, np.nan]), everybody).tolist() == [0.5e-9, 1.0, 0.5]
    assert floored(np.full(3, np.nan), everybody).tolist() == [1, 1, 1]
    # A row that nobody sees has no part in the mean.
    assert floored(np.array([0.0, 1.0, 1e6]), np.array([True, True, False]))[0] == 0.5e-9
