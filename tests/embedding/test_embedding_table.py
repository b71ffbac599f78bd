"""Embeddings as a file that other programs read."""

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import hear
from nearfar.embedding.table import embeddings, is_table, write_npz
from nearfar.errors import DatasetError
from nearfar.runtime.runtime import Runtime

CHAIN = Chain(nf.Near(), nf.LogMel(n_mels=20))


def folder(path, *silent):
    rng = np.random.default_rng(0)
    for i in range(3):
        write(path / "press" / f"{i}.wav", machine_sound(rng) * (i not in silent))
    return nf.Clips.open(path / "press")


def test_rows_are_those_that_systems_hear_in_the_order_of_the_clips(tmp_path):
    clips = folder(tmp_path)
    table = embeddings(clips, CHAIN, Runtime())
    wanted = [what.rows[0] for _, what in hear(clips, (CHAIN,), Runtime()).heard]
    assert np.array_equal(table.rows, wanted)
    assert table.clips == tuple(clips)


def test_clips_left_out_leave_no_gap(tmp_path):
    clips = folder(tmp_path, 1)
    with pytest.warns(nf.NearfarWarning, match=r"1\.wav"):
        table = embeddings(clips, CHAIN, Runtime(), skip_bad=True)
    assert table.clips == (clips[0], clips[2])
    assert table.rows.shape == (2, 20)


def test_none_left_is_one_line(tmp_path):
    with pytest.raises(DatasetError, match="none of the 3 clips"), pytest.warns():
        embeddings(folder(tmp_path, 0, 1, 2), CHAIN, Runtime(), skip_bad=True)


def test_a_table_of_ours_is_told_from_other_files(tmp_path):
    path = tmp_path / "a.npz"
    assert not is_table(path)
    np.savez(path, embeddings=np.zeros((2, 3)))
    assert not is_table(path)
    path.write_bytes(b"PK no archive")
    assert not is_table(path)
    write_npz(path, embeddings(folder(tmp_path), CHAIN, Runtime()))
    assert is_table(path)


def test_a_file_is_read_without_pickles_and_says_what_is_unknown(dcase, tmp_path):
    clips = nf.Clips([*nf.Clips.open(dcase / "fan"), nf.Clip(folder(tmp_path)[0].path)])
    table = embeddings(clips, CHAIN, Runtime())
    write_npz(tmp_path / "table.npz", table)
    with np.load(tmp_path / "table.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert np.array_equal(arrays.pop("embeddings"), table.rows)
    assert str(arrays.pop("made_by")) == CHAIN.key
    assert {len(a) for a in arrays.values()} == {len(clips)}
    for name in ("machine", "section", "domain", "split", "label", "attributes"):
        assert arrays[name].tolist() == [getattr(c, name) or "" for c in clips]
    assert arrays["domain"][-1] == arrays["label"][-1] == ""
    assert arrays["path"].tolist() == [c.path.as_posix() for c in clips]
    assert arrays["start"].dtype == np.float64
