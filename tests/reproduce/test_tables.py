"""Every cell of the tables, from values whose answer is known."""

import json
import re

import numpy as np
import pytest

from nearfar.metrics.coverage import Cells
from nearfar.metrics.evaluation import RULES
from nearfar.metrics.official import Drawn
from nearfar.reproduce.entries import ENTRIES, TABLES
from nearfar.reproduce.reported import SYSTEMS, load
from nearfar.reproduce.tables.numbers import Figures
from nearfar.reproduce.tables.table import DASH, Table, per_cent, points
from nearfar.reproduce.tables.tables import TABLE_2, Tables
from nearfar.training.settings import FineTuning
from reproduced import cells

REPORT = load()
OFFICIAL = REPORT.data.machines
SEEDS = (0, 1, 2, 3)


def made(values, rule="omega", machines=OFFICIAL, seeds=SEEDS, noise=0.0):
    """Figures whose entries have given numbers: name → (machines, figures), 0–1."""
    places, rows = {}, []
    for name, value in values.items():
        count = len(seeds) if ENTRIES[name].seeds == "each" else 1
        places[name] = list(range(len(rows), len(rows) + count))
        rows += [value] * count
    points_ = np.array(rows, dtype=float)
    rng = np.random.default_rng(0)
    drawn = points_[:, None] + noise * rng.standard_normal((len(rows), 40, *points_.shape[1:]))
    cells = Cells(len(machines), fewest=50)
    return Figures(places, Drawn(RULES[rule], tuple(machines), points_, drawn, cells))


def of_report(system):
    cells = REPORT.table2.machines
    return [[cells[m][f][system] / 100 for f in ("AUC(s)", "AUC(t)", "pAUC")] for m in OFFICIAL]


def like_report(noise=0.0):
    """Table 2's own numbers; every other entry has one of its own everywhere."""
    flat = {name: np.full((7, 3), 0.5 + 0.01 * n) for n, name in enumerate(ENTRIES)}
    flat["frozen"], flat["near"] = np.full((7, 3), 0.5627), np.full((7, 3), 0.6207)
    return made({**flat, **{n: of_report(s) for n, s in TABLE_2.items()}}, noise=noise)


def all_tables(found, reported, seeds=SEEDS):
    maker = Tables(found, reported, seeds, FineTuning(), 42)
    return {t.name: t for name in TABLES for t in maker.make(name)}


def number(text):
    return float(text.replace("−", "-").replace("≤ ", ""))


def test_the_reports_own_numbers_differ_from_the_report_by_nothing():
    found = all_tables(like_report(), REPORT)
    head, body = cells(found["table2"])
    assert head[2:14:3] == list(SYSTEMS)
    assert len(body) == 7 * 3 + 2
    for row in body[:-2]:
        for n in range(4):
            own, theirs, minus = row[2 + 3 * n : 5 + 3 * n]
            assert own == theirs == f"{REPORT.table2.machines[row[0]][row[1]][SYSTEMS[n]]:.2f}"
            assert minus == "0.00"
    omegas = body[-2]
    assert omegas[:2] == ["all", "Ω"]
    for n, system in enumerate(SYSTEMS):
        assert omegas[3 + 3 * n] == f"{REPORT.table2.omega[system]:.2f}"
        assert abs(number(omegas[4 + 3 * n])) <= 0.01
    _, single = cells(found["table2-text"])
    assert [abs(number(row[-2])) <= 0.05 for row in single] == [True] * 4
    _, ablation = cells(found["table3"])
    assert [row[-3] for row in ablation] == ["56.27", "62.07", "64.41"]
    assert [abs(number(row[-2])) <= 0.011 for row in ablation] == [True] * 3


def test_above_the_report_is_plus():
    better = like_report()
    better.drawn.figures[better.places["s4"]] += 0.05
    _, body = cells(all_tables(better, REPORT)["table2"])
    assert {row[13] for row in body[:-2]} == {"+5.00"}
    assert {row[4] for row in body[:-2]} == {"0.00"}
    head, body = cells(all_tables(better, REPORT)["2-differences"])
    rows = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert rows["System 1 over System 4"]["report"] == "+2.26"  # 64.41 − 62.15
    assert rows["System 3 over System 4"]["report"] == "+0.19"
    assert number(rows["System 1 over System 4"]["Δ"]) < 0
    assert rows["System 4 over the floor"]["report"] == DASH


def test_ours_minus_the_reports_everywhere():
    """In cells, in points; in the JSON, shares: 0–1."""
    shown = 0
    for table in all_tables(like_report(noise=0.02), REPORT).values():
        head, body = cells(table)
        data = table.to_data().get("comparisons") or table.to_data().get("rows")
        if data is None:
            continue
        for row, told in zip(body, data, strict=True):
            row = dict(zip(head, row, strict=True))
            value = told["difference"] if "difference" in told else told["value"]
            own = row.get("points") or row["Ω, %"]
            assert number(own) == pytest.approx(100 * value, abs=0.0051)
            assert abs(value) < 1
            if told.get("report") is None:
                assert row["Δ"] == DASH
                no_gain = "no" if told["interval"][0] > 0 else "yes"
                assert row["report within"] == (no_gain if "relation" in told else DASH)
                assert row["report"] in (DASH, "no gain")
                assert "ours_minus_report" not in told or told["ours_minus_report"] is None
                continue
            shown += 1
            assert row["report within"] == ("yes" if told["report_within"] else "no")
            assert 0 < abs(told["report"]) < 1
            assert told["ours_minus_report"] == pytest.approx(value - told["report"])
            assert number(row["report"]) == pytest.approx(100 * told["report"], abs=1e-9)
            assert number(row["Δ"]) == pytest.approx(
                100 * value - number(row["report"]), abs=0.0051
            )
            low, high = told["interval"]
            inside = low <= told["report"] and (
                told["report"] <= high or told.get("relation") == "at most"
            )
            assert row["report within"] == ("yes" if inside else "no")
    assert shown >= 20


def test_claims_without_an_equals_sign():
    head, body = cells(all_tables(like_report(), REPORT)["text-differences"])
    rows = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert rows["DANN over none"]["report"] == "≤ +0.2"
    assert rows["MixStyle over none"]["report"] == "no gain"
    assert rows["MixStyle over none"]["Δ"] == DASH
    # Ours: dann is far below System 1, so it is at most 0.2 points above it.
    assert number(rows["DANN over none"]["points"]) < 0
    assert rows["DANN over none"]["report within"] == "yes"


def test_tables_without_the_report_do_not_speak_of_it():
    found = all_tables(like_report(noise=0.02), None)
    assert "table2-text" not in found
    for table in found.values():
        cells(table)
        for text in (table.markdown(), json.dumps(table.to_data())):
            assert not re.search("report|Δ(?!Ω)|Morita", text), table.name


def test_json_says_what_the_cells_say():
    table = all_tables(like_report(noise=0.02), REPORT)["table2"]
    data = json.loads(json.dumps(table.to_data(), allow_nan=False))
    head, body = cells(table)
    places = {**{n: 2 + 3 * i for i, n in enumerate(TABLE_2)}, "logmel": 14}
    for row in body[:-2]:
        for name, place in places.items():
            value = data["figures"][name][row[0]][row[1]]
            assert number(row[place]) == pytest.approx(100 * value, abs=0.0051)
            if name != "logmel":
                theirs = data["report_figures"][name][row[0]][row[1]]
                assert number(row[place + 1]) == pytest.approx(100 * theirs)
                minus = data["figures_minus_report"][name][row[0]][row[1]]
                assert minus == pytest.approx(value - theirs)
    for name, place in places.items():
        told = data["omega"][name]
        assert number(body[-2][place]) == pytest.approx(100 * told["value"], abs=0.0051)
        low, high = body[-1][place].split(" to ")
        assert [number(low), number(high)] == pytest.approx(
            [100 * v for v in told["interval"]], abs=0.0051
        )
    assert head[14] == "floor (log-mel)"


@pytest.mark.parametrize("rule", ["2020", "2021"])
def test_data_of_other_rules_have_tables_too(rule):
    """Without domains there is no Ω: found out before the last hour of a run, not in it."""
    shape = (2, len(RULES[rule].figures))
    values = {name: np.full(shape, 0.5 + 0.01 * n) for n, name in enumerate(ENTRIES)}
    found = all_tables(made(values, rule, ("fan", "pump"), (0,)), None, (0,))
    _, body = cells(found["table2"])
    titles = {"2020": ["AUC", "pAUC"], "2021": ["AUC(s)", "AUC(t)", "pAUC(s)", "pAUC(t)"]}[rule]
    assert [row[1] for row in body] == [*titles, *titles, "score", "95 % interval"]


def test_one_seed_reads_well():
    values = {name: np.full((7, 3), 0.6) for name in ENTRIES}
    found = all_tables(made(values, seeds=(0,)), None, (0,))
    text = "\n".join(t.markdown() for t in found.values())
    assert "1 seeds" not in text
    assert not re.search(r"nan|inf\b|[−+]0\.00\b", text)
    assert {row[4] for row in cells(found["text-differences"])[1]} == {"no"}


def test_cells():
    assert per_cent(0.64412) == "64.41"
    assert per_cent(None) == points(None) == DASH
    assert [points(x) for x in (0.0, -0.0, -1e-6, 1e-6, 4.9e-5, -4.9e-5)] == ["0.00"] * 6
    assert [points(x) for x in (0.1, -0.1, 5.1e-5, -5.1e-5)] == [
        "+10.00",
        "−10.00",
        "+0.01",
        "−0.01",
    ]
    assert [points(x, 1) for x in (4e-4, -4e-4, -6e-4, 0.01)] == ["0.0", "0.0", "−0.1", "+1.0"]
    odd = Table("x", "X", ["", "a|b"], [["one\ntwo | three", "4"]])
    assert cells(odd) == (["", "a\\|b"], [["one two \\| three", "4"]])


def test_every_reading_has_the_one_number_of_the_report_beside_it():
    found = all_tables(like_report(), REPORT)
    head, body = cells(found["readings-systems"])
    told = {row[0]: row[head.index("report")] for row in body}
    assert {told[title] for title in told if title.startswith("EAT alone")} == {"60.96"}
    assert {told[title] for title in told if title.startswith("System 3")} == {"62.34"}
    assert {told[title] for title in told if title.startswith("System 4")} == {"62.15"}
    # Two readings of one number: of their difference the report says nothing.
    head, body = cells(found["readings-differences"])
    assert {row[head.index("report")] for row in body} == {DASH}
