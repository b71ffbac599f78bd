"""Score files and ground truth: what is read, joined, and refused in which words."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import DATA
from nearfar.clips import Clip
from nearfar.errors import DatasetError, FormatError, NearfarError, NearfarWarning
from nearfar.metrics.official import evaluate
from nearfar.scores.files import read_scores
from nearfar.scores.join import ScoreTable, join
from nearfar.scores.truth import LabelledFile, Truth, read_truth
from nearfar.scores.verdict import Scores, Verdict

DEV7 = DATA / "eval" / "dev7_realistic"
SCORES = "anomaly_score_fan_section_00_test.csv"
DECISIONS = "decision_result_fan_section_00_test.csv"
CLIP = "section_00_source_test_anomaly_0001_spd_3"  # second line of fan's files


def omega(folder: Path, truth: Truth | None = None) -> float | None:
    return evaluate(read_scores(folder), truth or read_truth(folder), draws=0).omega


@pytest.fixture
def dev7(tmp_path: Path) -> Path:
    """A copy of the gold case that a test may damage."""
    return Path(shutil.copytree(DEV7, tmp_path / "system"))


def change(path: Path, edit: Callable[[str], str]) -> None:
    path.write_bytes(edit(path.read_bytes().decode()).encode())


def one_line(error: pytest.ExceptionInfo[NearfarError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def line(text: str, number: int, new: str | None) -> str:
    """The text with one line (from 1) replaced, or taken out."""
    lines = text.splitlines(keepends=True)
    lines[number - 1 : number] = [] if new is None else [new + "\n"]
    return "".join(lines)


# ---- harmless differences -----------------------------------------------------------------------

HARMLESS: dict[str, Callable[[str], str]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "byte order mark": lambda text: "\ufeff" + text,
    "byte order mark and header": lambda text: "\ufefffile_name,value\n" + text,
    "header": lambda text: "file,score\n" + text,
    "blank after the comma": lambda text: text.replace(",", ", "),
    "names without .wav": lambda text: text.replace(".wav", ""),
    "blank lines at the end": lambda text: text + "\n\n",
    "blanks at the end of lines": lambda text: text.replace("\n", " \n"),
    "no newline at the end": lambda text: text.rstrip("\n"),
    "quotes": lambda text: text.replace("section_00", '"section_00').replace(".wav", '.wav"'),
    "another order": lambda text: "".join(
        random.Random(0).sample(text.splitlines(keepends=True), k=len(text.splitlines()))
    ),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_harmless_differences_change_nothing(dev7: Path, what: str) -> None:
    whole = evaluate(read_scores(DEV7), read_truth(DEV7), draws=50)
    for path in [*dev7.glob("anomaly_score*"), *dev7.glob("decision_result*")]:
        change(path, HARMLESS[what])
    if what != "names without .wav":
        change(dev7 / "truth.csv", HARMLESS[what] if "header" not in what else str)
    truth = read_truth(DEV7 if what == "another order" else dev7)
    assert evaluate(read_scores(dev7), truth, draws=50) == whole


def test_decisions_may_be_written_as_floats(dev7: Path) -> None:
    change(dev7 / DECISIONS, lambda text: text.replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n"))
    assert read_scores(dev7).rows[0].decision is not None
    assert [r.decision for r in read_scores(dev7).rows] == [
        r.decision for r in read_scores(DEV7).rows
    ]


@pytest.mark.parametrize(
    ("name", "machine", "section"),
    [
        ("{}_fan_section_00_test.csv", "fan", "00"),
        ("{}_fan_section_03.csv", "fan", "03"),
        ("{}_fan_section_03_source_test.csv", "fan", "03"),
        ("{}_ToyCar_id_05.csv", "ToyCar", "05"),
        ("{}_ToyCar_id_05_test.csv", "ToyCar", "05"),
        ("{}_DCASE2024T23DPrinter_section_00_test_seed13711_Eval.csv", "3DPrinter", "00"),
        ("{}_DCASE2026T2ToyCarEmu_section_00_test_seed13711_id(0_)_Eval.csv", "ToyCarEmu", "00"),
        ("{}_press_line_2_section_00_test.csv", "press_line_2", "00"),
        ("{}_id_section_section_01_test.csv", "id_section", "01"),
        ("{}_DCASE2026T2x_section_00_test.csv", "DCASE2026T2x", "00"),
    ],
)
def test_file_names_of_all_years(tmp_path: Path, name: str, machine: str, section: str) -> None:
    (tmp_path / name.format("anomaly_score")).write_text("a_1.wav,0.5\n")
    (tmp_path / name.format("decision_result")).write_text("a_1.wav,1\n")
    (row,) = read_scores(tmp_path).rows
    assert (row.machine, row.section, row.score, row.decision) == (machine, section, 0.5, True)


def test_two_domain_files_of_2021_make_one_section(tmp_path: Path) -> None:
    for k, domain in enumerate(("source", "target")):
        text = f"section_03_{domain}_test_0000.wav,{k}\n"
        (tmp_path / f"anomaly_score_fan_section_03_{domain}_test.csv").write_text(text)
    assert {(r.machine, r.section) for r in read_scores(tmp_path).rows} == {("fan", "03")}


def test_other_files_in_the_folder_are_left_alone(dev7: Path) -> None:
    (dev7 / "system.meta.yaml").write_text("x: 1")
    (dev7 / "result_roc.csv").write_text("nonsense")
    assert read_scores(dev7) == read_scores(dev7)


@pytest.mark.parametrize("score", ["-1e300", "1e-310", " 7", "-0.0", "+.5", "1E3"])
def test_any_finite_number_is_a_score(dev7: Path, score: str) -> None:
    change(dev7 / SCORES, lambda text: line(text, 2, f"{CLIP}.wav,{score}"))
    (row,) = [r for r in read_scores(dev7).rows if r.machine == "fan" and CLIP in r.file]
    assert row.score == float(score)


# ---- broken files: the probes of the official evaluator, and more --------------------------------

BROKEN: dict[str, tuple[str, Callable[[str], str], tuple[str, ...]]] = {
    # what is broken: (file, how, what the message must name)
    "NaN": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,nan"), (f"{SCORES}:2", "nan", "finite")),
    "inf": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,-inf"), (f"{SCORES}:2", "-inf", "finite")),
    "too big": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,1e999"), (f"{SCORES}:2", "1e999")),
    "no number": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,high"), (f"{SCORES}:2", "'high'")),
    "1_000": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,1_000"), (f"{SCORES}:2", "'1_000'")),
    "empty value": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,"), (f"{SCORES}:2", "''")),
    "no value": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav"), (f"{SCORES}:2", CLIP)),
    "no name": (SCORES, lambda t: line(t, 2, ",0.5"), (f"{SCORES}:2", "file.wav,value")),
    "three columns": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,0,5"), (f"{SCORES}:2", "0,5")),
    "semicolons": (SCORES, lambda t: t.replace(",", ";"), (f"{SCORES}:1", "file.wav,value")),
    "wrong name": (SCORES, lambda t: line(t, 2, f"{CLIP}x.wav,0"), (f"{SCORES}:2", "spd_3x")),
    "wrong names, right count": (
        SCORES, lambda t: t.replace("spd_", "spd"), (f"{SCORES}:1", "no decision")
    ),
    "row twice, another missing": (
        SCORES, lambda t: line(t, 3, f"{CLIP}.wav,0"), (f"{SCORES}:3", f"{SCORES}:2", "twice")
    ),
    "row twice under two names": (
        SCORES, lambda t: t + f"{CLIP},0\n", (f"{SCORES}:201", f"{SCORES}:2", "twice")
    ),
    "extra row": (SCORES, lambda t: t + "extra_1.wav,0\n", (f"{SCORES}:201", "extra_1.wav")),
    "missing row": (SCORES, lambda t: line(t, 2, None), (f"{DECISIONS}:2", CLIP, "no score")),
    "empty": (SCORES, lambda t: "", (SCORES, "empty")),
    "only a header": (SCORES, lambda t: "file,score\n", (f"{DECISIONS}:1", "no score")),
    "NUL": (SCORES, lambda t: line(t, 2, f"{CLIP}.wav,0\0"), (f"{SCORES}:2",)),
    "decision 2": (DECISIONS, lambda t: line(t, 2, f"{CLIP}.wav,2"), (f"{DECISIONS}:2", "'2'")),
    "decision nan": (DECISIONS, lambda t: line(t, 2, f"{CLIP}.wav,nan"), (f"{DECISIONS}:2", "nan")),
    "decision missing": (
        DECISIONS, lambda t: line(t, 2, None), (f"{SCORES}:2", CLIP, "no decision")
    ),
    "decision twice": (DECISIONS, lambda t: t + f"{CLIP},0\n", (f"{DECISIONS}:201", "twice")),
    "decision on another clip": (
        DECISIONS, lambda t: t + "extra_1.wav,0\n", (f"{DECISIONS}:201", "extra_1.wav")
    ),
    "label 2": (
        "truth.csv", lambda t: line(t, 2, f"fan,00,{CLIP}.wav,0,2"), ("truth.csv:2", "label '2'")
    ),
    "domain 2": (
        "truth.csv", lambda t: line(t, 2, f"fan,00,{CLIP}.wav,2,0"), ("truth.csv:2", "domain '2'")
    ),
    "label empty": (
        "truth.csv", lambda t: line(t, 2, f"fan,00,{CLIP}.wav,0,"), ("truth.csv:2", "label ''")
    ),
    "machine empty": (
        "truth.csv", lambda t: line(t, 2, f",00,{CLIP}.wav,0,1"), ("truth.csv:2", "machine")
    ),
    "label missing": (
        "truth.csv", lambda t: line(t, 2, f"fan,00,{CLIP}.wav,0"), ("truth.csv:2", "4 columns")
    ),
    "domain for some": (
        "truth.csv", lambda t: t.replace("0001_noAttribute.wav,0,1", "0001_noAttribute.wav,,1"),
        ("truth.csv:3", "no domain", "ToyCar"),
    ),
    "clip labelled twice": (
        "truth.csv", lambda t: t + f"fan,00,{CLIP}.wav,0,1\n", ("truth.csv:1402", "twice", CLIP)
    ),
    "clip labelled twice without .wav": (
        "truth.csv", lambda t: t + f"fan,0,{CLIP},0,1\n", ("truth.csv:1402", "twice", CLIP)
    ),
    "label without score": (
        "truth.csv", lambda t: t + "fan,00,more_1.wav,0,1\n",
        ("truth.csv:1402", "no score", "more_1.wav", "1 of 201"),
    ),
    "no column label": (
        "truth.csv", lambda t: t.replace("label", "y", 1), ("truth.csv:1", "'label'")
    ),
    "column twice": (
        "truth.csv", lambda t: t.replace("section,", "machine,", 1), ("truth.csv:1", "'machine'")
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_are_refused_in_one_line(dev7: Path, what: str) -> None:
    file, edit, named = BROKEN[what]
    change(dev7 / file, edit)
    with pytest.raises((FormatError, DatasetError)) as error:
        omega(dev7)
    message = one_line(error)
    assert [part for part in named if part not in message] == []


def test_wrong_names_without_decisions_name_the_clip_that_was_meant(dev7: Path) -> None:
    (dev7 / DECISIONS).unlink()
    change(dev7 / SCORES, lambda text: line(text, 2, f"{CLIP}x.wav,0"))
    with pytest.raises(DatasetError) as error:
        omega(dev7)
    message = one_line(error)
    assert f"{SCORES}:2" in message
    assert f"did you mean {CLIP!r}" in message


@pytest.mark.parametrize("names", [DECISIONS, "decision_result_*"])
def test_without_decisions_there_is_no_precision_but_the_same_omega(dev7: Path, names: str) -> None:
    for path in dev7.glob(names):
        path.unlink()
    table, truth = read_scores(dev7), read_truth(dev7)
    if names == DECISIONS:  # some: worth a warning
        with pytest.warns(NearfarWarning, match=r"200 of 1400 clips have no decision"):
            result = evaluate(table, truth, draws=0)
        assert result.machines["valveEmu"]["00"].f1_source is not None
    else:
        result = evaluate(table, truth, draws=0)
    assert result.omega == omega(DEV7)
    fan = result.machines["fan"]["00"]
    assert (fan.precision, fan.recall_target, fan.f1_source) == (None, None, None)
    assert result.overall.harmonic.f1 is None
    assert result.overall.harmonic.auc > 0


def test_a_missing_machine_is_named(dev7: Path) -> None:
    (dev7 / SCORES).unlink()
    (dev7 / DECISIONS).unlink()
    with pytest.raises(
        DatasetError, match=r"no score for .* of fan, section 00 \(200 of 200 clips"
    ):
        omega(dev7)


def test_an_unknown_machine_is_named(dev7: Path) -> None:
    for path in dev7.glob("*fan*"):
        path.rename(dev7 / path.name.replace("fan", "Fan"))
    with pytest.raises(DatasetError, match=r"no machine 'Fan' with section '00'; it has: .*fan 00"):
        omega(dev7)


def test_decisions_without_scores_are_named(dev7: Path) -> None:
    (dev7 / SCORES).unlink()
    with pytest.raises(FormatError, match=r"decision_result_fan_section_00_test.csv:1: .*no score"):
        omega(dev7)


@pytest.mark.parametrize(
    "name", ["anomaly_score.csv", "anomaly_score_fan.csv", "anomaly_score_fan_00.csv"]
)
def test_a_score_file_that_names_no_machine_is_refused(dev7: Path, name: str) -> None:
    (dev7 / name).write_text("a_1.wav,0\n")
    with pytest.raises(FormatError, match=r"anomaly_score_<machine>_section_<nn>_test\.csv"):
        read_scores(dev7)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None])
def test_a_folder_without_score_files_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "empty")
    with pytest.raises(FormatError, match="no anomaly_score_"):
        read_scores(tmp_path / "empty")


def test_text_that_is_not_utf8_is_refused(dev7: Path) -> None:
    (dev7 / SCORES).write_bytes("file,score\n".encode("utf-16"))
    with pytest.raises(FormatError, match="not UTF-8"):
        read_scores(dev7)


def test_scores_in_memory_must_be_finite_and_labelled() -> None:
    clip = Clip(Path("fan/test/a_1.wav"), machine="fan", label="normal")
    verdict = Verdict(clip, float("nan"), 0.5, 1.0, "b")
    with pytest.raises(DatasetError, match=r"a_1.wav.*nan.*finite"):
        evaluate(Scores([verdict]))
    with pytest.raises(DatasetError, match=r"a_1.wav: no label"):
        evaluate(Scores([Verdict(Clip(clip.path, machine="fan"), 0.5, 0.5, 1.0, "b")]))
    with pytest.raises(DatasetError, match="no labelled clips"):
        evaluate(Scores([]))
    with pytest.raises(DatasetError, match="ground truth"):
        evaluate(read_scores(DEV7))


def truth_rows() -> list[dict[str, str]]:
    return list(csv.DictReader((DEV7 / "truth.csv").read_text().splitlines()))


# ---- forms of the ground truth -------------------------------------------------------------------


def rows(truth: Truth) -> set[tuple[str, str, str, str | None, str]]:
    return {(r.machine, r.section, r.file, r.domain, r.label) for r in truth.rows}


@pytest.fixture
def anonymous(tmp_path: Path) -> tuple[Path, dict[tuple[str, str], str]]:
    """The gold scores under anonymous names; (machine, labelled name) → anonymous name."""
    folder = tmp_path / "anonymous"
    folder.mkdir()
    names: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}
    for row in truth_rows():
        number = counts[row["machine"]] = counts.get(row["machine"], -1) + 1
        names[row["machine"], row["file"]] = f"section_00_{number:04d}.wav"
    for path in DEV7.glob("*_section_00_test.csv"):
        machine = path.name.split("_")[2]
        pairs = [text.split(",") for text in path.read_text().splitlines()]
        text = "".join(f"{names[machine, file]},{value}\n" for file, value in pairs)
        (folder / path.name).write_text(text)
    return folder, names


def write_list(
    path: Path, names: dict[tuple[str, str], str], change: Callable[[str], str] = str
) -> None:
    text, last = "", ""
    for (machine, labelled), name in names.items():
        text += f"{machine}\n" if machine != last else ""
        text += f"{name},{change(labelled)}\n"
        last = machine
    path.write_text(text)


def test_the_data_sets_list_joins_both_names(anonymous: tuple[Path, dict], tmp_path: Path) -> None:
    folder, names = anonymous
    path = tmp_path / "eval_data_list_2026.csv"
    write_list(path, names)
    assert omega(folder, read_truth(path)) == omega(DEV7)  # anonymous names
    assert omega(DEV7, read_truth(path)) == omega(DEV7)  # labelled names
    write_list(path, names, lambda name: name.replace("_test_", "_"))  # RoboticArm 2024
    assert omega(folder, read_truth(path)) == omega(DEV7)


def test_one_clip_under_both_its_names_is_there_twice(
    anonymous: tuple[Path, dict], tmp_path: Path
) -> None:
    folder, names = anonymous
    write_list(tmp_path / "list.csv", names)
    twice = (*read_scores(folder).rows, read_scores(DEV7).rows[0])
    with pytest.raises(DatasetError, match="has a score already"):
        join(twice, read_truth(tmp_path / "list.csv"))


@pytest.mark.parametrize("with_names", [True, False])
def test_the_evaluators_folders(
    anonymous: tuple[Path, dict], tmp_path: Path, with_names: bool
) -> None:
    folder, names = anonymous
    for row in truth_rows():
        name = names[row["machine"], row["file"]]
        values = {"data": row["label"], "domain": row["domain"], "attributes": row["file"][:-4]}
        for kind, value in values.items() if with_names else list(values.items())[:2]:
            path = (
                tmp_path
                / f"ground_truth_{kind}"
                / f"ground_truth_{row['machine']}_section_00_test.csv"
            )
            path.parent.mkdir(exist_ok=True)
            with path.open("a") as file:
                file.write(f"{name},{value}\n")
    truth = read_truth(tmp_path)
    assert omega(folder, truth) == omega(DEV7)
    if with_names:
        assert omega(DEV7, truth) == omega(DEV7)
    path = tmp_path / "ground_truth_domain" / "ground_truth_fan_section_00_test.csv"
    change(path, lambda text: line(text, 5, None))
    with pytest.raises(
        FormatError, match=r"ground_truth_fan_section_00_test.csv:5.*ground_truth_domain"
    ):
        read_truth(tmp_path)
    path.unlink()
    with pytest.raises(
        FormatError, match=r"ground_truth_domain.ground_truth_fan_section_00_test.csv"
    ):
        read_truth(tmp_path)


def test_the_evaluator_of_2021_has_the_domain_in_file_names(tmp_path: Path) -> None:
    data = tmp_path / "ground_truth_data"
    data.mkdir()
    for domain, label in (("source", "1"), ("target", "0")):
        text = f"section_03_{domain}_test_0000.wav,{label}\n"
        (data / f"ground_truth_my_fan_section_03_{domain}_test.csv").write_text(text)
    assert rows(read_truth(tmp_path)) == {
        ("my_fan", "03", "section_03_source_test_0000.wav", "source", "anomaly"),
        ("my_fan", "03", "section_03_target_test_0000.wav", "target", "normal"),
    }


def test_the_list_of_2020_has_no_domains_and_a_third_column(tmp_path: Path) -> None:
    path = tmp_path / "eval_data_list.csv"
    path.write_text("fan\nid_01_00000000.wav,anomaly_id_01_00000098.wav,1\nToyCar\n"
                    "id_05_00000000.wav,normal_id_05_00000003.wav,0\n")  # fmt: skip
    assert rows(read_truth(path)) == {
        ("fan", "01", "id_01_00000000.wav", None, "anomaly"),
        ("ToyCar", "05", "id_05_00000000.wav", None, "normal"),
    }
    change(path, lambda text: text.replace(",1\n", ",0\n"))
    with pytest.raises(FormatError, match=r"eval_data_list.csv:2: label 0 contradicts"):
        read_truth(path)


def test_the_list_of_2022_is_known_to_be_wrong(tmp_path: Path) -> None:
    path = tmp_path / "eval_data_list_2022.csv"
    path.write_text("ToyCar\nsection_03_0000.wav,section_03_source_test_normal_0000_x.wav\n")
    with pytest.warns(NearfarWarning, match="608"):
        read_truth(path)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (
            "section_00_0000.wav,section_00_source_test_normal_0000.wav\n",
            "truth.csv:1",
        ),  # no machine
        ("fan\nsection_00_0000.wav,section_00_0001.wav\n", "truth.csv:2"),  # no label
        ("fan\na.wav,b.wav,c,d\n", "truth.csv:2"),
        ("fan\nsection_00_0000.wav;section_00_source_test_normal_0000.wav\n", "truth.csv:2"),
        ("fan\nsection_00_0000.wav\n", "truth.csv:2"),
        ("hello world, this is no truth\n", "truth.csv:1"),
        ("", "empty"),
    ],
)
def test_other_texts_are_no_truth(tmp_path: Path, text: str, where: str) -> None:
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(FormatError) as error:
        read_truth(tmp_path)
    assert where in one_line(error)


def test_folders_without_truth_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"neither ground_truth_data/ nor truth\.csv"):
        read_truth(tmp_path)
    with pytest.raises(FormatError, match="No such file"):
        read_truth(tmp_path / "no.csv")
    (tmp_path / "ground_truth_data").mkdir()
    with pytest.raises(FormatError, match=r"no \.csv file"):
        read_truth(tmp_path)
    (tmp_path / "ground_truth_data" / "fan.csv").write_text("a,0\n")
    with pytest.raises(FormatError, match=r"ground_truth_<machine>_section_<nn>_test\.csv"):
        read_truth(tmp_path)


def test_truth_words_blank_domains_and_spreadsheet_sections(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "File,Machine,Section,Label,more\na,my_fan,0,anomaly,x\nb.wav,my_fan,00,normal,y\n"
    )
    assert rows(read_truth(path)) == {
        ("my_fan", "00", "a", None, "anomaly"),
        ("my_fan", "00", "b.wav", None, "normal"),
    }


def test_clips_carry_their_own_truth() -> None:
    clips = [
        Clip(Path("x/a.wav"), machine="m", section="1", domain="target", label="anomaly"),
        Clip(
            Path("x/a.wav"), start=10.0, machine="m", section="1", domain="source", label="normal"
        ),
    ]
    a, b = Truth.from_clips(clips).rows
    assert (a.section, a.domain, a.label) == ("01", "target", "anomaly")
    assert a.file != b.file  # parts of one recording are different clips


def test_join_sorts_and_keeps_every_value_beside_its_label() -> None:
    rng = np.random.default_rng(1)
    labels = [
        LabelledFile(m, "00", f"c_{k}.wav", "target" if k % 3 else "source",
                     "anomaly" if k % 2 else "normal")
        for m in ("b", "a") for k in range(20)
    ]  # fmt: skip
    scores = {(row.machine, row.file): float(rng.normal()) for row in labels}
    table = ScoreTable.from_verdicts(
        Verdict(Clip(Path(file), machine=machine), score, 0.5, 0.0, "x")
        for (machine, file), score in scores.items()
    )
    sections = join(table.rows, Truth(tuple(labels)))
    assert [section.machine for section in sections] == ["a", "b"]
    truth = {(row.machine, row.file): row for row in labels}
    for section in sections:
        assert list(section.files) == sorted(section.files)
        for k, file in enumerate(section.files):
            row = truth[section.machine, file]
            assert section.scores[k] == scores[section.machine, file]
            assert section.anomalous[k] == (row.label == "anomaly")
            assert section.target is not None
            assert section.target[k] == (row.domain == "target")
            assert section.decisions is not None
            assert section.decisions[k] == (section.scores[k] > 0)


# ---- the evaluator's files, in part ---------------------------------------------------------


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The three folders of one machine, as the evaluator has them."""
    rows = {
        "data": ["section_00_0000.wav,0", "section_00_0001.wav,1"],
        "domain": ["section_00_0000.wav,1", "section_00_0001.wav,0"],
        "attributes": [
            "section_00_0000.wav,section_00_target_test_normal_0007_car_B",
            "section_00_0001.wav,section_00_source_test_anomaly_0003_car_A",
        ],
    }
    for kind, lines in rows.items():
        path = tmp_path / f"ground_truth_{kind}" / "ground_truth_ToyDrone_section_00_test.csv"
        path.parent.mkdir()
        path.write_text("\n".join(lines) + "\n")
    return tmp_path


def told(truth: Truth) -> list[tuple[str, str, str | None, str]]:
    return [(r.machine, r.file, r.domain, r.label) for r in truth.rows]


def test_the_folder_its_labels_and_one_file_say_the_same(published: Path) -> None:
    whole = read_truth(published)
    assert told(whole) == [
        ("ToyDrone", "section_00_0000.wav", "target", "normal"),
        ("ToyDrone", "section_00_0001.wav", "source", "anomaly"),
    ]
    data = published / "ground_truth_data"
    assert read_truth(data) == whole
    assert read_truth(data / "ground_truth_ToyDrone_section_00_test.csv") == whole


def test_domains_are_not_taken_for_labels(published: Path) -> None:
    domains = published / "ground_truth_domain"
    for path in (domains, domains / "ground_truth_ToyDrone_section_00_test.csv"):
        with pytest.raises(FormatError, match="tells domains, no labels") as error:
            read_truth(path)
        assert one_line(error).endswith("give the folder above ground_truth_domain/")


def test_domains_are_told_by_labelled_names_too(published: Path) -> None:
    whole = told(read_truth(published))
    shutil.rmtree(published / "ground_truth_domain")
    assert told(read_truth(published)) == whole
    names = published / "ground_truth_attributes" / "ground_truth_ToyDrone_section_00_test.csv"
    change(names, lambda text: line(text, 1, "section_00_0000.wav,no name of ours"))
    assert {row[2] for row in told(read_truth(published))} == {None}


def test_files_apart_have_labels_alone_whatever_lies_beside(published: Path) -> None:
    apart = published / "downloads"
    shutil.copytree(published / "ground_truth_data", apart)
    assert {row[2] for row in told(read_truth(apart))} == {None}
    for path in (published / "ground_truth_data").iterdir():
        path.unlink()
    with pytest.raises(FormatError, match=r"no \.csv file") as error:
        read_truth(published / "ground_truth_data")
    one_line(error)
