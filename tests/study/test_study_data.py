"""A data set as a study sees it: its test split, its rule, what it says of itself."""

import json
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.cli.options import write_json
from nearfar.errors import DatasetError, StorageError
from nearfar.study.data import Given, described, is_result, open_test, rule_of, simulated_label


class Answer:
    text = "Ω"

    def as_dict(self):
        return {"Ω": 0.5, "nested": {"none": None}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"label": "SIMULATED v1 seed 0"}', "SIMULATED v1 seed 0"),
        ('{"label": "somebody\'s"}', ""),
        ('{"label": 7}', ""),
        ("{}", ""),
        ("[]", ""),
        ("not JSON", ""),
        (None, ""),
    ],
)
def test_only_our_own_manifest_calls_data_simulated(text, said, tmp_path):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    assert simulated_label(tmp_path) == said
    settings, heading = described(tmp_path, "mine", nf.logmel())
    assert settings.get("data", "") == said
    assert heading == ((said,) if said else ())
    assert (settings["name"], settings["system"]["type"]) == ("mine", "System")


def test_the_test_split_is_all_that_is_judged(dcase):
    test = open_test(dcase)
    assert {c.split for c in test} == {"test"}
    assert len(test) == 24


def listed(rows, path):
    """A CSV of (clip, split, label)."""
    lines = [
        f"{clip.path},{clip.machine},{clip.domain},{split},{label}" for clip, split, label in rows
    ]
    path.write_text("\n".join(["path,machine,domain,split,label", *lines]) + "\n")
    return path


def test_several_places_are_one_data_set(dcase, tmp_path):
    whole = Given.of(dcase)
    parts = Given.of([dcase / "pump", dcase / "fan", dcase / "fan"])
    for split in ("train", "test"):
        # In another order, and a clip that two places have is one.
        assert set(parts.open(split)) == set(whole.open(split))
        assert len(parts.open(split)) == len(whole.open(split))
        assert parts.open(split, ["fan"]).machines == ("fan",)
    assert str(parts).startswith(f"{dcase / 'pump'}, ")
    with pytest.raises(DatasetError, match="no machine 'fn'; did you mean 'fan'"):
        parts.open("train", ["fn"])


def test_one_list_may_fit_and_another_judge(dcase, tmp_path):
    train, test = (nf.Clips.open(dcase, split=s) for s in ("train", "test"))
    fit = listed([(c, "train", "normal") for c in train], tmp_path / "fit.csv")
    judge = listed([(c, "test", c.label) for c in test], tmp_path / "judge.csv")
    both = Given.of([fit, judge])
    assert [c.path for c in both.open("train")] == [c.path for c in train]
    assert [c.path for c in open_test(both)] == [c.path for c in test]
    with pytest.raises(DatasetError, match="no train clips"):
        Given.of([judge, judge]).open("train")
    with pytest.raises(DatasetError, match=r"gone: no such file"):
        Given.of([fit, tmp_path / "gone"]).open("train")  # nothing is left out in silence


def test_how_clips_are_listed_is_said_once(dcase):
    how = {"machine": "hum", "salvage": True, "channels": (2, 1)}
    for places in ((dcase / "fan",), (dcase / "fan", dcase / "fan" / "train")):
        clips = Given(places, how).open("train")
        assert clips.machines == ("hum",)
        assert {(c.salvage, c.channels) for c in clips} == {(True, (2, 1))}


def test_several_simulated_sets_are_all_named(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        if name != "c":
            text = f'{{"label": "SIMULATED v1 {name}"}}'
            (tmp_path / name / "manifest.json").write_text(text)
    said = simulated_label([tmp_path / name for name in ("c", "b", "a")])
    assert said == "SIMULATED v1 b; SIMULATED v1 a"


@pytest.fixture
def recordings(tmp_path):
    """Four plain files, whose names say nothing."""
    rng = np.random.default_rng(0)
    return [write(tmp_path / "plain" / f"{i}.wav", machine_sound(rng, 1.0)) for i in range(4)]


def test_data_without_labels_are_refused(recordings):
    with pytest.raises(DatasetError, match="no test clips"):
        open_test(recordings[0].parent)


@pytest.mark.parametrize("labels", [("normal",) * 4, ("normal", "anomaly") * 2])
def test_a_csv_with_labels_need_not_say_test(labels, recordings, tmp_path):
    rows = [f"{path},fan,{label}" for path, label in zip(recordings, labels, strict=True)]
    table = tmp_path / "clips.csv"
    table.write_text("\n".join(["path,machine,label", *rows]) + "\n")
    assert [c.label for c in open_test(table)] == list(labels)
    table.write_text("\n".join(["path,machine", *(r.rpartition(",")[0] for r in rows)]) + "\n")
    with pytest.raises(DatasetError, match="no test clips"):
        open_test(table)


@pytest.mark.parametrize(
    ("folders", "rule"),
    [
        (("test",), None),
        (("source_test", "target_test"), "2021"),
        (("target_test", "test"), "2021"),
    ],
)
def test_2021_is_known_by_its_folders(folders, rule):
    clips = nf.Clips(
        nf.Clip(Path("fan") / f / "0.wav", machine="fan", split="test") for f in folders
    )
    assert rule_of(clips) == rule


def test_a_result_of_ours_is_told_from_other_files(tmp_path):
    path = tmp_path / "out.json"
    path.write_text('{"versions": {"nearfar": "0.1"}}')
    assert is_result(path)
    for text in ("", "[1]", '{"versions": ["nearfar"]}', '{"versions": {"other": 1}}', "[" * 9999):
        path.write_text(text)
        assert not is_result(path)
    path.write_bytes(b"\xff\xfe")
    assert not is_result(path)
    assert not is_result(tmp_path / "none.json")


def test_json_is_whole_and_reads_as_it_is_meant(tmp_path):
    assert not write_json(tmp_path / "out.json", Answer().as_dict())
    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    assert json.loads(text) == Answer().as_dict()
    assert "Ω" in text  # not \\u03a9
    assert text.endswith("}\n")
    with pytest.raises(StorageError):
        write_json(tmp_path / "nowhere" / "out.json", Answer().as_dict())
