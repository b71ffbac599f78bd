"""Evaluation sets of past years."""

from nearfar.scores.submission.years import MACHINES, lacking


def test_a_part_of_a_years_machines_is_told_with_the_rest():
    for year, machines in MACHINES.items():
        assert lacking(machines) is None
        assert lacking([*machines, "pump"]) is None
        for gone in machines:
            assert lacking([m for m in machines if m != gone]) == (year, (gone,))
    assert lacking([]) is None
    assert lacking(["ToyDrone"]) is None  # of 2023 and of 2026
