"""Packages of anyone: one of ours is fine, and each thing that can be wrong has its line."""

import pytest

from conftest import refused
from nearfar.clips import Clip
from nearfar.errors import FormatError
from nearfar.scores.submission.checking import check_package, expected_of, systems_of
from submissions import (
    DECISIONS,
    LABEL,
    ONE,
    PDF,
    SCORES,
    TWO,
    changed,
    expected,
    files_of,
    made,
    zipped,
)

REPORT = "task2/" + LABEL.report


def lines(path, wanted=None):
    found = check_package(path, wanted)
    for remark in found.remarks:
        assert "\n" not in remark.line
        assert len(remark.line) < 500
        assert ";" in remark.text or "?" in remark.text, remark.text
    return [r.line for r in found.remarks if r.wrong], [
        r.line for r in found.remarks if not r.wrong
    ]


def moved(path, change):
    """A package of ours, its files under other names."""
    return zipped(path, {change(name): content for name, content in files_of(made()).items()})


@pytest.mark.parametrize("systems", [1, 2, 4])
def test_a_package_of_ours_is_fine(tmp_path, systems):
    path = tmp_path / "p.zip"
    path.write_bytes(made(systems))
    assert lines(path) == lines(path, expected()) == ([], [])
    found = check_package(path)
    assert found.systems == tuple(LABEL.system(n) for n in range(1, systems + 1))
    assert found.machines == {"drill": 200, "lathe": 200}


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (ONE + SCORES, lambda _: None, "drill: decision_result without anomaly_score"),
        (ONE + DECISIONS, lambda _: None, "drill: anomaly_score without decision_result"),
        (ONE + SCORES, lambda c: c.replace(b"_0007.wav", b"_9999.wav"), "only one of score and"),
        (ONE + SCORES.replace("_test", ""), lambda _: b"a.wav,1\n", "a second anomaly_score of"),
        (ONE + SCORES, lambda c: c + b"section_00_0007,1\n", "with .wav and without"),
        (ONE + SCORES, lambda c: c.replace(b"section_00_0007.wav,1.1", b"x"), "columns"),
        (ONE + DECISIONS, lambda c: c.replace(b",1", b",3"), "neither 0 nor 1"),
        (ONE + "scores.csv", lambda _: b"a,1\n", "no name of an official file"),
        (ONE + "sub/" + SCORES, lambda _: b"a,1\n", "too deep"),
        (REPORT, lambda _: None, "no technical report"),
        (REPORT, lambda _: b"PK", "no PDF"),
        (REPORT, lambda _: PDF[:9] + b"x" * 4000, "ends early"),
        ("../out.csv", lambda _: b"", "leads out"),
        ("/abs.csv", lambda _: b"", "absolute"),
    ],
)
def test_what_is_wrong_has_its_line(tmp_path, name, change, words):
    wrong, _ = lines(changed(tmp_path / "p.zip", name, change))
    assert any(words in line for line in wrong), wrong


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n: n.removeprefix("task2/"), "at the top; put their folders into task2/"),
        (lambda n: "Kim/" + n, "lie in Kim/task2/"),
        (lambda n: n.replace("task2/", "Task2/", 1), "lie in Task2/"),
        (lambda n: n.replace("_2/", "_3/", 1).replace("_2.meta", "_3.meta"), "1, 3; number them"),
        (lambda n: n.replace("_LUDO", "_ABCDEFGHIJKL"), "has 12 characters"),
        (lambda n: n.replace("Kim_", "Müller_"), "Last_INST"),
        (lambda n: n.replace("Kim_LUDO_task2_2", "Lee_LUDO_task2_2"), "Kim_LUDO, Lee_LUDO"),
        (lambda n: n.replace("_task2_1/", "_Task2_1/"), "is to be called Kim_LUDO_task2_1"),
        (lambda n: n.replace("_task2_1/", "_task2_01/"), "is to be called Kim_LUDO_task2_1"),
        (lambda n: "a/" + n.rpartition("/")[2] if "_1/" in n else "b/" + n.rpartition("/")[2],
         "no folder task2/Last_INST_task2_1"),
    ],
)  # fmt: skip
def test_a_wrong_tree_has_its_line(tmp_path, change, words):
    wrong, _ = lines(moved(tmp_path / "p.zip", change))
    assert any(words in line for line in wrong), wrong


def test_five_systems_are_too_many(tmp_path):
    files = files_of(made(4))
    files |= {n.replace("_4", "_5"): c for n, c in files.items() if "_4/" in n}
    wrong, _ = lines(zipped(tmp_path / "p.zip", files))
    assert any("5 systems, at most 4" in line for line in wrong)


def test_a_zip_of_thousands_keeps_nobody_busy(tmp_path):
    files = files_of(made(1))
    files |= {f"{ONE}anomaly_score_m{n}_section_00_test.csv": b"a.wav,1\n" for n in range(200)}
    files |= {f"task2/{n}.pdf": PDF for n in range(9)}
    wrong, _ = lines(zipped(tmp_path / "p.zip", files))
    assert any("205 files in it are no system's" in line for line in wrong)
    assert any("10 reports" in line for line in wrong)


def test_clips_are_those_of_the_test_folder(tmp_path):
    path = tmp_path / "p.zip"
    path.write_bytes(made())
    wanted = expected()
    wrong, _ = lines(path, {**wanted, ("saw", "00"): frozenset({"a.wav"})})
    assert sum("saw is missing" in line for line in wrong) == 2
    wrong, _ = lines(path, {k: v for k, v in wanted.items() if k[0] == "drill"})
    assert sum("lathe is not of the test folder" in line for line in wrong) == 2
    other = {k: (v - {"section_00_0003.wav"}) | {"b.wav"} for k, v in wanted.items()}
    wrong, _ = lines(path, other)
    assert sum("no score for 1 of 200 clips" in line and "'b.wav'" in line for line in wrong) == 4
    assert sum("1 clip not of" in line and "'section_00_0003" in line for line in wrong) == 4
    clips = [Clip("x/test/a.wav", machine="fan"), Clip("x/test/b.wav", machine="fan")]
    assert expected_of(clips) == {("fan", "00"): {"a.wav", "b.wav"}}


def test_systems_score_the_same_clips(tmp_path):
    path = tmp_path / "p.zip"
    files = files_of(made())
    del files[TWO + SCORES], files[TWO + DECISIONS]
    wrong, _ = lines(zipped(path, files))
    assert any("task2_2: drill is missing; the other systems have it" in line for line in wrong)
    files = files_of(made())
    for kind in (SCORES, DECISIONS):
        files[TWO + kind] = files[TWO + kind].replace(b"_0007.wav", b"_0700.wav")
    wrong, _ = lines(zipped(path, files))
    assert any("'section_00_0007.wav'" in line for line in wrong)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("__MACOSX/task2/._x", "left by the system"), ("task2/.DS_Store", "left by the system"),
        ("task2/notes.txt", "nothing of a package"), (ONE + "model.onnx", "nothing of a package"),
        ("readme.md", "nothing of a package"), ("task2/report.pdf", "a report is called"),
    ],
)  # fmt: skip
def test_what_is_besides_is_a_doubt(tmp_path, name, words):
    wrong, (doubt,) = lines(changed(tmp_path / "p.zip", name, lambda _: PDF))
    assert wrong == []
    assert words in doubt


@pytest.mark.parametrize("ending", [b"", b".WAV"])
def test_names_without_wav_are_a_doubt_as_the_evaluator_takes_them(tmp_path, ending):
    path = changed(tmp_path / "p.zip", ONE + SCORES, lambda c: c.replace(b".wav", ending))
    wrong, doubts = lines(path, expected())
    assert (wrong, lines(path)[0]) == ([], [])
    assert any("has no .wav" in line for line in doubts)


def test_what_other_years_and_tasks_have_is_known(tmp_path):
    files = files_of(made())
    files["task2/Kim_LUDO_task2.technical_report.pdf"] = files.pop(REPORT)
    files["task1/Kim_LUDO_task1_1/output.csv"] = b"x"
    files["task1/Kim_LUDO_task1.technical_report.pdf"] = b"x"
    assert lines(zipped(tmp_path / "p.zip", files)) == ([], [])
    old = {n.replace("_section_00_test", "_id_00"): c for n, c in files.items()}
    wrong, doubts = lines(zipped(tmp_path / "old.zip", old))
    assert wrong == []
    assert sum("since 2023 it is called" in line for line in doubts) == 8


def test_numbers_of_clips_that_no_set_has_are_one_doubt(tmp_path):
    files = {
        name: content.split(b"section_00_0190")[0] if name.endswith(".csv") else content
        for name, content in files_of(made()).items()
    }
    wrong, (doubt,) = lines(zipped(tmp_path / "p.zip", files))
    assert wrong == []
    assert "drill has 190, lathe has 190 test clips" in doubt


def test_a_machine_that_the_evaluator_would_cut_short_is_told(tmp_path):
    wrong, _ = lines(moved(tmp_path / "p.zip", lambda n: n.replace("drill", "big_drill")))
    assert any("'big_drill': the official evaluator" in line for line in wrong)


def test_a_machine_of_the_year_that_no_system_has_is_missed(tmp_path):
    def renamed(name):
        return name.replace("drill", "Sander").replace("lathe", "ToyDrone")

    files = {renamed(name): content for name, content in files_of(made()).items()}
    third = {n.replace("Sander", "ToothBrush"): c for n, c in files.items() if "Sander" in n}
    wrong, _ = lines(zipped(tmp_path / "p.zip", files | third))
    (line,) = wrong
    assert "BlowerDustCollector, SewingMachine of the evaluation set of 2026" in line


def test_empty_and_foreign_zips(tmp_path):
    wrong, _ = lines(zipped(tmp_path / "p.zip", {}))
    assert any("it has nothing" in line for line in wrong)
    refused(lambda: check_package(tmp_path), "a folder; zip it", error=FormatError)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    refused(lambda: check_package(tmp_path / "x.zip"), "no zip", error=FormatError)
    assert systems_of(["a/b/c.csv", "Kim_LUDO_task2_1"]) == []
