"""Every command that takes weights takes BEATs': what they are stands in them."""

import numpy as np
import pytest

pytest.importorskip("torch")

import nearfar as nf
from beats_folders import GOLD, folder, gold
from conftest import DATA
from conftest import TINY as EAT_TINY

CHECKPOINT = GOLD / "tiny" / "checkpoint.pt"


def rows_of(told):
    return dict(line.split(maxsplit=1) for line in told.splitlines() if "  " in line)


def test_a_checkpoint_is_converted_and_checked_for_what_it_is(run, tmp_path):
    out = tmp_path / "B"
    code, told, err = run("weights", "convert", CHECKPOINT, out)
    assert (code, err) == (0, "")
    assert told.splitlines()[0] == f"wrote {out}"
    code, checked, _ = run("weights", "check", out)
    assert code == 0
    assert checked == told.split("\n", 1)[1]
    rows = rows_of(checked)
    assert rows["architecture"] == "BEATs 64×3, 3 layers of 4 heads"
    # The table of positions stands in 3 layers: twice too often.
    stored, different = (
        int(word.replace(",", "")) for word in rows["parameters"].split() if word[0].isdigit()
    )
    assert stored - different == 2 * 64 * 4
    code, _, err = run("weights", "check", out, "--against", "x.wav", "y.npy")
    assert (code, "published for EAT, this is BEATs" in err) == (2, True)


def test_what_is_dropped_is_said(run, tmp_path):
    code, _, err = run(
        "weights", "convert", GOLD / "tiny_finetuned" / "checkpoint.pt", tmp_path / "B"
    )
    assert code == 0
    assert "predictor.weight and predictor.bias" in err


def test_embed_writes_the_official_means(run, tmp_path):
    clip, out = DATA / "eat" / "wav" / "wav6s.wav", tmp_path / "rows.npz"
    code, _, err = run("embed", clip, "--weights", folder(), "-o", out, "--workers", 1)
    assert (code, err) == (0, "")
    with np.load(out) as file:
        rows = next(file[name] for name in file if file[name].shape == (1, 64))
    assert np.abs(rows[0] - gold("tiny/wav6s")["mean"]).max() <= 2e-5


def test_a_detector_hears_through_it_and_through_no_other(run, dcase, tmp_path):
    det = tmp_path / "DET"
    fit = ("fit", dcase / "fan", "-s", "s3", "--weights", folder(), "-o", det, "--workers", 1)
    assert run(*fit)[0] == 0
    system = nf.load(det).system
    assert system.members[1].embedder == nf.BEATs(folder())
    code, told, _ = run("score", det, dcase / "fan" / "test", "--workers", 1)
    assert code == 0
    assert len(told.splitlines()) >= 2
    code, _, err = run("score", det, dcase / "fan" / "test", "--weights", EAT_TINY)
    assert (code, "tensors of EAT, not of a BEATs" in err) == (2, True)


def test_system_1_of_published_weights_is_told_to_be_none(dcase):
    with pytest.warns(nf.NearfarWarning, match=r"the frozen baseline, not System 1;"):
        nf.fit(nf.s1(folder()), nf.Clips.open(dcase / "fan" / "train"))
