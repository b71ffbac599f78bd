"""The command embed: rows of any recordings in a file."""

import numpy as np

import nearfar as nf
from nearfar.embedding.table import embeddings
from nearfar.runtime.runtime import Runtime


def test_rows_are_those_of_the_embedder_and_a_clip_named_twice_is_one(run, dcase, tmp_path):
    folder, out = dcase / "fan" / "test", tmp_path / "fan.npz"
    one = sorted(folder.glob("*.wav"))[0]
    code, told, _ = run("embed", folder, one, "-o", out, "-s", "logmel", "--workers", 1)
    clips = nf.Clips.open(folder)
    wanted = embeddings(clips, nf.logmel().chain, Runtime()).rows
    assert (code, told) == (0, f"wrote {out}: {len(clips)} clips × {wanted.shape[1]} numbers\n")
    with np.load(out) as found:
        assert any(np.array_equal(found[name], wanted) for name in found.files)


def test_what_has_no_one_table_is_refused_before_the_clips_are_looked_for(run, tmp_path):
    for arguments, said in (
        (("-s", "s3", "--weights", "x", "-o", "a.npz"), "s3 has 2 embedders"),
        (("-s", "logmel", "-o", "a.csv"), "call it a.npz"),
        (("-s", "logmel", "-o", "none/a.npz"), "cannot be written to"),
    ):
        *options, name = arguments
        code, _, err = run("embed", "no such folder", *options, tmp_path / name)
        assert (code, said in err, err.count("\n")) == (2, True, 1), err


def test_a_table_of_ours_is_made_anew_and_nothing_else(run, dcase, tmp_path):
    clip, out = sorted((dcase / "fan" / "test").glob("*.wav"))[0], tmp_path / "a.npz"
    np.savez(out, mine=np.zeros(3))
    before = out.read_bytes()
    command = ("embed", clip, "-s", "logmel", "--workers", 1, "-o", out)
    code, _, err = run(*command)
    assert (code, "--replace" in err, out.read_bytes() == before) == (2, True, True)
    assert [run(*command, *more)[0] for more in (["--replace"], [])] == [0, 0]
