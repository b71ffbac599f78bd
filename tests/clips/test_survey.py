"""All that stands in the way of a training is found by one reading, and told in one error."""

from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, refused, write
from nearfar.clips import Clips
from nearfar.clips.survey import BATCH, faults_of, refuse, survey
from nearfar.errors import AudioError, DatasetError
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import digest_of, read


@pytest.fixture
def clips(tmp_path):
    """Two machines of two clips a domain."""
    rng = np.random.default_rng(0)
    for machine in ("fan", "pump"):
        for domain in ("source", "target"):
            for i in range(2):
                name = f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"
                write(tmp_path / machine / "train" / name, machine_sound(rng, 1.0))
    return Clips.open(tmp_path, split="train")


def faults(clips, needs=2):
    return faults_of(clips, survey(clips, needs, "near-far", Runtime()))


def test_sound_clips_have_their_near_channel_and_no_fault(clips):
    for order, near in (("near-far", 0), ("far-near", 1)):
        seen = survey(clips, 2, order, Runtime())
        assert seen == [digest_of(read(c.path)[near : near + 1]) for c in clips]
    assert not faults(clips)
    refuse({}, len(clips))


def test_every_fault_is_told_in_one_error(clips):
    write(clips[1].path, np.zeros((2, 16_000)))
    write(clips[4].path, read(clips[4].path)[:1])
    clips[6].path.write_bytes(b"no sound")
    found = faults(clips)
    assert list(found) == [1, 4, 6]
    assert 4 not in faults(clips, needs=1)
    with pytest.raises(AudioError) as error:
        refuse(found, len(clips))
    assert str(error.value).startswith("3 of 8 clips cannot be used")
    assert [clips[i].name in line for i, line in zip(found, error.value.faults, strict=True)] == [
        True
    ] * 3


def test_where_all_are_bad_nobody_is_told_to_leave_them_out():
    silent = AudioError("a.wav: silent; check it or leave the clip out with --skip-bad")
    refused(lambda: refuse({0: silent, 3: silent}, 2), "2 of 2 clips", "check it")
    with pytest.raises(AudioError) as error:
        refuse({0: silent}, 1)
    assert "skip" not in str(error.value)


def test_one_near_channel_in_two_classes_is_a_fault_of_all_that_have_it(clips):
    """Nobody knows whose name is wrong. The far channels may differ."""
    sound = read(clips[0].path)
    write(clips[5].path, np.stack([sound[0], sound[1][::-1]]))
    found = faults(clips)
    assert sorted(found) == [0, 5]
    for i, other in ((0, 5), (5, 0)):
        line = str(found[i])
        assert line.startswith(f"{clips[i].name}: the same near channel as {clips[other].name}")
        assert "fan 00 source" in line
        assert "pump 00 source" in line
        assert "--skip-bad" in line or "skip_bad" in line
    with pytest.raises(DatasetError, match="2 of 8"):
        refuse(found, len(clips))


def test_copies_within_a_class_are_no_fault(clips):
    write(clips[1].path, read(clips[0].path))
    assert not faults(clips)


def test_a_fault_of_listing_is_one(clips):
    bad = Clips([*clips[:3], replace(clips[3], fault="x.wav: no partner; leave it out")])
    assert [str(fault) for fault in faults(bad).values()] == ["x.wav: no partner; leave it out"]


@pytest.mark.slow
def test_workers_see_the_same_in_the_same_order(clips):
    many = Clips([*clips] * (1 + BATCH // 4))
    alone = survey(many, 2, "near-far", Runtime())
    assert survey(many, 2, "near-far", Runtime(workers=2)) == alone
    assert nf.Clips(many)[0].name in str(faults(Clips([*clips[:1], replace(
        clips[0], machine="pump")]))[0])  # fmt: skip
