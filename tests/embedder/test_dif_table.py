"""The table of features: bands meet without gap or overlap, and names are one each."""

import pytest

from nearfar.embedder.dif.table import (
    BANDS,
    BIN_HZ,
    CANDIDATES,
    CONTRAST_BANDS,
    LR_BANDS,
    N_BINS,
    NAMES,
    TABLE,
    bins,
    contrast_bins,
)


@pytest.mark.parametrize("edges", [BANDS, LR_BANDS, CONTRAST_BANDS])
def test_bands_cover_every_bin_once(edges):
    covered = [b for first, last in bins(edges) for b in range(first, last)]
    assert covered == list(range(N_BINS))
    assert all(edge % BIN_HZ == 0 for edge in edges)  # no edge lies between two bins


def test_a_contrast_band_has_one_bin_of_the_band_below():
    plain = bins(CONTRAST_BANDS)
    assert contrast_bins() == (plain[0], *((first - 1, last) for first, last in plain[1:]))


def test_the_reports_numbers():
    assert (len(CANDIDATES), len(NAMES)) == (151, 120)
    assert len(set(CANDIDATES)) == 151
    assert [f.name for f in TABLE[:120]] == list(NAMES)
    assert [f.channel for f in TABLE[:120]].count("near") == 80


def test_no_formula_has_a_gap_left():
    for feature in TABLE:
        assert feature.formula
        assert feature.unit
        assert "{" not in feature.formula
