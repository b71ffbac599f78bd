"""docs/explain.md counts what it says: what a fault adds, and where that lies."""

from dataclasses import replace

import numpy as np
import pytest
from bench.explanation import (
    ADDING,
    Pointed,
    added,
    by_bands,
    in_band,
    in_cells,
    interval,
    powers,
    row,
)

from nearfar.detector.explanation.explanation import Explanation, Movement, Regions
from nearfar.sim.machines import MACHINES
from nearfar.sim.scene import ClipKey

TIMES = tuple(np.linspace(0, 1, 11))
REGIONS = Regions("it", TIMES, (0.0, 1000.0, 8000.0), np.ones((2, 10)), 1.0, "", 0.0)
TOLD = Explanation(verdict=None, regions=REGIONS)


def tone(hz, first=0.0, last=1.0):
    t = np.arange(16_000) / 16_000
    return (np.sin(2 * np.pi * hz * t) * ((t >= first) & (t < last))).astype(np.float32)


def test_each_fault_that_is_measured_is_one_of_its_machine():
    for name, faults in ADDING.items():
        assert set(faults) <= {fault.name for fault in MACHINES[name].faults}


@pytest.mark.slow  # a scene of its own is set up, twice
def test_what_a_fault_adds_is_less_than_the_machine_and_rings_in_its_modes():
    key = ClipKey("bearingEmu", "test", "source", "anomaly", 0, 1.5)
    audio, rest, fault, share = added(key, 0)
    assert (audio.shape, rest.shape, fault) == ((2, 24_000), (24_000,), "outer_race")
    assert 0.01 < share < 0.9
    # Blows ring at 1.15, 2.75 and 4.6 kHz; shaft and drive, up to some hundred Hz, are healthy.
    assert in_band(powers(rest), (1000.0, 5200.0)) > 0.8


def test_energy_lies_in_the_cell_of_its_time_and_band():
    cells = in_cells(powers(tone(3000, 0.5, 0.6)), TOLD)
    assert cells.argmax() == 15
    assert cells[1, 5] > 0.8 * cells.sum()
    power = powers(tone(500))
    assert in_cells(power, TOLD).sum() == pytest.approx(power.sum())
    assert in_band(power, (0.0, 8000.0)) == pytest.approx(1)
    assert in_band(power, (400.0, 800.0)) > 0.99


def test_a_band_is_the_first_that_is_named():
    def moved(feature, band, adjusted):
        return Movement(feature, "f", "", "near", "", band, 0, 0, 1.0, 1.0, adjusted)

    bands = [("a", None, 9.0), ("b", (400.0, 800.0), 3.0), ("c", (0.0, 400.0), 1.0)]
    told = replace(TOLD, movements=tuple(moved(*one) for one in bands))
    share, chance, most, _ = by_bands(told, None, powers(tone(600)))
    assert share == pytest.approx(most, abs=0.01)
    assert share > 0.99
    # Of 192 places for ten bins eleven or so have the tone in them.
    assert chance == pytest.approx(10 / 192, abs=0.01)


def test_a_row_has_means_and_an_interval_around_them():
    pointed = [
        Pointed("s4", (seed, "fan"), "x", True, share, 0.1, 0.5, float("nan"), 0.0)
        for seed, share in enumerate((0.2, 0.3, 0.4))
    ]
    assert row("s4", pointed) == f"| s4 | 3 | 30 | {interval(pointed)} | 10 | 50 | – |"
    low, high = map(int, interval(pointed).split("–"))
    assert 20 <= low < 30 < high <= 40
    assert row("s4", []).count("–") == 5
