"""docs/compare.md is the page of bench.comparison, whose simulated truth is what it says."""

import re

import numpy as np
from bench import comparison

from conftest import TESTS

PAGE = (TESTS.parent / "docs" / "compare.md").read_text(encoding="utf-8")


def test_the_page_has_the_words_of_now():
    for piece in re.split(r"\{\w+\}", comparison.PAGE):
        assert piece in PAGE, piece  # otherwise: python -m bench.comparison


def test_simulated_numbers_never_stand_without_these_words():
    assert re.search(r"The examples are SIMULATED v\d+ seed \d+:", PAGE)


def test_a_seed_moves_anomalies_and_nothing_else():
    rng = np.random.default_rng(0)
    truth, signal = comparison.clips(rng)
    raised = []
    for _ in range(400):
        rows = comparison.run(truth, signal, rng).rows
        anomalous = np.array([r.label == "anomaly" for r in truth.rows])
        moved = np.array([r.score for r in rows]) - signal
        raised.append(moved[anomalous].mean())
        assert abs(moved[~anomalous].mean()) < 6 * comparison.NOISE / np.sqrt((~anomalous).sum())
    assert abs(np.mean(raised) - 1) < 0.05
    assert abs(np.std(raised) - comparison.SEED_SD) < 0.04
