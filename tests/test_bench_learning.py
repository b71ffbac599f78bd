"""The program behind docs/learn-simulated.md: its drift is one, each look is counted once."""

import numpy as np
from bench.learning import SPREADS, WAYS, Row, aged, binned, courses, interval

RNG = np.random.default_rng(0)
SOUND, NOISE = 0.1 * RNG.standard_normal((2, 2, 16_000))


def test_no_drift_is_no_change_and_drift_colours_each_channel():
    still = aged(SOUND + NOISE, NOISE, 0.0, seed=1)
    np.testing.assert_allclose(still, SOUND + NOISE, atol=1e-12)
    moved = [aged(SOUND, 0 * NOISE, drift, seed=1) for drift in (0.5, 1.0)]
    apart = [20 * np.log10(np.abs(np.fft.rfft(m) / np.fft.rfft(SOUND))) for m in moved]
    np.testing.assert_allclose(2 * apart[0], apart[1], atol=1e-6)  # decibels, in step with drift
    assert np.abs(apart[1][0] - apart[1][1]).mean() > 0.5


def row(spread, learn, refit, drift="none"):
    auc = dict(zip(WAYS, (0.5, learn, refit), strict=True))
    return Row(drift, 30, 2, 1.0, spread, auc, dict.fromkeys(WAYS, 0.1))


def test_each_look_is_in_one_bin():
    rows = [row(s, 0.8, 0.9) for s in (0.9, 1.0, 1.1, 1.3, 2.5, 70.0)]
    counts = [int(line.split("|")[2]) for line in binned(rows, lambda r: r.spread, SPREADS)]
    assert sum(counts) == len(rows)
    assert "+10.0 ± 0.0" in binned(rows, lambda r: r.spread, SPREADS)[0]


def test_an_interval_is_a_mean_and_what_chance_leaves_of_it():
    assert interval([0.1]) == "–"
    assert interval([0.0, 0.02]) == "+1.0 ± 2.0"


def test_a_course_has_a_line_for_each_look(monkeypatch):
    monkeypatch.setattr("bench.learning.DRIFTS", {"none": 0.0})
    monkeypatch.setattr("bench.learning.LOOKS", (2,))
    (line,) = courses([row(1.0, 0.8, 0.9), row(1.2, 0.8, 0.9)])
    assert line.startswith("| none | 30 | 2 | 1.10 | 50.0 | 80.0 | 90.0 | 10 |")
