"""The commands export and verify."""

import json

import pytest

import nearfar as nf


@pytest.fixture
def edge(run, detector_folder, tmp_path):
    folder = tmp_path / "edge"
    code, _, err = run("export", detector_folder, "-o", folder, "--no-verify")
    assert code == 0, err
    return folder


def test_export_says_what_it_did_and_compared(run, detector_folder, dcase, tmp_path):
    folder = tmp_path / "edge"
    code, out, err = run(
        "export", detector_folder, "-o", folder, "--clips", dcase, "--workers", 1, "--no-cache"
    )
    assert code == 0, err
    assert "nothing was changed" in out
    assert "compared on 24 clips: the clips given" in out
    assert "passed: all verdicts equal" in out
    assert out.splitlines()[-1] == f"wrote {folder}"
    assert nf.load(folder).exported.proof.clips == 24


def test_verify_passes_and_fails_by_its_exit_code(run, edge, detector_folder, dcase, tmp_path):
    told = (dcase, "--against", detector_folder, "--workers", 1)
    code, out, err = run("verify", edge, *told)
    assert (code, "passed" in out, "Ω" in out) == (0, True, True), err
    other = nf.load(edge).with_false_alarm_rate(0.9).save(tmp_path / "other")
    code, out, err = run("verify", other, *told, "--json", "-")
    data = json.loads(out)
    assert (code, data["passed"], data["clips"]) == (1, False, 24), err
    assert data["faults"][0].startswith("verdicts: ")
    code, out, _ = run("verify", other, *told, "--json", tmp_path / "found.json")
    assert code == 1
    assert json.loads((tmp_path / "found.json").read_text()) == data
    assert "failed: all verdicts equal" in out
    assert ".wav" in out  # the worst of them


def test_export_takes_the_split_that_is_asked_for(run, detector_folder, dcase, tmp_path):
    folder, told = tmp_path / "edge", ("--clips", dcase / "fan", "--workers", 1, "--no-cache")
    code, _, err = run("export", detector_folder, "-o", folder, *told, "--split", "all")
    assert code == 0, err
    clips = nf.Clips.open(dcase / "fan")
    assert nf.load(folder).exported.proof.clips == len(clips) > len(clips.select(split="test"))


def test_a_slip_in_a_name_is_told_before_clips_are_listed(run, edge, tmp_path):
    code, _, err = run("verify", edge, tmp_path / "gone", "--against", tmp_path / "nothing")
    assert (code, "nothing" in err, "gone" in err) == (2, True, False)


def test_mistakes_are_a_line(run, edge, detector_folder, dcase, tmp_path):
    new = tmp_path / "new"
    for arguments in (
        ("export", detector_folder, "-o", detector_folder),
        ("export", detector_folder, "-o", new, "--precision", "int8", "--normals", dcase),
        ("export", detector_folder, "-o", new, "--no-verify", "--clips", dcase),
        ("export", detector_folder, "-o", new, "--clips", tmp_path / "gone"),
        ("verify", detector_folder, dcase, "--against", edge),
        ("verify", edge, dcase, "--against", edge),
        ("verify", edge, tmp_path / "gone", "--against", detector_folder),
        ("verify", edge, dcase),
    ):
        code, _, err = run(*arguments)
        assert (code, err.splitlines()[-1].startswith("error: ")) == (2, True), (arguments, err)
        assert not new.exists()
