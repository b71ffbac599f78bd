"""What a comparison says, in words and for programs, follows its numbers."""

import csv
import io
import json

import pytest

from evaluations import as_files, as_json, noisy, truth_file
from made_scores import made
from nearfar.metrics.comparison import compare
from nearfar.metrics.contest import contest
from nearfar.metrics.official import evaluate
from nearfar.scores.truth import Truth
from nearfar.study.standings import Standings, compare_files

TABLE, TRUTH = made(31, machines=2, each=30, ties=False)
SEEDS = [noisy(TABLE, 1.2, seed) for seed in (3, 4, 5)]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, table in (("a", TABLE), ("b", noisy(TABLE, 0.1)), ("c", noisy(TABLE, 3, 8))):
        as_json(tmp_path / f"{name}.json", table, TRUTH)
    return tmp_path


def test_two_that_differ_by_chance_and_two_that_do_not(files):
    text = compare_files(["a.json", "b.json"], draws=400).text
    found = compare(TABLE, noisy(TABLE, 0.1), TRUTH, draws=400)
    low, high = found.interval
    assert low < 0 < high
    reach = found.difference - low if found.difference > 0 else high - found.difference
    assert f"a − b: {found}" in text
    assert (
        f"not distinguishable: on these clips a difference counts from {100 * reach:.1f} " in text
    )
    text = compare_files(["c.json", "a.json"], draws=400).text
    assert "  distinguishable: a is better on clips like these" in text
    assert "not distinguishable" not in text


def test_the_table_has_every_figure_and_the_difference(files):
    lines = compare_files(["a.json", "b.json"], draws=50).text.splitlines()
    a, b = (evaluate(t, TRUTH, draws=50) for t in (TABLE, noisy(TABLE, 0.1)))
    assert lines[0].split() == ["machine", "system", "AUC(s)", "AUC(t)", "pAUC", "hmean"]
    cells = lines[1].split()
    assert cells[:3] == ["m_0", "a", f"{100 * a.table['auc_source'].machines['m_0']:.2f}"]
    difference = a.table["total"].machines["m_0"] - b.table["total"].machines["m_0"]
    assert f"{100 * difference:+.2f} ±" in lines[3]
    assert lines[3].split()[:3] == ["a", "−", "b"]
    (omega,) = (line for line in lines if line.startswith("a ") and "–" in line)
    assert omega.split() == ["a", f"{100 * a.score:.2f}", a.bounds]


def test_seeds_are_told_as_mean_and_spread(files):
    for number, table in enumerate(SEEDS):
        as_json(files / f"s{number}.json", table, TRUTH)
    found = compare_files(["a.json", "s=s0.json,s1.json,s2.json"], draws=200)
    standing, duel = found.contest.standings[1], found.contest.duels[0]
    (line,) = (x for x in found.text.splitlines() if x.startswith("s ") and "–" in x)
    mean, sd = f"{100 * standing.score:.2f}", f"{100 * standing.spread:.2f}"
    assert line.split()[-4:] == ["3", mean, "±", sd]
    assert f"{100 * duel.clips:.2f} points through the clips" in found.text
    assert f"{100 * duel.seeds:.2f} through the seeds" in found.text
    assert "one run of a:" in found.text
    assert "times the clips" not in found.text


def test_one_system_alone_is_told_over_its_seeds(files):
    found = compare_files(["s=a.json,b.json,c.json"], draws=50)
    assert found.contest.duels == ()
    assert "over seeds" in found.text
    json.dumps(found.as_dict(), allow_nan=False)


def test_many_comparisons_are_told_to_be_many_and_holm_is_named(files):
    asked = ["a.json", "b.json", "c.json"]
    plain = compare_files(asked, draws=100)
    assert "3 comparisons, each at 5 %" in plain.text
    assert "Holm's correction" in plain.text
    corrected = compare_files(asked, draws=100, holm=True)
    assert "3 comparisons, each" not in corrected.text
    for duel in corrected.contest.duels:
        assert f"p = {duel.adjusted:.3g} by Holm, among 3 comparisons" in corrected.text
    held = compare_files(asked, draws=100, against="c")
    assert [(d.first, d.second) for d in held.contest.duels] == [("a", "c"), ("b", "c")]
    assert "a − b" not in held.text


def test_what_only_the_company_hides_is_said():
    """Distinguishable alone, and not among many: then no size is named that it exceeds."""
    others = {f"n{k}": [noisy(TABLE, 0.3, k)] for k in range(9)}
    for seed in range(20):
        found = contest({"a": [TABLE], "b": [noisy(TABLE, 1.0, seed)], **others}, TRUTH, draws=200,
                        against="a", holm=True)  # fmt: skip
        (duel,) = (d for d in found.duels if d.first == "b")
        if duel.distinguishable is False and duel.comparison.p < 0.04:
            break
    words = Standings(found).words(duel)
    assert words == "not distinguishable among 10 comparisons; as the only comparison it would be"


def test_score_files_and_evaluations_give_the_same(files):
    as_files(files / "fa", TABLE)
    as_files(files / "fb", noisy(TABLE, 0.1))
    truth = truth_file(files / "truth.csv", TRUTH)
    by_files = compare_files(["fa", "fb"], truth, draws=100).contest
    by_json = compare_files(["fa=a.json", "fb=b.json"], draws=100).contest
    assert by_files == by_json


def test_every_number_goes_with_the_words_that_belong_to_it(files):
    words = "SIMULATED data, seed 7"
    as_json(files / "x.json", noisy(TABLE, 1, 3), TRUTH, transductive=True,
            settings={"data": words})  # fmt: skip
    found = compare_files(["a.json", "x.json"], transductive=True, draws=50)
    lines = found.text.splitlines()
    assert lines[0] == words
    for line in lines[1:]:
        if line.split()[:1] == ["x"] or "− x" in line or line.startswith("         a − x"):
            assert "transductive" in line, line
    data = found.as_dict()
    assert data["transductive"] == ["x"]
    assert data["settings"]["data"] == words


def test_for_programs(files):
    found = compare_files(["a.json", "c.json"], draws=60)
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (data["schema"], data["rule"], data["settings"]["draws"]) == (1, "omega", 60)
    assert [s["name"] for s in data["systems"]] == ["a", "c"]
    assert data["systems"][0]["score"] == evaluate(TABLE, TRUTH, draws=0).score
    (difference,) = data["differences"]
    wanted = compare(TABLE, noisy(TABLE, 3, 8), TRUTH, draws=60)
    assert difference["interval"] == list(wanted.interval)
    assert (difference["p"], difference["distinguishable"]) == (wanted.p, True)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [(r["machine"], r["system"], r["minus"]) for r in rows[:4]] == [
        ("m_0", "a", ""), ("m_0", "c", ""), ("m_0", "a", "c"), ("m_1", "a", ""),
    ]  # fmt: skip
    assert (
        float(rows[0]["auc_source"]) == data["systems"][0]["machines"]["m_0"]["auc_source"]["value"]
    )


def test_where_nobody_can_tell_that_is_said(files):
    table, truth = made(4, machines=1, each=1, ties=False)
    keep = [n for n, r in enumerate(truth.rows) if r.file.endswith("_0.wav")]
    table = type(table)(tuple(table.rows[n] for n in keep))
    truth = Truth(tuple(truth.rows[n] for n in keep))
    as_json(files / "x.json", table, truth)
    as_json(files / "y.json", noisy(table, 9), truth)
    found = compare_files(["x.json", "y.json"], draws=50)
    assert "nobody can tell" in found.text
    assert found.as_dict()["differences"][0]["distinguishable"] is None


def test_a_small_difference_is_told_what_it_would_take():
    found = Standings(contest({"a": [TABLE], "b": [noisy(TABLE, 0.1)]}, TRUTH, draws=300))
    duel = found.contest.duels[0]
    times = (duel.needed(power=0.8) / duel.comparison.difference) ** 2
    said = "over 100 times the clips" if times > 100 else f"{float(f'{times:.3g}'):g} times"
    assert said in found.text
