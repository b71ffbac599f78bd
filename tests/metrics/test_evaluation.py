"""The number of each year, computed again clip by clip; what is undefined is an error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import hmean
from sklearn.metrics import precision_recall_fscore_support

from conftest import DATA
from made_scores import by_hand, made
from nearfar.clips import Clip
from nearfar.errors import DatasetError
from nearfar.metrics.evaluation import FIGURES
from nearfar.metrics.official import evaluate
from nearfar.scores.files import read_scores
from nearfar.scores.join import ScoreTable, join
from nearfar.scores.truth import Truth, read_truth
from nearfar.scores.verdict import Scores, Verdict

GOLD: dict[str, Any] = json.loads((DATA / "eval" / "gold.json").read_text())["cases"]


@pytest.mark.parametrize(("rule", "mean"), [("omega", hmean), ("2021", hmean), ("2020", np.mean)])
def test_the_number_of_each_year(rule: Any, mean: Any) -> None:
    table, truth = made(1, machines=3)
    result = evaluate(table, truth, draws=0, rule=rule)
    values = [by_hand(section, section.scores, rule) for section in join(table.rows, truth)]
    assert result.score == pytest.approx(mean(np.ravel(values)), abs=1e-12)
    assert result.rule == rule
    assert result.omega == (result.score if rule == "omega" else None)
    assert result.interval is None
    for name, row in zip(result.machines, values, strict=True):
        assert result.table["total"].machines[name] == pytest.approx(mean(row))
    assert ("Ω =" in str(result)) == (rule == "omega")
    assert (f"(rule of {rule})" in str(result)) == (rule != "omega")


def test_data_without_domains_have_the_number_of_2020() -> None:
    table, truth = made(2, domains=False)
    result = evaluate(table, truth, draws=10)
    assert (result.rule, result.omega) == ("2020", None)
    figures = result.machines["m_0"]["00"]
    assert (figures.auc_source, figures.pauc_target, figures.f1_source) == (None, None, None)
    assert figures.counts == {"normal": 6, "anomaly": 7}
    assert figures.f1 is not None
    assert result.overall.harmonic.f1 is not None
    assert result.overall.source_harmonic is None
    assert result.to_dict()["omega"] is None
    with pytest.raises(DatasetError, match=r"m_0, section 00: no normal clip of the source domain"):
        evaluate(table, truth, rule="omega")


def test_decisions_count_as_scikit_learn_counts_them() -> None:
    table, truth = made(3)
    result = evaluate(table, truth, draws=0)
    for section in join(table.rows, truth):
        assert section.target is not None
        assert section.decisions is not None
        for suffix, chosen in (("", section.target >= 0), ("_target", section.target)):
            expected = precision_recall_fscore_support(
                section.anomalous[chosen], section.decisions[chosen], average="binary"
            )
            figures = result.machines[section.machine]["00"]
            found = [figures[name + suffix] for name in ("precision", "recall", "f1")]
            assert found == pytest.approx(list(expected[:3]))


def test_only_names_join_and_only_the_order_of_scores_counts() -> None:
    table, truth = made(4)
    whole = evaluate(table, truth, draws=200)
    rng = np.random.default_rng(0)
    shuffled = ScoreTable(tuple(table.rows[k] for k in rng.permutation(len(table.rows))))
    relabelled = Truth(tuple(truth.rows[k] for k in rng.permutation(len(truth.rows))))
    assert evaluate(shuffled, relabelled, draws=200) == whole
    bent = ScoreTable(tuple(replace(r, score=float(np.exp(r.score) - 9)) for r in table.rows))
    assert evaluate(bent, truth, draws=200) == whole
    turned = ScoreTable(tuple(replace(r, score=-r.score) for r in table.rows))
    upside_down = evaluate(turned, truth, draws=0).machines["m_0"]["00"]
    for name in ("auc", "auc_source", "auc_target", "auc_within_source"):
        before = whole.machines["m_0"]["00"][name]
        assert before is not None
        assert upside_down[name] == pytest.approx(1 - before, abs=1e-15)


@pytest.mark.parametrize(
    ("label", "domain", "rule", "named"),
    [
        ("normal", "source", None, ("AUC(s)", "no normal clip of the source domain")),
        ("normal", "target", None, ("AUC(t)", "no normal clip of the target domain")),
        ("anomaly", None, None, ("AUC(s)", "no anomaly")),
        ("anomaly", "target", "2021", ("AUC(t)", "no anomaly of the target domain")),
        ("normal", None, "2020", ("AUC", "no normal clip")),
    ],
)
def test_an_undefined_figure_is_an_error(
    label: str, domain: str | None, rule: Any, named: tuple[str, str]
) -> None:
    table, truth = made(5)
    gone = {r.file for r in truth.rows if r.label == label and domain in (None, r.domain)}
    keep = [(r.machine, r.file) for r in truth.rows if r.machine == "m_0" or r.file not in gone]
    table = ScoreTable(tuple(r for r in table.rows if (r.machine, r.file) in keep))
    truth = Truth(tuple(r for r in truth.rows if (r.machine, r.file) in keep))
    with pytest.raises(DatasetError) as error:
        evaluate(table, truth, rule=rule)
    message = str(error.value)
    assert [part for part in ("m_1, section 00", *named) if part not in message] == []
    assert "\n" not in message


def test_a_figure_outside_the_number_may_be_undefined() -> None:
    """Anomalies of one domain suffice for Ω: both AUCs share them."""
    table, truth = made(6)
    keep = {r.file for r in truth.rows if r.label == "normal" or r.domain == "source"}
    table = ScoreTable(tuple(r for r in table.rows if r.file in keep))
    truth = Truth(tuple(r for r in truth.rows if r.file in keep))
    result = evaluate(table, truth, draws=20)
    figures = result.machines["m_0"]["00"]
    assert (figures.pauc_target, figures.auc_within_target, figures.f1_target) == (None,) * 3
    assert figures.f1_source is not None
    assert result.overall.target_harmonic is not None
    assert result.overall.target_harmonic.f1 is None
    json.dumps(result.to_dict(), allow_nan=False)


def test_the_dictionary_is_json_and_says_the_same() -> None:
    table, truth = made(7)
    result = evaluate(table, truth, draws=30, confidence=0.9)
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["omega"] == result.omega
    assert told["interval"] == list(result.interval or ())
    assert (told["draws"], told["confidence"], told["rule"]) == (30, 0.9, "omega")
    for name in FIGURES:
        assert told["machines"]["m_1"]["00"][name] == result.machines["m_1"]["00"][name]
    counts = told["machines"]["m_1"]["00"]["counts"]
    assert counts["normal"] == counts["normal_source"] + counts["normal_target"]


def test_the_table_has_the_reports_rows() -> None:
    folder = DATA / "eval" / "sections_2022style"
    result = evaluate(read_scores(folder), read_truth(folder), draws=100)
    lines = str(result).splitlines()
    assert lines[0].split() == ["machine", "AUC(s)", "AUC(t)", "pAUC", "hmean"]
    assert [line.split()[0] for line in lines[1:10]] == [
        "fan", "03", "04", "05", "valve", "03", "04", "05", "all"
    ]  # fmt: skip
    assert len({len(line) for line in lines[:10]}) == 1  # aligned
    gold = GOLD["sections_2022style"]["evaluator2024"]["machines"]["fan"]["sections"]["04"]
    names = ("AUC (source)", "AUC (target)", "pAUC")
    assert lines[3].split()[1:4] == [f"{100 * gold[name]:.2f}" for name in names]
    assert lines[-1].startswith("Ω = 63.04 %, 95 % interval ")
    assert "100 bootstrap draws" in lines[-1]


def test_scores_of_clips_are_evaluated_by_their_own_labels() -> None:
    table, truth = made(8)
    labels = {(r.machine, r.file): r for r in truth.rows}
    clips = {
        key: Clip(Path("x") / r.file, machine=r.machine, domain=r.domain, label=r.label)
        for key, r in labels.items()
    }
    scores = Scores(
        Verdict(clips[r.machine, r.file], r.score, 0.5, 0.5, "nearest") for r in table.rows
    )
    whole = evaluate(table, truth, draws=50)
    assert evaluate(scores, draws=50) == whole
    assert evaluate(scores, list(clips.values()), draws=50) == whole
    assert evaluate(scores, truth, draws=50) == whole
    undecided = Scores(replace(verdict, threshold=float("nan")) for verdict in scores)
    assert evaluate(undecided, draws=0).overall.harmonic.precision is None
