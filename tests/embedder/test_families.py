"""Families of features: each gives what the table lists, and reads its own measures only."""

import numpy as np
import pytest

from nearfar.embedder.dif.analysis import measure
from nearfar.embedder.dif.families import (
    NEAR_FAMILIES,
    STEREO_FAMILIES,
    delta_mfcc_std,
    hear_near,
)
from nearfar.embedder.dif.residual import mix, pair_of
from nearfar.embedder.dif.table import TABLE
from nearfar.testing import noise


@pytest.fixture(scope="module")
def near():
    return hear_near(measure(noise(), cross_sums=True))


def names(family):
    return [feature for feature in TABLE if feature.family == family]


def test_every_family_of_the_table_is_computed_by_one_function():
    assert {f.family for f in TABLE} == {*NEAR_FAMILIES, *STEREO_FAMILIES}
    assert not set(NEAR_FAMILIES) & set(STEREO_FAMILIES)
    for family, channel in ((NEAR_FAMILIES, "near"), (STEREO_FAMILIES, "stereo")):
        assert {f.channel for name in family for f in names(name)} == {channel}


@pytest.mark.parametrize("family", NEAR_FAMILIES)
def test_a_near_family_gives_a_number_for_each_of_its_names(family, near):
    assert NEAR_FAMILIES[family](near).shape == (len(names(family)),)


@pytest.mark.parametrize("family", STEREO_FAMILIES)
def test_a_stereo_family_gives_a_row_for_each_far_channel(family, near):
    s = np.array([0.5, 1.0, 1.5])
    own, mixed = (STEREO_FAMILIES[family](p) for p in (pair_of(near), mix(near, 1 - s, s)))
    assert own.shape == (1, len(names(family)))
    assert mixed.shape == (3, len(names(family)))
    assert mixed[1] == pytest.approx(own[0], abs=2e-3)  # s = 1 is the clip itself


def test_deltas_are_scipys_savitzky_golay(near):
    from scipy.signal import savgol_filter

    cepstra = near.cepstra[:13].astype(np.float64)
    wanted = [
        savgol_filter(cepstra, 9, 2, deriv=order)[:, 4:-4].std(axis=1) for order in (1, 2)
    ]  # line and parabola over 9 frames, where all 9 exist
    got = delta_mfcc_std(near)
    assert got[:13] == pytest.approx(wanted[0], rel=1e-3)
    assert got[13:] == pytest.approx(wanted[1], rel=1e-3)
