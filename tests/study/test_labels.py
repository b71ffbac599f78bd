"""Labels by names, by a ground truth, or by nothing, in one data set."""

from pathlib import Path

import pytest

from conftest import refused
from nearfar.clips import Clip, Clips
from nearfar.errors import DatasetError
from nearfar.scores.verdict import Scores, Verdict
from nearfar.study.labels import key_of, labels_of, refuse_unknown

HEAD = "machine,section,file,domain,label\n"


def clip(machine, name, label=None, section="00"):
    return Clip(Path(machine) / "test" / name, machine=machine, section=section, label=label,
                domain="source" if label else None)  # fmt: skip


CLIPS = Clips(
    [
        clip("fan", "a.wav", "normal"), clip("fan", "b.wav", "anomaly"),
        clip("Sander", "c.wav"), clip("Sander", "d.wav"), clip("Drone", "e.wav"),
    ]
)  # fmt: skip


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text(HEAD + "Sander,0,c.wav,0,0\nSander,00,d.wav,1,1\n")
    return path


def test_each_section_is_of_one_kind(truth):
    found = labels_of(CLIPS, truth)
    assert found.named == (("fan", "00"),)
    assert found.brought == (("Sander", "00"),)
    assert found.unknown == (("Drone", "00"),)
    assert found.machines == ("Drone",)
    assert sorted(row.file for row in found.truth.rows) == ["a.wav", "b.wav", "c.wav", "d.wav"]
    alone = labels_of(CLIPS)
    assert alone.unknown == (("Sander", "00"), ("Drone", "00"))


def test_a_ground_truth_outweighs_names(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text(HEAD + "fan,00,a.wav,0,1\nfan,00,b.wav,0,0\n")
    found = labels_of(CLIPS, path)
    assert found.named == ()
    assert {r.file: r.label for r in found.truth.rows} == {"a.wav": "anomaly", "b.wav": "normal"}


def test_sections_of_one_machine_are_told_apart():
    clips = Clips([clip("fan", "a.wav", "normal"), clip("fan", "b.wav", section="03")])
    found = labels_of(clips)
    assert (found.named, found.unknown) == ((("fan", "00"),), (("fan", "03"),))


def test_some_labels_of_a_section_are_an_error():
    clips = Clips([clip("fan", "a.wav", "normal"), clip("fan", "b.wav")])
    refused(lambda: labels_of(clips), "b.wav", "no label", "--truth", error=DatasetError)
    refused(lambda: refuse_unknown(labels_of(CLIPS), CLIPS), "c.wav", error=DatasetError)


def test_only_clips_with_a_label_are_judged(truth):
    scores = Scores(Verdict(c, 1.0, 0.5, 2.0, "x.wav") for c in CLIPS)
    found = labels_of(CLIPS, truth)
    assert [key_of(v.clip)[0] for v in found.judged(scores)] == ["fan", "fan", "Sander", "Sander"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("Sander,00,c.wav,0,0\n", "d.wav"),  # a clip without a label
        ("Sander,00,c.wav,0,0\nSander,00,d.wav,1,1\nSander,00,x.wav,1,1\n", "x.wav"),
        ("Sander,00,c.wav,0,0\nSander,00,d.wav,1,1\nToy,00,c.wav,0,1\n", "Toy"),
        ("Sander,00,c.wav,0,0\nSander,00,d.wav,1,1\nSander,00,c.wav,0,1\n", "twice"),
    ],
)
def test_a_ground_truth_of_other_clips_is_refused_before_any_fit(rows, said, tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text(HEAD + rows)
    refused(lambda: labels_of(CLIPS, path), said, error=DatasetError)
