"""Many systems: pairs as `compare` has them, seeds beside clips, Holm by its laws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from evaluations import noisy
from made_scores import made
from nearfar.errors import DatasetError, SettingError
from nearfar.metrics.comparison import Comparison, compare
from nearfar.metrics.contest import ALL, Duel, adjust, contest
from nearfar.metrics.coverage import Cells
from nearfar.metrics.delong import auc_error
from nearfar.metrics.evaluation import RULES
from nearfar.metrics.official import bootstrap, evaluate
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth

TABLE, TRUTH = made(14, machines=3, each=30, ties=False)
OTHER, THIRD = noisy(TABLE, 0.3, 1), noisy(TABLE, 0.6, 2)


@pytest.fixture(scope="module")
def three():
    return contest({"a": [TABLE], "b": [OTHER], "c": [THIRD]}, TRUTH, draws=300)


def test_each_is_what_evaluate_says_and_each_pair_what_compare_says(three):
    """To the bit: the same draws, the same sums."""
    for standing, table in zip(three.standings, (TABLE, OTHER, THIRD), strict=True):
        alone = evaluate(table, TRUTH, draws=300)
        assert (standing.score, standing.interval) == (alone.score, alone.interval)
        for machine, total in alone.table["total"].machines.items():
            assert standing.machines[machine]["total"].value == total
        for name in three.rule.figures:
            assert standing.machines[ALL][name].value == alone.table[name].harmonic
    assert [(d.first, d.second) for d in three.duels] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert three.duels[0].comparison == compare(TABLE, OTHER, TRUTH, draws=300)
    assert three.duels[2].comparison == compare(OTHER, THIRD, TRUTH, draws=300)


@pytest.mark.parametrize(("domains", "rule"), [(False, "2020"), (True, "2021"), (True, "omega")])
def test_every_years_rule(domains, rule):
    table, truth = made(3, each=8, domains=domains)
    found = contest({"a": [table], "b": [noisy(table, 0.5)]}, truth, draws=60, rule=rule)
    alone = evaluate(table, truth, rule=rule, draws=60)
    assert found.rule.name == rule
    assert (found.standings[0].score, found.standings[0].interval) == (alone.score, alone.interval)
    assert set(found.standings[0].machines["m_0"]) == {*found.rule.figures, "total"}


def test_errors_of_a_machine(three):
    """Of an AUC DeLong's; of what has no formula the spread of its draws."""
    machine = [i for i, r in enumerate(TABLE.rows) if r.machine == "m_1"]
    label = {(r.machine, r.file): r for r in TRUTH.rows}
    rows = [(TABLE.rows[i].score, label["m_1", TABLE.rows[i].file]) for i in machine]
    anomalous = [s for s, truth in rows if truth.label == "anomaly"]
    source = [s for s, truth in rows if truth.label == "normal" and truth.domain == "source"]
    readings = three.standings[0].machines["m_1"]
    assert readings["auc_source"].error == pytest.approx(auc_error(source, anomalous), rel=1e-12)
    drawn = bootstrap(TABLE, TRUTH, draws=300)
    assert three.standings[0].machines[ALL]["total"].error == pytest.approx(drawn.std(ddof=1))
    both = three.duels[0].machines[ALL]["total"]
    wanted = drawn - bootstrap(OTHER, TRUTH, draws=300)
    assert both.error == pytest.approx(wanted.std(ddof=1)) == three.duels[0].clips
    assert both.value == pytest.approx(three.duels[0].comparison.difference)


def test_sections_of_a_machine_are_one_row():
    """Their clips are others, so errors add as squares."""
    table, truth = made(8, machines=2, each=9, ties=False)
    parted = [tuple(replace(r, machine="fan", section=r.machine[-1].zfill(2)) for r in rows)
              for rows in (table.rows, truth.rows)]  # fmt: skip
    scores, labels = ScoreTable(parted[0]), Truth(parted[1])
    apart = contest({"a": [table], "b": [noisy(table, 1)]}, truth, draws=50)
    together = contest({"a": [scores], "b": [noisy(scores, 1)]}, labels, draws=50)
    alone = evaluate(scores, labels, draws=0)
    row = together.standings[0].machines["fan"]
    assert row["total"].value == alone.table["total"].machines["fan"]
    parts = [apart.standings[0].machines[m]["auc_target"] for m in ("m_0", "m_1")]
    assert row["auc_target"].value == pytest.approx(sum(p.value for p in parts) / 2)
    assert row["auc_target"].error == pytest.approx(math.hypot(*(p.error for p in parts)) / 2)


def test_of_seeds_it_is_the_mean_and_their_spread():
    runs = [noisy(TABLE, 0.5, seed) for seed in (1, 2, 3)]
    found = contest({"a": [TABLE], "s": runs}, TRUTH, draws=200)
    numbers = [evaluate(run, TRUTH, draws=0).score for run in runs]
    standing = found.standings[1]
    assert standing.runs == tuple(numbers)
    assert standing.score == pytest.approx(np.mean(numbers))
    assert standing.spread == pytest.approx(np.std(numbers, ddof=1))
    drawn = np.mean([bootstrap(run, TRUTH, draws=200) for run in runs], axis=0)
    assert standing.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    duel = found.duels[0]
    assert duel.seeds == pytest.approx(standing.spread / math.sqrt(3))
    assert duel.comparison.difference == pytest.approx(found.standings[0].score - standing.score)


def test_the_interval_of_groups_holds_both_sources():
    """As wide as the clips' alone where runs agree; wider the more they differ."""
    rng = np.random.default_rng(0)
    same = contest({"a": [TABLE] * 3, "b": [OTHER] * 3}, TRUTH, draws=400)
    single = contest({"a": [TABLE], "b": [OTHER]}, TRUTH, draws=400)
    assert same.duels[0].seeds < 1e-12
    for tripled, one in zip(same.standings, single.standings, strict=True):
        for machine, row in one.machines.items():
            for name, wanted in row.items():
                assert tripled.machines[machine][name].error == pytest.approx(wanted.error)
    assert same.duels[0].comparison.interval == pytest.approx(single.duels[0].comparison.interval)
    anomalies = {(r.machine, r.file) for r in TRUTH.rows if r.label == "anomaly"}

    def other_seed(table):
        by = rng.normal()  # one step of all anomalies: much for seeds, little for clips
        return ScoreTable(
            tuple(replace(r, score=r.score + by * ((r.machine, r.file) in anomalies))
                  for r in table.rows)
        )  # fmt: skip

    wide = contest({"a": [other_seed(TABLE) for _ in range(6)], "b": [OTHER]}, TRUTH, draws=400)
    duel = wide.duels[0]
    low, high = duel.comparison.interval
    assert duel.seeds > 2 * duel.clips
    # Student's t of 5 degrees of freedom alone; clips make it wider, 400 draws uncertain.
    assert high - low > 0.8 * 2 * 2.571 * duel.seeds


@pytest.mark.slow
def test_groups_of_seeds_cover_the_truth():
    """Two equal recipes, fresh clips and fresh seeds: the interval holds 0 as often as promised."""
    rng, held, claimed = np.random.default_rng(11), 0, 0
    rounds = 150
    for number in range(rounds):
        table, truth = made(7000 + number, machines=2, each=25, ties=False)
        anomalies = {(r.machine, r.file) for r in truth.rows if r.label == "anomaly"}

        def run(table=table, anomalies=anomalies):
            by, seed = 0.35 * rng.normal(), int(rng.integers(1 << 30))
            return noisy(
                ScoreTable(
                    tuple(replace(r, score=r.score + by * ((r.machine, r.file) in anomalies))
                          for r in table.rows)
                ), 0.4, seed,
            )  # fmt: skip

        groups = {name: [run() for _ in range(3)] for name in "ab"}
        duel = contest(groups, truth, draws=300).duels[0]
        low, high = duel.comparison.interval
        held += low <= 0 <= high
        claimed += bool(duel.distinguishable)
    assert held >= 0.92 * rounds  # sd 1.8 %
    assert claimed <= 0.08 * rounds
    # Without the seeds' share the same intervals would have been far too narrow.


def test_one_system_may_be_what_others_are_held_against():
    systems = {"a": [TABLE], "b": [OTHER], "c": [THIRD]}
    found = contest(systems, TRUTH, draws=60, against="b")
    assert [(d.first, d.second) for d in found.duels] == [("a", "b"), ("c", "b")]
    assert found.duels[1].comparison == compare(THIRD, OTHER, TRUTH, draws=60)
    refused(lambda: contest(systems, TRUTH, draws=60, against="bb"), "'bb'", error=SettingError)


def test_holm_by_the_book():
    """S. Holm's step-down, as R's p.adjust has it."""
    assert adjust([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert adjust([0.9, 0.001]) == pytest.approx([0.9, 0.002])
    assert adjust([]) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_monotone_and_never_below_p(p):
    found = adjust(p)
    assert all(one >= raw and one <= 1 for one, raw in zip(found, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert list(np.array(found)[order]) == sorted(found)
    # Of one test nothing is raised; of several at most by their number (Bonferroni).
    assert all(one <= min(1, len(p) * raw) + 1e-15 for one, raw in zip(found, p, strict=True))


def test_holm_raises_what_is_called_distinguishable():
    found = contest({"a": [TABLE], "b": [OTHER], "c": [THIRD]}, TRUTH, draws=300, holm=True)
    plain = [duel.comparison.p for duel in found.duels]
    assert [duel.adjusted for duel in found.duels] == adjust(plain)
    for duel in found.duels:
        low, high = duel.comparison.interval
        assert duel.distinguishable == ((low > 0 or high < 0) and duel.adjusted <= 0.05)


def test_what_a_test_set_can_show(three):
    """The interval towards 0 counts; with 80 % power it takes (1.96 + 0.84)/1.96 of that."""
    for duel in three.duels:
        (low, high), difference = duel.comparison.interval, duel.comparison.difference
        assert duel.needed() == difference - low if difference > 0 else high - difference
        assert duel.needed(0.8) / duel.needed() == pytest.approx(2.8016 / 1.95996, rel=1e-4)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6))
def test_no_difference_is_large_enough_and_not_distinguishable(seed):
    rng = np.random.default_rng(seed)
    drawn = rng.normal(rng.normal(), 1, size=99) ** int(rng.integers(1, 3)), np.zeros(99)
    scores = float(drawn[0].mean() + 0.3 * rng.normal()), 0.0
    found = Comparison.of_draws(RULES["omega"], scores, drawn, Cells(7, fewest=50))
    duel = Duel("a", "b", found, clips=1.0, seeds=0.0, machines={})
    if found.interval[0] <= 0 <= found.interval[1]:
        assert not duel.distinguishable
        assert duel.needed() >= abs(found.difference) - 1e-12


def test_a_difference_of_which_clips_say_nothing():
    """One clip a cell: no interval, so no verdict, and seeds make none."""
    table, truth = made(4, machines=1, each=1, ties=False)
    first = {(r.machine, r.section, r.file) for r in truth.rows if r.file.endswith("_0.wav")}
    scores = ScoreTable(tuple(r for r in table.rows if (r.machine, r.section, r.file) in first))
    labels = Truth(tuple(r for r in truth.rows if (r.machine, r.section, r.file) in first))
    found = contest({"a": [scores, noisy(scores, 3)], "b": [noisy(scores, 9, 5)]}, labels, draws=50)
    duel = found.duels[0]
    assert (duel.comparison.interval, duel.distinguishable, duel.needed()) == (None, None, None)
    held = contest({"a": [scores], "b": [noisy(scores, 9)]}, labels, draws=50, holm=True)
    assert held.duels[0].adjusted is None


def test_impossible_contests_are_refused():
    refused(lambda: contest({}, TRUTH), "without scores", error=SettingError)
    refused(lambda: contest({"a": []}, TRUTH), "without scores", error=SettingError)
    refused(lambda: contest({"a": [TABLE]}, TRUTH, draws=1), "1 draws", error=SettingError)
    named = [type(x)(tuple(replace(r, machine="all") if r.machine == "m_1" else r for r in x.rows))
             for x in (TABLE, TRUTH)]  # fmt: skip
    refused(lambda: contest({"a": [named[0]]}, named[1], draws=2), "'all'", error=DatasetError)
    fewer = ScoreTable(TABLE.rows[1:])
    refused(lambda: contest({"a": [TABLE], "b": [fewer]}, TRUTH), "no score", error=DatasetError)
