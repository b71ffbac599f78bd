"""A report begins with what `score` would say, about the clips that `evaluate` would judge."""

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, refused, write
from nearfar.errors import NearfarWarning
from nearfar.report.judged import judge
from nearfar.study.data import Given


@pytest.fixture(scope="module")
def known(detector_folder):
    return nf.load(detector_folder)


def test_verdicts_are_those_of_score_on_the_test_clips(dcase, known):
    found = judge(known, Given.of(dcase), nf.Runtime())
    clips = nf.Clips.open(dcase, split="test")
    assert found.scores == known.score(clips)
    assert [clip for clip, _ in found.heard] == list(clips)
    assert found.keys == (("fan", "00"), ("pump", "00"))
    assert found.channels == 2


def test_a_machine_that_is_not_known_is_left_out_and_named(dcase, known):
    fan = nf.Detector(known.system, {("fan", "00"): known.sections["fan", "00"]})
    with pytest.warns(NearfarWarning, match="unknown to the detector: pump"):
        found = judge(fan, Given.of(dcase), nf.Runtime())
    assert found.unknown == ("pump",)
    assert found.machines == ("fan",)
    bus = nf.Detector(known.system, {("bus", "00"): known.sections["fan", "00"]})
    refused(lambda: judge(bus, Given.of(dcase), nf.Runtime()), "unknown machine 'fan'")


def test_plain_recordings_are_of_the_only_machine_however_their_folder_is_called(known, tmp_path):
    fan = nf.Detector(known.system, {("fan", "00"): known.sections["fan", "00"]})
    write(tmp_path / "today" / "a.wav", machine_sound(np.random.default_rng(1)))
    found = judge(fan, Given.of(tmp_path / "today"), nf.Runtime())
    assert [v.clip.machine for v in found.scores] == ["fan"]
    assert found.unknown == ()


def test_clips_that_cannot_be_used_keep_their_rows_if_asked(known, tmp_path):
    rng = np.random.default_rng(1)
    write(tmp_path / "fan" / "a.wav", machine_sound(rng))
    write(tmp_path / "fan" / "b.wav", machine_sound(rng)[:1])
    given = Given.of(tmp_path / "fan")
    refused(lambda: judge(known, given, nf.Runtime()), "b.wav", "1 channel")
    with pytest.warns(NearfarWarning, match=r"1 clip not judged: .*b\.wav"):
        found = judge(known, given, nf.Runtime(), skip_bad=True)
    assert [v.judged for v in found.scores] == [True, False]
    assert len(found.heard) == 1
    assert len(found.of(("fan", "00"))) == 1
