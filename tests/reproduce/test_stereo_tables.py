"""Which reading comes nearest to a number of the report."""

import math

import pytest

from nearfar.reproduce.reported import StereoFigure
from nearfar.reproduce.steps.stereo import QUANTITIES, MachineStatistics, Spread, Statistics
from nearfar.reproduce.tables.stereo_tables import Reading, tables, verdict


def figure(value, kind="mean", digits=2, machine="fan"):
    return StereoFigure("gamma", machine, kind, value, digits, "1", "§3.3")


def machine(name, value):
    figures = {q.name: {r: Spread(value, 0.1, 4) for r in q.readings} for q in QUANTITIES}
    return MachineStatistics(name, 4, 0, figures)


def test_the_nearest_is_at_the_least_distance():
    found = Reading("γ of fan", figure(0.05), {"a": 0.02, "b": 0.06, "c": 0.08})
    assert found.nearest == ("b",)
    assert [round(found.distance(v), 9) for v in found.values.values()] == [0.03, 0.01, 0.03]


@pytest.mark.parametrize(("value", "alike"), [(0.0549, True), (0.0451, True), (0.0561, False)])
def test_printed_alike_is_half_a_unit_of_the_last_digit(value, alike):
    assert (Reading("γ", figure(0.05), {"a": value}).as_printed == ("a",)) == alike


def test_below_a_bound_every_number_is_as_good():
    found = Reading("γ", figure(0.05, "below"), {"a": 0.01, "b": 0.05, "c": 0.06})
    assert found.nearest == found.as_printed == ("a", "b")
    assert "off by" not in found.text(3)


def test_without_numbers_nothing_is_compared():
    found = Reading("γ of fan", figure(0.05), {})
    assert found.nearest == ()
    assert "fan has no numbers here" in found.text(3)


@pytest.mark.parametrize(("kind", "value"), [("lowest", 0.1), ("highest", 0.7)])
def test_an_extreme_is_over_all_machines_of_the_report(kind, value):
    from nearfar.reproduce.reported import load

    names = load().data.machines
    spread = {name: 0.1 * (n + 1) for n, name in enumerate(names)}
    asked = figure(0.1, kind, machine=None)
    everyone = Statistics(tuple(machine(n, v) for n, v in spread.items()), "near-far")
    assert verdict(asked, everyone).values == pytest.approx(
        dict.fromkeys(verdict(asked, everyone).values, value)
    )
    few = Statistics(everyone.machines[1:], "near-far")
    assert verdict(asked, few).values == {}
    broken = Statistics((machine(names[0], math.nan), *everyone.machines[1:]), "near-far")
    assert verdict(asked, broken).values == {}


def test_a_table_a_quantity_and_dead_clips_are_told():
    one = machine("fan", 0.123456)
    made = tables(Statistics((one,), "near-far"), reported=False)
    assert [table.data["quantity"] for table in made] == [q.name for q in QUANTITIES]
    for table, quantity in zip(made, QUANTITIES, strict=True):
        assert list(table.columns) == ["machine", "clips", *quantity.readings]
        assert set(table.rows[0][2:]) == {f"{0.123456:.{quantity.digits}f}"}
        assert not any("silent" in note for note in table.notes)
    dead = MachineStatistics("fan", 4, 1, one.figures)
    assert any("1 of 4 clips" in n for n in tables(Statistics((dead,), "near-far"), False)[0].notes)
