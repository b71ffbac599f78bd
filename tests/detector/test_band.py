"""One band: what it adds, and how it is told."""

import pytest

from nearfar.detector.explanation.band import BandShare


def share(**changes):
    parts = {"number": 2, "of": 8, "band": (777.8, 1260.6), "distance": 2.4, "usual": 0.9,
             "above": 5.0, "share": 0.3}  # fmt: skip
    return BandShare(**(parts | changes))


def test_the_mean_over_bands_is_made_of_parts():
    assert sum(share(number=n, distance=float(n)).part for n in range(8)) == pytest.approx(3.5)


def test_edges_are_told_as_sharply_as_they_are():
    assert share().where == "at 0.78–1.3 kHz"
    assert share(band=(20.0, 290.3)).where == "at 20–290 Hz"
    assert share(band=(5625.6, 8000.0)).where == "above 5.6 kHz"
    assert share(band=None).where == "in band 3 of 8"
