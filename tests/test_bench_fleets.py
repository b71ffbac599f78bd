"""The bench of fleets: what it tells of two, and that a fleet has what it says."""

import pytest
from bench import fleets
from bench.fleets import FleetCost, Ran
from bench.page import parsed, printed

import nearfar as nf


def cost_of(machines, cpu, peak):
    ran = Ran(cpu, 2 * cpu, peak)
    return FleetCost(machines, ran, ran, Ran(0.5, 0.5, 50.0))


def test_the_ratio_is_without_start_up():
    page = fleets.told("s4", cost_of(1, 2.0, 60), cost_of(200, 6.0, 100), cost_of(2000, 42.0, 120))
    assert "| nearfar fit | 2.0 | 6.0 | 42.0 | 10.0 | 10 ± 1.5 | 100 | 120 | 1.20 |" in page
    assert "| nearfar fleet | 0.5 | 0.5 | 0.5 | – | – |" in page  # all of it is start-up
    assert "linear in the machines: met" in page
    assert "(at most 1.25 times): met" in page


def test_start_up_is_one_machine_s_and_what_workers_add():
    start = fleets.start_up(cost_of(1, 2.0, 60), cost_of(64, 4.0, 70), cost_of(64, 5.5, 70))
    assert (start.fit.cpu, start.score.cpu, start.fleet.cpu) == (3.5, 3.5, 0.5)


def test_other_work_only_adds_to_the_time_of_a_round():
    one = fleets.least([cost_of(200, 6.0, 110), cost_of(200, 5.0, 100)])
    assert (one.machines, one.fit) == (200, Ran(5.0, 10.0, 110))


@pytest.mark.parametrize(("cpu", "peak"), [(60.0, 140.0), (20.0, 126.0)])
def test_what_was_missed_is_said(cpu, peak):
    page = fleets.told("s4", cost_of(1, 2.0, 60), cost_of(200, 6.0, 100), cost_of(2000, cpu, peak))
    assert "linear in the machines: missed" in page
    assert "(at most 1.25 times): missed" in page


def test_the_page_of_one_machine_has_it_as_it_was_printed():
    text = fleets.told("s4", cost_of(1, 2.0, 60), cost_of(200, 6.0, 100), cost_of(2000, 9.0, 100))
    page = printed(parsed(f"- AMD: EPYC, 2 cores.\n\n{text}"), "Printed by a test.")
    for line in text.splitlines():
        assert line.startswith("|") or line in page


def test_a_fleet_has_clips_of_each_machine(tmp_path):
    fleets.write_fleet(tmp_path, 3)
    clips = nf.Clips.open(tmp_path / "normal")
    assert clips.machines == ("m0000", "m0001", "m0002")
    assert len(clips) == 3 * fleets.CLIPS
    assert len(nf.Clips.open(tmp_path / "new")) == 3


@pytest.mark.slow
def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="ended with 2"):
        fleets.ran(["fit"])
