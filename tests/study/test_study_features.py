"""Features chosen anew: on training normals, of all candidates, as many as asked."""

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.embedder.dif import CANDIDATES, NAMES
from nearfar.errors import DatasetError
from nearfar.study.features import choose_features


@pytest.fixture(scope="module")
def selection(dcase):
    return choose_features(dcase, nf.Runtime())


def test_by_default_as_many_as_the_report_and_all_of_them_candidates(selection):
    assert len(selection.names) == len(NAMES) == 120
    assert len(selection.shifts) == len(CANDIDATES) == 151
    assert set(selection.names) <= set(CANDIDATES)
    assert nf.DIF(names=selection.names).dim == 120


def test_what_is_kept_moves_least(selection):
    kept = np.isin(CANDIDATES, selection.names)
    defined = np.nan_to_num(selection.shifts, nan=-np.inf)
    assert defined[kept].max() <= np.nan_to_num(selection.shifts[~kept], nan=np.inf).min()


def test_keep_and_tau(dcase, selection):
    ten = choose_features(dcase, nf.Runtime(), keep=10)
    assert len(ten.names) == 10
    np.testing.assert_array_equal(ten.shifts, selection.shifts)
    tau = float(np.nanmedian(selection.shifts))
    some = choose_features(dcase, nf.Runtime(), tau=tau).names
    assert all(selection.shifts[CANDIDATES.index(name)] <= tau for name in some)
    assert 0 < len(some) < len(CANDIDATES)


def test_test_clips_are_not_looked_at(dcase, selection, tmp_path):
    """The train split alone gives the same."""
    (tmp_path / "fan").symlink_to(dcase / "fan")
    for machine in ("fan", "pump"):
        target = tmp_path / "train-only" / machine
        target.mkdir(parents=True)
        (target / "train").symlink_to(dcase / machine / "train")
    alone = choose_features(tmp_path / "train-only", nf.Runtime())
    assert alone.names == selection.names


def test_a_table_with_test_clips_or_anomalies_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        write(tmp_path / f"{i}.wav", machine_sound(rng, 1.0))
    for column, value in (("label", "anomaly"), ("split", "test")):
        table = tmp_path / f"{column}.csv"
        rows = [f"{tmp_path / f'{i}.wav'},fan,{value}" for i in range(3)]
        table.write_text("\n".join([f"path,machine,{column}", *rows]) + "\n")
        with pytest.raises(DatasetError):
            choose_features(table, nf.Runtime())
