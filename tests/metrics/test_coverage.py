"""An interval that is none is not given, and one that is too narrow says so."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import hmean, norm

from made_scores import made
from nearfar.errors import DatasetError
from nearfar.metrics.comparison import compare
from nearfar.metrics.coverage import COVERAGE, ENOUGH, PAIRED, Cells, percentiles
from nearfar.metrics.official import bootstrap, evaluate
from nearfar.scores.join import ScoredFile, ScoreTable, join
from nearfar.scores.truth import LabelledFile, Truth


def cells(
    each: int, seed: int = 0, machines: int = 1, apart: float = 1.0
) -> tuple[ScoreTable, Truth]:
    """Test sets with the same number of clips in each domain and label, Gaussian scores."""
    rng = np.random.default_rng(seed)
    rows = tuple(
        LabelledFile(f"m{m}", "00", f"{domain}_{label}_{c}.wav", domain, label)
        for m in range(machines)
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for c in range(each)
    )
    scored = (
        ScoredFile(r.machine, "00", r.file, rng.normal() + apart * (r.label == "anomaly"))
        for r in rows
    )
    return ScoreTable(tuple(scored)), Truth(rows)


def told(table: ScoreTable, score: float) -> ScoreTable:
    return ScoreTable(tuple(replace(row, score=score) for row in table.rows))


# ---- no interval -----------------------------------------------------------------------------


def test_one_clip_a_cell_has_a_number_but_no_interval() -> None:
    table, truth = cells(1, machines=3)
    result = evaluate(table, truth, draws=50)
    assert result.score == evaluate(table, truth, draws=0).score
    assert result.interval is None
    assert result.doubt == "too few clips for an interval: 1 in a cell"
    assert result.headline == f"Ω = {100 * result.score:.2f} %, {result.doubt}"
    assert json.loads(json.dumps(result.to_dict()))["interval"] is None
    assert json.loads(json.dumps(result.to_dict()))["doubt"] == result.doubt


@pytest.mark.parametrize("kind", ["perfect", "equal"])
def test_draws_that_cannot_differ_are_no_interval(kind: str) -> None:
    """A bootstrap of perfect scores says 100 to 100, as if that were proved."""
    table, truth = cells(50, machines=7, apart=100.0)
    table = told(table, 1.0) if kind == "equal" else table
    result = evaluate(table, truth, draws=50)
    assert result.score == (1.0 if kind == "perfect" else pytest.approx(0.5))
    assert result.interval is None
    assert "no interval: all 50 bootstrap draws" in result.headline
    assert "50 clips a cell" in result.headline


def test_without_draws_nothing_is_said_of_an_interval() -> None:
    result = evaluate(*cells(1), draws=0)
    assert (result.interval, result.doubt) == (None, "")
    assert result.headline == f"Ω = {100 * result.score:.2f} %"


def test_one_draw_has_no_spread() -> None:
    assert "1 bootstrap draw has" in evaluate(*cells(5), draws=1).headline


def test_a_difference_that_no_draw_can_change_has_neither_interval_nor_p() -> None:
    table, truth = cells(1)
    result = compare(told(table, 0.0), table, truth, draws=100)
    assert result.difference != 0  # p would be 2/101: significant, from four clips
    assert (result.interval, result.p) == (None, None)
    assert str(result).endswith("too few clips for an interval: 1 in a cell")
    perfect, labels = cells(30, apart=100.0)
    both = compare(perfect, perfect, labels, draws=100)
    assert (both.difference, both.interval, both.p) == (0.0, None, None)


def test_systems_that_agree_in_draws_that_differ_do_agree() -> None:
    table, truth = cells(30)
    result = compare(table, table, truth, draws=100)
    assert (result.interval, result.p, result.doubt) == ((0.0, 0.0), 1.0, "")


# ---- an interval that is too narrow ----------------------------------------------------------


def test_few_clips_are_said_beside_the_interval() -> None:
    few, many = evaluate(*cells(3), draws=100), evaluate(*cells(50), draws=100)
    said = f"with 3 clips a cell a nominal 95 % interval covered {COVERAGE[1][3]} % in simulation"
    assert few.interval is not None
    assert few.headline.endswith(f"(100 bootstrap draws); {said}")
    assert many.headline.endswith("(100 bootstrap draws)")
    table, truth = cells(3)
    # With the scores of another day: the draws of both differ.
    other, _ = cells(3, seed=1)
    paired = (
        f"interval covered {PAIRED[1][3]} % in simulation" if PAIRED[1][3] < ENOUGH else "draws)"
    )
    assert str(compare(table, other, truth, draws=100)).endswith(paired)


def test_the_smallest_cell_counts() -> None:
    table, truth = made(3, machines=2, each=4)  # 4 to 7 clips a cell
    sections = join(table.rows, truth)
    assert Cells.of(sections) == Cells(sections=2, fewest=4)
    whole = Cells.of(join(*(x.rows if k == 0 else x for k, x in enumerate(made(1, domains=False)))))
    assert whole.fewest == 6


def test_sizes_between_the_simulated_ones_are_rounded_down() -> None:
    assert Cells(1, 4).doubt() == Cells(1, 3).doubt().replace("3 clips", "4 clips")
    assert Cells(2, 9).doubt() == Cells(1, 7).doubt().replace("7 clips", "9 clips")
    assert Cells(100, 5000).doubt() == ""
    assert "1 clip" in Cells(7, 1).doubt()
    for table, sections, clips in itertools.product((COVERAGE, PAIRED), COVERAGE, COVERAGE[1]):
        covered = table[sections][clips]
        assert bool(Cells(sections, clips).doubt(table)) == (covered < ENOUGH)


@pytest.mark.parametrize(("machines", "clips"), [(1, 7), (1, 10)])
def test_what_is_said_of_small_cells_is_what_is_measured(machines: int, clips: int) -> None:
    """Anomalies two deviations above: the difficulty at which one machine's intervals fail most."""
    fpr = np.linspace(0, 0.1, 20_001)[1:]
    area = np.mean(norm.cdf(2 + norm.ppf(fpr))) * 0.1
    level = norm.cdf(2 / np.sqrt(2))
    population = hmean([level, level, 0.5 * (1 + (area - 0.005) / 0.095)])
    inside = []
    for seed in range(250):
        drawn = bootstrap(*cells(clips, seed, machines, apart=2.0), draws=200, seed=seed)
        low, high = percentiles(drawn)
        if low < high:
            inside.append(low <= population <= high)
    # Two standard deviations of 250 sets are 6 points at most; four leave no accident.
    assert 100 * np.mean(inside) == pytest.approx(COVERAGE[machines][clips], abs=12)


# ---- a line, not a number --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "domain", "lacks"),
    [
        ("normal", None, "no anomaly"),
        ("anomaly", None, "no normal clip of the source domain"),
        (None, "source", "no normal clip of the target domain"),
        (None, "target", "no normal clip of the source domain"),
    ],
)
def test_one_class_or_domain_missing_is_a_line(
    label: str | None, domain: str | None, lacks: str
) -> None:
    table, truth = cells(4)
    kept = [r for r in truth.rows if label in (None, r.label) and domain in (None, r.domain)]
    names = {row.file for row in kept}
    table = ScoreTable(tuple(r for r in table.rows if r.file in names))
    for judge in (evaluate, lambda t, truth: compare(t, t, truth)):
        with pytest.raises(DatasetError, match=f"m0, section 00: {lacks}, so .* is undefined"):
            judge(table, Truth(tuple(kept)))
