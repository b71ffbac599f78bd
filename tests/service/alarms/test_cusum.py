"""Run lengths of the sum of normal scores: stated by a chain, measured on simulated clips."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.service.alarms.cusum import LIMIT, STEP, Cusum


def weights_of(scheme, rng, shape, shift=0.0):
    """What clips add whose scores are exchangeable with n self-scores, but for a shift in σ."""
    from scipy.stats import norm

    u = norm.cdf(rng.standard_normal(shape) + shift)
    below = np.floor(u * (scheme.n + 1)).astype(int)  # self-scores below a clip: uniform
    table = [
        scheme.weight((scheme.n + 1 - j) / (scheme.n + 1)) for j in range(scheme.n + 1)
    ]  # fmt: skip
    return np.array(table)[np.minimum(below, scheme.n)]


def run_lengths(scheme, rng, runs, shift=0.0, most=40_000):
    found = np.zeros(runs)
    total, open_ = np.zeros(runs, dtype=int), np.ones(runs, dtype=bool)
    for clip in range(1, most + 1):
        total = np.maximum(total + weights_of(scheme, rng, runs, shift), 0)
        done = open_ & (total >= scheme.limit)
        found[done], open_ = clip, open_ & ~done
        if not open_.any():
            return found
    raise AssertionError(f"{open_.sum()} runs of {runs} are longer than {most}")


def test_the_chain_of_one_step_is_geometric():
    """With a limit of one step above nothing, a run ends with the first clip above k."""
    scheme = Cusum(n=9, reference=0, limit=1)
    above = sum(scheme.weight(j / 10) > 0 for j in range(1, 11)) / 10
    assert scheme.run_length() == pytest.approx(1 / above)


@pytest.mark.parametrize(("n", "run"), [(20, 200), (100, 500)])
def test_measured_run_length_is_the_stated_one(n, run):
    scheme, runs = Cusum.of(n, run), 400
    error = 1 / math.sqrt(n)
    found = run_lengths(scheme, np.random.default_rng(5), runs, shift=error)
    # A run's length spreads like its mean, so the mean of 400 to a twentieth.
    assert abs(found.mean() - scheme.run_length(error)) < 3.3 * found.std() / math.sqrt(runs)
    assert scheme.run_length(error) >= run


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100, 300])
def test_measured_run_length_of_exactly_known_normals(n):
    scheme, runs = Cusum.of(n, 500), 1_000
    found = run_lengths(scheme, np.random.default_rng(6), runs)
    assert abs(found.mean() - scheme.run_length()) < 3.3 * found.std() / math.sqrt(runs)


@pytest.mark.parametrize("n", [50, 300])
def test_a_shift_of_one_sigma_is_found_within_its_delay(n):
    scheme, runs = Cusum.of(n, 10_000), 400
    found = run_lengths(scheme, np.random.default_rng(8), runs, shift=1.0)
    stated = scheme.run_length(1.0)
    assert abs(found.mean() - stated) < 3.3 * found.std() / math.sqrt(runs)
    assert stated < 25


@given(st.integers(3, 500), st.floats(0.0, 1.0))
def test_no_single_clip_says_more_than_the_limit(n, share):
    scheme = Cusum(n, 10, 100)
    p = (1 + round(share * n)) / (n + 1)
    assert abs(scheme.weight(p) + scheme.reference) <= round(LIMIT / STEP)


@given(st.integers(3, 200))
def test_a_higher_score_never_adds_less(n):
    scheme = Cusum(n, 10, 100)
    added = [scheme.weight((j + 1) / (n + 1)) for j in range(n + 1)]
    assert added == sorted(added, reverse=True)
    # The middle of the p-values is the middle of normal scores.
    both = [a + b + 2 * scheme.reference for a, b in zip(added, added[::-1], strict=True)]
    assert max(map(abs, both)) <= 1


@pytest.mark.parametrize("n", [1, 2, 4])
def test_of_a_handful_of_normals_nobody_can_tell(n):
    assert Cusum.of(n, 1_000) is None


@pytest.mark.parametrize("n", [5, 10, 100, 1000])
def test_a_longer_run_needs_a_higher_limit(n):
    limits = [Cusum.of(n, run).limit for run in (100, 1_000, 10_000)]
    assert limits == sorted(limits)
    assert len(set(limits)) == 3


def test_the_sum_stays_between_nothing_and_its_limit():
    scheme = Cusum.of(100, 1_000)
    assert scheme.after(0, 1.0) == 0
    total = 0
    for _ in range(100):
        total = scheme.after(total, 0.01)
    assert total == scheme.limit


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_the_limit_is_the_least_that_keeps_the_run(n):
    scheme, error = Cusum.of(n, 1_000), 1 / math.sqrt(n)
    assert scheme.reference * STEP == pytest.approx(0.5 + error, abs=STEP / 2)
    less = Cusum(n, scheme.reference, scheme.limit - 1)
    assert less.run_length(error) < 1_000 <= scheme.run_length(error)
