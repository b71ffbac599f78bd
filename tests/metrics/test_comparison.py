"""Two systems on the same clips: paired, signed, uniform p where nothing differs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_scores import made
from nearfar.errors import DatasetError, SettingError
from nearfar.metrics.comparison import compare
from nearfar.metrics.official import bootstrap, evaluate
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth


def shifted(table: ScoreTable, truth: Truth, by: float, noise: float, seed: int = 0) -> ScoreTable:
    """The same system with its anomalies raised by `by` and all scores made noisier."""
    rng = np.random.default_rng(seed)
    anomalies = {(r.machine, r.file) for r in truth.rows if r.label == "anomaly"}
    return ScoreTable(
        tuple(
            replace(
                r, score=r.score + by * ((r.machine, r.file) in anomalies) + noise * rng.normal()
            )
            for r in table.rows
        )
    )


def test_a_system_does_not_differ_from_itself() -> None:
    table, truth = made(13)
    result = compare(table, table, truth, draws=100)
    assert (result.difference, result.interval, result.p) == (0.0, (0.0, 0.0), 1.0)


def test_a_comparison_is_paired_and_turns_its_sign() -> None:
    table, truth = made(14, each=40, ties=False)
    other = shifted(table, truth, by=0.0, noise=0.1)
    there, back = compare(table, other, truth, draws=400), compare(other, table, truth, draws=400)
    assert there.difference == pytest.approx(there.score_a - there.score_b)
    assert there.score_a == evaluate(table, truth, draws=0).omega
    assert there.score_b == evaluate(other, truth, draws=0).omega
    assert back.difference == -there.difference
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))
    assert back.p == there.p
    alone = evaluate(table, truth, draws=400).interval
    assert alone is not None
    assert there.interval[1] - there.interval[0] < (alone[1] - alone[0]) / 2
    draws = bootstrap(table, truth, draws=400) - bootstrap(other, truth, draws=400)
    assert there.interval == pytest.approx(np.quantile(draws, [0.025, 0.975]))


def test_a_large_difference_is_significant_and_a_small_one_is_not() -> None:
    table, truth = made(15, each=40, ties=False)
    better = compare(shifted(table, truth, by=2.0, noise=0.0), table, truth, draws=999)
    assert better.difference > 0.1
    assert better.interval[0] > 0
    assert better.p == pytest.approx(2 / 1000)
    assert "ΔΩ = +" in str(better)
    same = compare(shifted(table, truth, by=0.0, noise=0.3), table, truth, draws=999)
    assert same.p > 0.01
    assert same.interval[0] < same.difference < same.interval[1]


def test_p_is_uniform_when_nothing_differs() -> None:
    """Two equally noisy copies of one system: p ≤ 0.2 in about a fifth of all cases."""
    p = []
    for seed in range(60):
        table, truth = made(2000 + seed, machines=1, each=30, ties=False)
        pair = [shifted(table, truth, 0.0, 0.7, seed=10 * seed + k) for k in (1, 2)]
        p.append(compare(*pair, truth, draws=200, seed=seed).p)
    assert 2 <= sum(value <= 0.2 for value in p) <= 25  # 12 expected, sd 3.1


def test_systems_must_judge_the_same_clips() -> None:
    table, truth = made(16)
    fewer = ScoreTable(table.rows[1:])
    with pytest.raises(DatasetError, match=r"no score for 'normal_source_0.wav' of m_0"):
        compare(table, fewer, truth)
    with pytest.raises(DatasetError, match="ground truth"):
        compare(table, table)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rule": "2019"}, r"rule '2019'; did you mean '20"),
        ({"draws": -1}, "-1 draws"),
        ({"confidence": 1.0}, "confidence 1.0"),
        ({"confidence": 95}, "confidence 95"),
    ],
)
def test_impossible_settings(arguments: dict[str, Any], match: str) -> None:
    table, truth = made(17)
    with pytest.raises(SettingError, match=match):
        evaluate(table, truth, **{"draws": 10, **arguments})
    with pytest.raises(SettingError, match="0 draws"):
        compare(table, table, truth, draws=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 5]))
def test_evaluate_is_finite_and_in_range_for_any_test_set(seed: int, each: int) -> None:
    table, truth = made(seed, each=each)
    result = evaluate(table, truth, draws=20)
    if result.interval is None:  # all draws alike: said, never an interval of no width
        assert "no interval" in result.doubt or "too few clips" in result.doubt
    else:
        assert 0 <= result.interval[0] < result.interval[1] <= 1
    assert 0 <= result.score <= 1
    json.dumps(result.to_dict(), allow_nan=False)
