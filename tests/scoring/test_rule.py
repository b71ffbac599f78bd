"""The scoring rule: weighted distances to the nearest rows, high = anomalous."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.errors import SettingError
from nearfar.scoring.bank import MemoryBank
from nearfar.scoring.rule import KNN, Rule, judged_beside

METRICS = ("cosine", "euclidean")


def bank_of(rows=20, dim=4, seed=0):
    x = np.random.default_rng(seed).standard_normal((rows, dim))
    return MemoryBank(x, np.arange(rows), np.zeros(rows, np.int8))


def queries_of(n=9, dim=4, seed=1):
    return np.random.default_rng(seed).standard_normal((n, dim))


def plain_distances(query, rows, metric):
    if metric == "euclidean":
        return sorted(np.sqrt(((rows - query) ** 2).sum(axis=1)))
    cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    return sorted(1 - cosines)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("weights", [(1.0,), (1.0, -0.35, -0.05), (0.0, 2.0), (-1,)])
def test_the_score_is_the_weighted_sum_of_sorted_distances(metric, weights):
    """Eq. 3 and Eq. 4 by a plain program."""
    bank, queries = bank_of(), queries_of()
    expected = [
        sum(
            w * d
            for w, d in zip(weights, plain_distances(q, bank.embeddings, metric), strict=False)
        )
        for q in queries
    ]
    np.testing.assert_allclose(KNN(weights, metric)(queries, bank), expected, rtol=1e-9, atol=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=4), st.floats(0.01, 100))
def test_a_factor_of_all_weights_is_a_factor_of_the_score(weights, factor):
    bank, queries = bank_of(), queries_of()
    one = KNN(tuple(weights), "euclidean")(queries, bank)
    other = KNN(tuple(w * factor for w in weights), "euclidean")(queries, bank)
    np.testing.assert_allclose(other, one * factor, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_a_query_scores_the_same_bits_alone(metric):
    rule, bank, queries = KNN((1.0, -0.35, -0.05), metric), bank_of(300), queries_of(70)
    together = rule(queries, bank)
    assert [float(rule(q[None], bank)[0]) for q in queries] == together.tolist()


def test_farther_away_is_more_anomalous():
    bank = MemoryBank(np.zeros((1, 1)), np.zeros(1, np.int64), np.zeros(1, np.int8))
    scores = KNN(metric="euclidean")(np.array([[0.0], [1.0], [3.0]]), bank)
    assert scores.tolist() == [0, 1, 3]


def test_a_clip_left_out_is_not_its_own_neighbour():
    bank = bank_of(6)
    rule = KNN(metric="euclidean")
    assert rule(bank.embeddings, bank).tolist() == [0] * 6
    assert (rule(bank.embeddings, bank, leave_out=bank.origin) > 0).all()
    nobody = np.full(6, -1)
    assert rule(bank.embeddings, bank, leave_out=nobody).tolist() == [0] * 6


def test_what_the_report_writes():
    """§2.4: Systems 1 and 2, System 3, System 4."""
    assert KNN() == KNN(weights=(1.0,), metric="cosine")
    assert [KNN(w).neighbours for w in ((1.0,), (1.0, -0.35, -0.05))] == [1, 3]
    assert isinstance(KNN(), Rule)


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": ()}, {"weights": [1.0]}, {"weights": ("1",)}, {"weights": (float("nan"),)},
        {"weights": (float("inf"),)}, {"weights": 1.0}, {"metric": "manhattan"}, {"metric": None},
    ],
)  # fmt: skip
def test_impossible_settings_are_one_line(settings):
    with pytest.raises(SettingError, match=r"KNN\.") as caught:
        KNN(**settings)
    assert "\n" not in str(caught.value)


class Counting(MemoryBank):
    """A bank that knows how often it was searched."""

    def neighbours(self, *arguments, **named):
        self.__dict__["searches"] = self.__dict__.get("searches", 0) + 1
        return super().neighbours(*arguments, **named)


class Doubled(KNN):
    """Somebody's own, derived from ours."""

    def __call__(self, z, bank, leave_out=None):
        return 2 * super().__call__(z, bank, leave_out)


@pytest.mark.parametrize("rule", [KNN(), KNN((1.0, -0.35, -0.05), "euclidean"), Doubled((1.0,))])
def test_the_nearest_row_beside_a_score_is_the_one_that_a_search_finds(rule):
    # Twins: of rows at the same distance the earlier is the nearest, whatever k is.
    rows = np.repeat(bank_of().embeddings, 2, axis=0)
    bank = Counting(rows, np.arange(len(rows)), np.zeros(len(rows), np.int8))
    queries = np.concatenate([queries_of(), rows[:3]])
    scores, distances, nearest = judged_beside(rule, queries, bank)
    searches = bank.__dict__["searches"]
    assert scores.tolist() == rule(queries, bank).tolist()
    expected, places = bank.neighbours(queries, 1, rule.metric)
    assert distances.tolist() == expected[:, 0].tolist()
    assert nearest.tolist() == places[:, 0].tolist()
    # One search for both, where the rule is known to weigh what it finds.
    assert searches == (1 if type(rule) is KNN else 2)


def test_a_rule_of_ones_own_is_asked_and_held_to_its_contract():
    class Broken(Doubled):
        def __call__(self, z, bank, leave_out=None):
            return np.full(len(z), np.nan)

    with pytest.raises(SettingError, match="NaN"):
        judged_beside(Broken(), queries_of(), bank_of())
    far = np.full((1, 4), 1e200)  # whose squared distance is no number any more
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(SettingError, match="NaN"):
        judged_beside(KNN((1.0, -1.0), "euclidean"), far, bank_of())
