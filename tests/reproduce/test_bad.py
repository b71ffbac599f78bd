"""What a run does about bad clips: it stops at once, or goes on and says without which."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from conftest import write
from nearfar.errors import AudioError, DatasetError
from nearfar.reproduce.bad import heard, told, with_not_judged
from nearfar.reproduce.data import hashed, look
from nearfar.runtime.runtime import Runtime
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.sound.audio import read
from reproduced import refused

SILENCE = np.zeros((2, 24_000))


@pytest.fixture
def copy(dcase, tmp_path):
    return shutil.copytree(dcase, tmp_path / "set")


def files(root, machine, split):
    return sorted((root / machine / split).iterdir())


def small(root, skip_bad=False, **changes):
    data = look(root, any_data=True, skip_bad=skip_bad)
    return heard(replace(data, **changes), Runtime(), skip_bad)


def test_sound_data_are_what_they_were(copy):
    for skip_bad in (False, True):
        data = small(copy, skip_bad)
        assert (data.train_sha256, data.sha256) == (
            (plain := hashed(look(copy, any_data=True))).train_sha256, plain.sha256)  # fmt: skip
        assert (data.left_out_clips, data.not_judged, told(data)) == ((), {}, "")


def test_all_that_is_bad_is_named_before_anything_is_computed(copy):
    silent, first = files(copy, "fan", "train")[3], files(copy, "fan", "train")[0]
    test, other = files(copy, "pump", "test")[2], files(copy, "pump", "train")[0]
    write(silent, SILENCE)
    write(test, SILENCE)
    near = read(first)
    write(other, near * np.array([[1.0], [0.5]]))
    with pytest.raises(Exception, match="4 of 48 clips cannot be used") as error:
        small(copy)
    named = " ".join(error.value.faults)
    assert all(path.name in named for path in (silent, first, test, other))


def test_what_cannot_be_read_is_named_with_the_rest(copy):
    silent, cut = files(copy, "fan", "train")[3], files(copy, "pump", "train")[1]
    garbage, mono = files(copy, "fan", "test")[0], files(copy, "pump", "test")[2]
    write(silent, SILENCE)
    cut.write_bytes(cut.read_bytes()[:-2000])
    garbage.write_bytes(b"no sound")
    write(mono, read(mono)[:1])
    with pytest.raises(AudioError, match="4 of 48 clips cannot be used; leave them") as e:
        small(copy)
    named = " ".join(e.value.faults)
    assert all(path.name in named for path in (silent, cut, garbage, mono))


@pytest.mark.parametrize("skip_bad", [False, True])
def test_recordings_of_one_channel_are_said_to_be_of_another_year(copy, skip_bad):
    for path in copy.rglob("*.wav"):
        write(path, read(path)[:1])
    refused(lambda: small(copy, skip_bad), "one channel", "DCASE 2026", kind=AudioError)


def test_what_only_its_head_tells_is_named_together(copy):
    many = [files(copy, "fan", "test")[0], files(copy, "pump", "test")[2]]
    for path in many:
        write(path, np.concatenate([read(path), read(path)]))
    with pytest.raises(AudioError, match="2 of 48 recordings") as error:
        hashed(look(copy, any_data=True))
    named = zip(many, error.value.faults, strict=True)
    assert all(path.name in fault for path, fault in named)


def test_training_clips_may_be_left_out_by_name(copy):
    first, other = files(copy, "fan", "train")[0], files(copy, "pump", "train")[0]
    silent = files(copy, "fan", "train")[3]
    write(silent, SILENCE)
    write(other, read(first))
    data, whole = small(copy, skip_bad=True), look(copy, any_data=True)
    gone = {clip.path for clip in whole.train} - {clip.path for clip in data.train}
    assert gone == {silent, first, other}  # of one sound in two classes nobody knows which is right
    assert [clip.path for clip in data.test] == [clip.path for clip in whole.test]
    assert "3 left out" in data.told
    said = told(data)
    assert "--skip-bad" in said
    assert "\n" not in said
    assert all(path.name in said for path in gone)
    assert "leave it out" not in said
    assert data.train_sha256 != hashed(whole).train_sha256


def test_a_test_clip_stays_and_nothing_is_known_of_it(copy):
    test = files(copy, "pump", "test")[2]
    test.write_bytes(b"no sound")
    data = small(copy, skip_bad=True)
    (clip,) = data.not_judged
    assert clip.path == test
    assert clip in data.test
    assert len(data.truth.rows) == 24
    assert test.name in told(data)
    write(test, SILENCE)
    assert small(copy, skip_bad=True).train_sha256 == data.train_sha256


def test_a_clip_that_is_not_judged_has_the_median_of_its_machine(copy):
    test = files(copy, "pump", "test")[2]
    write(test, SILENCE)
    (clip,) = small(copy, skip_bad=True).not_judged
    rows = [ScoredFile("pump", "00", f"{i}.wav", s, s > 2) for i, s in enumerate((5.0, 1.0, 3.0))]
    rows += [ScoredFile("fan", "00", f"{i}.wav", 100.0 + i, False) for i in range(4)]
    filled = with_not_judged(ScoreTable(tuple(rows)), [clip])
    assert filled.rows[:-1] == tuple(rows)
    last = filled.rows[-1]
    assert (last.machine, last.section, last.file) == ("pump", "00", clip.key)
    assert (last.score, last.decision) == (3.0, True)
    assert with_not_judged(ScoreTable(tuple(rows)), []).rows == tuple(rows)


def test_too_many_are_refused(copy):
    for path in files(copy, "fan", "test"):
        write(path, SILENCE)
    refused(lambda: small(copy, skip_bad=True), "fan", "none of its clips")
    shutil.copy(files(copy, "pump", "test")[0], files(copy, "fan", "test")[0])
    small(copy, skip_bad=True)
    # Beside the report's numbers a hundredth of a machine's clips may be bad, and no more.
    official = {"skip_bad": True, "official": True}
    refused(lambda: small(copy, **official), "fan, section 00: 11 of 12", "--any-data")


@pytest.mark.parametrize("split", ["train", "test"])
def test_too_many_of_one_section_are_refused(copy, split):
    """Its others would have no median, and its detector no sound."""
    for every in ("train", "test"):
        for path in files(copy, "fan", every)[::2]:
            path.rename(path.with_name(path.name.replace("section_00", "section_01")))
    small(copy, skip_bad=True)
    for path in files(copy, "fan", split):
        if "section_01" in path.name:
            write(path, SILENCE)
    refused(lambda: small(copy, skip_bad=True), "fan, section 01: none of its clips")


def test_faults_keep_their_kind(copy):
    write(files(copy, "fan", "train")[3], SILENCE)
    with pytest.raises(AudioError, match="digitally silent"):
        small(copy)
    files(copy, "fan", "train")[3].unlink()
    write(files(copy, "pump", "train")[0], read(files(copy, "fan", "train")[0]))
    with pytest.raises(DatasetError, match="the same near channel"):
        small(copy)
