"""Figures over seeds and draws, computed again by other means."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from nearfar.errors import DatasetError
from nearfar.metrics import official as metrics
from nearfar.metrics.comparison import compare
from nearfar.reproduce.entries import Difference
from nearfar.reproduce.tables.numbers import Number, _over_seeds, figures
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth

KINDS = [(d, k) for d in ("source", "target") for k in ("normal", "anomaly")]


def labels(machines=("fan", "pump"), sections=("00", "01"), each=7):
    return Truth(
        tuple(
            LabelledFile(m, s, f"{d}_{k}_{i:02d}.wav", d, k)
            for m in machines for s in sections for d, k in KINDS for i in range(each)
        )
    )  # fmt: skip


def drawn_scores(truth, rng, shift=0.5):
    return ScoreTable(
        tuple(
            ScoredFile(r.machine, r.section, r.file, rng.standard_normal() + shift * bad)
            for r in truth.rows
            for bad in [r.label == "anomaly"]
        )
    )


def by_hand(table, truth):
    """Machine → its sections' AUC(s), AUC(t), pAUC, by scikit-learn."""
    found = {}
    score = {(r.machine, r.section, r.file): r.score for r in table.rows}
    for machine, section in dict.fromkeys((r.machine, r.section) for r in truth.rows):
        rows = [r for r in truth.rows if (r.machine, r.section) == (machine, section)]
        bad = np.array([r.label == "anomaly" for r in rows])
        target = np.array([r.domain == "target" for r in rows])
        scores = np.array([score[machine, section, r.file] for r in rows])
        source, other = (bad | ~target), (bad | target)
        found.setdefault(machine, []).append([
            roc_auc_score(bad[source], scores[source]), roc_auc_score(bad[other], scores[other]),
            roc_auc_score(bad, scores, max_fpr=0.1),
        ])  # fmt: skip
    return found


@pytest.fixture(scope="module")
def several():
    """Two entries of three seeds, one without, one equal to another."""
    truth, rng = labels(), np.random.default_rng(5)
    scores = {name: [drawn_scores(truth, rng, 0.8) for _ in range(n)]
              for name, n in (("a", 3), ("b", 3), ("c", 1))}  # fmt: skip
    monotone = [ScoreTable(tuple(replace(r, score=2 * r.score + 7) for r in t.rows))
                for t in scores["a"]]  # fmt: skip
    scores["twin"] = monotone
    return truth, scores, figures(scores, truth, None, draws=300)


def pair(first, second):
    return Difference("", first, second)


def test_numbers_are_those_of_scikit_learn(several):
    truth, scores, found = several
    assert found.titles == ("AUC(s)", "AUC(t)", "pAUC")
    assert found.symbol == "Ω"
    for name, tables in scores.items():
        hands = [by_hand(table, truth) for table in tables]
        omegas = [hmean(np.concatenate([np.array(v) for v in h.values()]).ravel()) for h in hands]
        number = found.omega(name)
        assert number.seeds == pytest.approx(omegas)
        assert number.value == pytest.approx(np.mean(omegas))
        assert number.interval[0] < number.value < number.interval[1]
        for seed, hand in enumerate(hands):
            assert found.omega(name, seed).seeds == pytest.approx([omegas[seed]])
            for machine, values in found.machines(name, seed).items():
                assert values == pytest.approx(np.mean(hand[machine], axis=0))
    one, other = by_hand(scores["a"][0], truth), by_hand(scores["b"][0], truth)
    number = found.machine("a", "pump", 2, "b")
    assert number.value == pytest.approx(
        np.mean(one["pump"], axis=0)[2] - np.mean(other["pump"], axis=0)[2]
    )
    assert number.interval[0] <= number.value <= number.interval[1]


def test_one_seed_is_the_plain_bootstrap_to_the_bit(several):
    truth, scores, found = several
    for name in ("a", "c"):
        plain = metrics.evaluate(scores[name][0], truth, draws=300)
        assert (found.omega(name, 0).value, found.omega(name, 0).interval) == (
            plain.score, plain.interval,
        )  # fmt: skip
    alone = figures({"a": [scores["a"][0]], "c": scores["c"]}, truth, None, draws=300)
    number = alone.difference(pair("a", "c"))
    plain = compare(scores["a"][0], scores["c"][0], truth, draws=300)
    assert (number.value, number.interval) == (plain.difference, plain.interval)


def test_seeds_are_compared_one_by_one(several):
    _, _, found = several
    a, b, c = (found.omega(n).seeds for n in "abc")
    both = found.difference(pair("a", "b"))
    assert both.seeds == pytest.approx(np.subtract(a, b))
    assert both.value == pytest.approx(np.mean(a) - np.mean(b))
    back = found.difference(pair("b", "a"))
    assert back.interval == pytest.approx([-both.interval[1], -both.interval[0]])
    assert found.difference(pair("a", "c")).seeds == pytest.approx(np.array(a) - c[0])
    assert found.difference(pair("c", "a")).seeds == pytest.approx(c[0] - np.array(a))


def test_equal_systems_differ_by_nothing_in_every_draw(several):
    _, _, found = several
    for other in ("a", "twin"):  # a monotone map of scores changes no figure
        number = found.difference(pair("a", other))
        assert number == Number(0.0, (0.0, 0.0), (0.0, 0.0, 0.0))
        assert not number.distinguishable


def test_another_number_of_seeds_is_no_pair(several):
    truth, scores, _ = several
    odd = figures({"a": scores["a"], "b": scores["b"][:2]}, truth, None, draws=5)
    with pytest.raises(DatasetError, match="3 and 2 seeds"):
        odd.difference(Difference("a over b", "a", "b"))


@pytest.mark.parametrize("count", [2, 3, 4, 10])
def test_the_spread_of_a_mean_over_seeds_is_s_squared_over_n(count):
    """Without noise of the clips the draws' variance is the textbook's of a mean."""
    seeds = np.random.default_rng(count).standard_normal(count)
    draws = _over_seeds(np.repeat(seeds[:, None], 200_000, axis=1))
    assert draws.var() == pytest.approx(seeds.var(ddof=1) / count, rel=0.03)
    assert draws.mean() == pytest.approx(seeds.mean(), abs=0.01)


def test_both_kinds_of_noise_add_up():
    """Clips move all seeds alike, seeds differ: the variances are added."""
    rng = np.random.default_rng(0)
    seeds, clips = rng.standard_normal(4), rng.standard_normal(100_000)
    draws = _over_seeds(seeds[:, None] + 0.7 * clips)
    assert draws.var() == pytest.approx(seeds.var(ddof=1) / 4 + 0.49, rel=0.03)


def test_distinguishable_is_an_interval_without_zero():
    for interval, yes in (
        ((-1.0, 1.0), False), ((0.0, 0.0), False), ((0.0, 1.0), False), ((-1.0, 0.0), False),
        ((0.1, 1.0), True), ((-1.0, -0.1), True),
    ):  # fmt: skip
        assert Number(0.0, interval, (0.0,)).distinguishable == yes
    assert Number(0.5, (0.4, 0.6), (0.5,)).holds(0.6)
    assert not Number(0.5, (0.4, 0.6), (0.5,)).holds(0.61)
