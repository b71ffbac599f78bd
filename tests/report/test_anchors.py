"""Published numbers stand beside the clips that they are about, and beside no others."""

from dataclasses import replace
from statistics import harmonic_mean

import pytest

from nearfar.report.anchors import are_published, load
from nearfar.reproduce import reported
from reports import official, plant


def test_numbers_of_machines_give_the_number_of_all():
    """Ω is the harmonic mean of all figures, and so of the machines' harmonic means."""
    for anchor in load().systems:
        assert harmonic_mean(anchor.machines.values()) == pytest.approx(anchor.omega, abs=0.015)
        assert tuple(anchor.machines) == load().machines
        assert anchor.source


def test_the_report_s_own_numbers_are_those_that_reproduce_prints():
    table = reported.load().table2
    known = {anchor.system: anchor for anchor in load().systems}
    assert {name: known[name].omega for name in reported.SYSTEMS} == dict(table.omega)
    for name in reported.SYSTEMS:
        for machine, figures in table.machines.items():
            mean = harmonic_mean([figures[f][name] for f in figures])
            assert known[name].machines[machine] == pytest.approx(mean, abs=0.015)


def test_whole_machines_of_the_set_are_known():
    clips = [*official("ToyCar"), *official("fan")]
    assert are_published(clips, 2, "") == {"ToyCar", "fan"}


@pytest.mark.parametrize(
    ("clips", "channels", "simulated"),
    [
        (official("fan"), 2, "SIMULATED v1 seed 0"),
        (official("fan"), 1, ""),  # 2020 to 2025 were mono, with machines of the same names
        (official("fan", each=49), 2, ""),
        (official("fan")[1:], 2, ""),
        (official("press"), 2, ""),
        (plant("fan", 200), 2, ""),
        ([replace(clip, section="01") for clip in official("fan")], 2, ""),
        ([replace(clip, split="train") for clip in official("fan")][:0], 2, ""),
    ],
)
def test_nothing_stands_beside_other_data(clips, channels, simulated):
    assert are_published(clips, channels, simulated) == frozenset()
