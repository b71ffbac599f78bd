"""A data set as a study sees it: its test split, its rule, what it says of itself."""

import json
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.cli.options import write_json
from nearfar.errors import DatasetError, StorageError
from nearfar.study.data import described, is_result, open_test, rule_of, simulated_label


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
