"""How often independent clips raise an alarm: against sums by hand, and against simulation."""

import numpy as np
import pytest
from scipy.stats import binom

from heard_clips import heard, normal, station, verbs
from nearfar.scores.alarms import AlarmRule
from nearfar.scoring.calibrate import p_values, threshold
from nearfar.service.alarms.hysteresis import ABOVE, BELOW, BETWEEN, Hysteresis
from nearfar.service.alarms.promise import Promise
from nearfar.service.alarms.raises import EXACT, chain_rate, rate_of
from nearfar.service.alarms.wishes import AlarmSettings


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_of_single_clips_without_a_band_it_is_a_clip_above_after_one_that_is_not(share):
    found = chain_rate(AlarmRule(1, 1), np.array([[1 - share, 0.0, share]]))
    assert found == pytest.approx(share * (1 - share))


def test_of_two_in_a_row_it_is_what_runs_say():
    """2/2 is raised where a run of clips above reaches two: once a run, (1 − q) q²."""
    found = chain_rate(AlarmRule(2, 2), np.array([[0.7, 0.0, 0.3]]))
    assert found == pytest.approx(0.7 * 0.3**2)


def test_a_band_makes_one_alarm_of_many():
    chances = np.array([[0.9, 0.0, 0.1], [0.8, 0.1, 0.1], [0.4, 0.5, 0.1]])
    rates = chain_rate(AlarmRule(2, 4), chances)
    assert rates[0] > rates[1] > rates[2] > 0


def test_the_chain_counts_what_the_alarm_does():
    rng = np.random.default_rng(4)
    rule, chances = AlarmRule(2, 3), np.array([0.6, 0.2, 0.2])
    latch, raised, clips = Hysteresis(rule), 0, 40_000
    for level in rng.choice([BELOW, BETWEEN, ABOVE], clips, p=chances):
        stood = latch.standing
        raised += latch.take(int(level)) and not stood
    expected = float(chain_rate(rule, chances[None])[0])
    # Alarms are apart: their count spreads no more than a Poisson count.
    assert abs(raised - clips * expected) < 4 * np.sqrt(clips * expected)


def test_where_the_chain_is_too_long_its_simulation_agrees_with_it(monkeypatch):
    exact = rate_of(AlarmRule(2, 3), 60, 5, 0.2)
    monkeypatch.setattr("nearfar.service.alarms.raises.EXACT", 2)
    drawn = rate_of(AlarmRule(2, 3), 60, 5, 0.2)
    assert exact.error == 0 < drawn.error
    assert abs(drawn.value - exact.value) < 4 * drawn.error


def test_a_long_rule_is_answered_too():
    assert AlarmRule(4, 10).of > EXACT
    found = rate_of(AlarmRule(4, 10), 60, 5, 0.2)
    assert 0 < found.error < found.value
    assert found.told.startswith("simulated, ± ")


def _hits(trials, n, rule, rate, clear, seed):
    """Trials in which an alarm is raised with the last of some clips: of each its own normals."""
    rng = np.random.default_rng(seed)
    own = np.sort(rng.standard_normal((trials, n)), axis=1)
    new = rng.standard_normal((trials, 30))
    hits = 0
    for ordered, scores in zip(own, new, strict=True):
        limit, p = threshold(ordered, rate).value, p_values(ordered, scores)
        latch = Hysteresis(rule)
        for score, chance in zip(scores.tolist(), p.tolist(), strict=True):
            stood = latch.standing
            latch.take(ABOVE if score > limit else BETWEEN if chance <= clear else BELOW)
        hits += latch.standing and not stood
    return hits


@pytest.mark.slow
def test_a_whole_station_raises_as_many_as_is_promised():
    """Clips go through all that a watch asks of them; each trial is a machine of its own."""
    n, trials, rng = 60, 15_000, np.random.default_rng(11)
    allowed, hits = 5, 0
    known = normal(n=n, allowed=allowed)
    promised = Promise(known, AlarmSettings(AlarmRule(2, 3))).rate.value  # as it is told
    for _ in range(trials):
        ordered, scores = np.sort(rng.standard_normal(n)), rng.standard_normal(20)
        limit, p = threshold(ordered, 0.1).value, p_values(ordered, scores)
        here = station(AlarmSettings(AlarmRule(2, 3)), normality=known)
        for k, (score, chance) in enumerate(zip(scores.tolist(), p.tolist(), strict=True)):
            told = here.take(heard(k, p=chance, above=score > limit))
        hits += ("machine", "sound", "raised") in verbs(told)
    low, high = binom.interval(0.99, trials, promised)
    print(f"{hits} of {trials}, promised {trials * promised:.1f}")
    assert low <= hits <= high


@pytest.mark.parametrize(
    ("n", "rule", "rate", "trials"),
    [
        (40, AlarmRule(2, 3), 0.1, 4_000),
        pytest.param(50, AlarmRule(3, 5), 0.1, 60_000, marks=pytest.mark.slow),
        pytest.param(100, AlarmRule(2, 3), 0.05, 60_000, marks=pytest.mark.slow),
    ],
)
def test_simulated_normals_raise_as_many_as_is_promised(n, rule, rate, trials):
    """Each trial has normal clips of its own, thresholds as a fit draws them, and new clips."""
    promised = rate_of(rule, n, int(rate * (n + 1) + 1e-9) - 1, 2 * rate).value
    hits = _hits(trials, n, rule, rate, 2 * rate, seed=7)
    low, high = binom.interval(0.99, trials, promised)
    print(f"n {n}, {rule}: {hits} in {trials}, promised {trials * promised:.1f}")
    assert low <= hits <= high
