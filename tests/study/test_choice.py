"""Leave-one-machine-out on figures made by hand, where the right choice is plain to see."""

import numpy as np
import pytest

from nearfar.errors import DatasetError
from nearfar.metrics.evaluation import RULES
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.study.choice import best_elsewhere, compose, leave_one_out, refuse_one

OMEGA = RULES["omega"]
MACHINES = ("fan", "gear", "pump")
FILES = [
    (machine, f"{domain} {label} {i}")
    for machine in MACHINES
    for domain in ("source", "target")
    for label in ("normal", "anomaly")
    for i in range(3)
]
TRUTH = Truth(tuple(LabelledFile(m, "00", f, *f.split()[:2]) for m, f in FILES))


def table(good):
    """Perfect on these machines, the wrong way round on all others."""
    return ScoreTable(
        tuple(
            ScoredFile(m, "00", f, float(("anomaly" in f) == (m in good)) + 0.01 * int(f[-1]))
            for m, f in FILES
        )
    )


def constant(*by_system):
    """(systems, 1 draw, sections, 3): each section has one number for all its figures."""
    return np.repeat(np.array(by_system, float)[:, None, :, None], 3, axis=3)


def test_a_machine_takes_what_is_best_on_the_others():
    figures = constant((0.9, 0.5, 0.5), (0.5, 0.6, 0.6))
    # System 0 is far better on the first machine, which has no say for itself.
    assert best_elsewhere(figures, MACHINES, OMEGA).tolist() == [[1, 0, 0]]


def test_of_equals_the_first_is_taken():
    assert best_elsewhere(constant(*[(0.7, 0.7, 0.7)] * 4), MACHINES, OMEGA).tolist() == [[0, 0, 0]]


def test_sections_of_a_machine_are_left_out_together():
    figures = constant((0.9, 0.9, 0.5), (0.5, 0.5, 0.6))
    chosen = best_elsewhere(figures, ("fan", "fan", "pump"), OMEGA)
    assert chosen.tolist() == [[1, 1, 0]]


def test_each_draw_chooses_for_itself():
    one, other = constant((0.9, 0.5, 0.5), (0.5, 0.6, 0.6)), constant((0.9,) * 3, (0.1,) * 3)
    both = np.concatenate([one, other], axis=1)
    assert best_elsewhere(both, MACHINES, OMEGA).tolist() == [[1, 0, 0], [0, 0, 0]]


def test_composed_scores_are_each_machines_own_choice():
    candidates = [table(()), table(MACHINES)]
    rows = compose(candidates, {"fan": 0, "gear": 1, "pump": 0}).rows
    assert {(r.machine, r.section, r.file) for r in rows} == {(m, "00", f) for m, f in FILES}
    by_place = [{(r.machine, r.file): r.score for r in c.rows} for c in candidates]
    for row in rows:
        assert row.score == by_place[row.machine == "gear"][row.machine, row.file]


def test_a_candidate_that_is_right_everywhere_is_chosen_everywhere():
    found = leave_one_out([table(()), table(MACHINES)], TRUTH, floor=table(()), draws=20)
    assert found.machines == dict.fromkeys(MACHINES, 1)
    assert found.shares == (0, 1)
    assert found.peeked == 1
    assert found.honest.score == found.evaluations[1].score == pytest.approx(1, abs=1e-12)
    assert found.optimism.difference == 0
    assert found.gain.difference == found.above.difference > 0.9


def test_a_candidate_that_suits_one_machine_is_not_chosen_for_it():
    """Peeking would see that it does."""
    found = leave_one_out([table(("gear", "pump")), table(("fan",))], TRUTH, draws=20)
    assert found.machines["fan"] == 0
    assert found.honest.machines["fan"]["00"].auc == 0


def test_one_machine_is_no_choice():
    refuse_one(("fan", "pump"))
    with pytest.raises(DatasetError, match="only one machine, fan"):
        refuse_one(("fan", "fan"))
