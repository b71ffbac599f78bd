"""`score` on data sets: test clips only, official files, and Ω of them in both forms of truth."""

import json
import shutil

import pytest

import nearfar as nf
from conftest import first_quick, write_machine


def rows_of(text):
    return json.loads(text)["scores"]


def test_of_a_data_set_the_test_clips_are_scored_and_what_is_left_out_is_said(
    run, both_folder, evaluation_set
):
    place = evaluation_set / "eval_data/raw"
    code, told, err = run("score", both_folder, place, "--json", "-", "--workers", 1)
    rows = rows_of(told)
    assert code == 0
    assert {"/test/" in row["path"] for row in rows} == {True}
    assert len(rows) == 24
    assert err.count("22 training clips of the data set not scored") == 1
    assert "--split all" in err
    same = run("score", both_folder, place, "--split", "test", "--json", "-", "--workers", 1)
    assert (same[0], rows_of(same[1]), "training" in same[2]) == (0, rows, False)


@pytest.mark.slow
def test_other_splits_are_scored_when_asked(run, both_folder, evaluation_set):
    place = evaluation_set / "eval_data/raw"
    for split, count in (("train", 22), ("all", 46)):
        _, told, err = run("score", both_folder, place, "--split", split, "--json", "-")
        assert (len(rows_of(told)), "not scored" in err) == (count, False)
    # A folder of training clips alone has been asked for by its name.
    _, told, err = run("score", both_folder, place / "drill" / "train", "--json", "-")
    assert (len(rows_of(told)), "not scored" in err) == (11, False)


def test_official_files_of_dev_and_first_shot_machines_in_one_run(
    run, both_folder, dcase, evaluation_set, tmp_path
):
    out, place = tmp_path / "OUT", evaluation_set / "eval_data/raw"
    code, _, err = run("score", both_folder, dcase, place, "--official", out, "--workers", 1)
    assert (code, "training" in err) == (0, False), err
    names = {path.name.split("_section")[0] for path in out.iterdir()}
    kinds = ("anomaly_score", "decision_result")
    assert names == {f"{k}_{m}" for k in kinds for m in ("fan", "pump", "drill", "lathe")}
    assert {len(p.read_text().splitlines()) for p in out.iterdir()} == {12}


@pytest.mark.slow
@pytest.mark.parametrize("truth", first_quick(["ground_truth", "eval_data_list_2026.csv"]))
def test_official_files_have_the_detectors_own_omega(
    run, both_folder, evaluation_set, tmp_path, truth
):
    out, place = tmp_path / "OUT", evaluation_set / "eval_data/raw"
    run("score", both_folder, place, "--split", "test", "--official", out, "--workers", 1)
    omegas = set()
    for what in (("--scores", out), (place, "--detector", both_folder, "--no-floor")):
        code, told, err = run("evaluate", *what, "--truth", evaluation_set / truth, "--json", "-")
        assert code == 0, err
        omegas.add(json.loads(told)["omega"])
    assert len(omegas) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--split", "all"), "leave out --split all"),
        (("--skip-bad",), "leave out --skip-bad"),
        (("--split", "both"), "'both'"),
    ],
)
def test_what_does_not_go_with_official_files(run, tmp_path, options, said):
    code, out, err = run("score", "no.detector", "none", "--official", tmp_path / "o", *options)
    assert (code, out, said in err) == (2, "", True)
    assert not (tmp_path / "o").exists()


def test_a_folder_of_somebody_is_refused_before_anything_is_read(run, tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    code, _, err = run("score", "no.detector", "none", "--official", tmp_path, "--replace")
    assert (code, err.count("\n"), "a.txt" in err) == (2, 1, True)


def test_a_machine_of_two_years_is_no_machine(run, dcase, tmp_path):
    write_machine(tmp_path / "2025", "fan", 9, source=2, target=1, test=1)
    code, _, err = run("fit", dcase, tmp_path / "2025", "-o", tmp_path / "d", "-s", "logmel")
    assert (code, err.count("\n")) == (2, 1)
    assert "two years" in err
    assert "2025" in err
    # The same set twice, or a part of it besides, is one set; --machine says that it is one.
    assert len(nf.Clips.open([dcase, dcase / "fan"], "train")) == len(nf.Clips.open(dcase, "train"))
    fans = [dcase / "fan", tmp_path / "2025" / "fan"]
    assert nf.Clips.open(fans, "train", machine="fan").machines == ("fan",)
    shutil.rmtree(tmp_path / "2025")


def test_train_and_test_of_one_machine_may_lie_in_two_places(dcase, tmp_path, run):
    for split in ("train", "test"):
        shutil.copytree(dcase / "fan" / split, tmp_path / split / "fan" / split)
    places = [tmp_path / "train", tmp_path / "test"]
    assert len(nf.Clips.open(places)) == len(nf.Clips.open(dcase / "fan"))
    write_machine(tmp_path / "2025", "fan", 9, source=2, target=1, test=1)
    code, _, err = run("evaluate", dcase, tmp_path / "2025", "-s", "logmel")
    assert (code, "two years" in err) == (2, True)


def test_a_clip_that_cannot_be_judged_is_named_and_nothing_is_written(
    run, both_folder, evaluation_set, tmp_path
):
    shutil.copytree(evaluation_set / "eval_data/raw", tmp_path / "raw")
    for name in ("0001", "0003"):
        (tmp_path / f"raw/drill/test/section_00_{name}.wav").write_bytes(b"RIFF")
    out, table = tmp_path / "OUT", tmp_path / "a.csv"
    code, _, err = run(
        "score", both_folder, tmp_path / "raw", "--official", out, "--csv", table, "--workers", 1
    )
    assert (code, out.exists(), table.exists()) == (2, False, False)
    assert "2 of 24 clips cannot be judged" in err
    assert "--skip-bad" not in err
    assert "section_00_0003.wav" in err
