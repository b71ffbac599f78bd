"""What is written anew loses nothing; what is whole is not touched."""

import numpy as np
import pytest
import soundfile

from conftest import machine_sound, refused, write
from nearfar.clips import Clip
from nearfar.clips.export.written import channels_in, is_rewritten, put
from nearfar.errors import AudioError


@pytest.fixture
def sound():
    return machine_sound(np.random.default_rng(0))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_part_has_the_samples_of_its_recording(tmp_path, sound, subtype):
    path = write(tmp_path / "a.wav", sound, rate=44_100, subtype=subtype)
    clip = Clip(path, start=0.1, stop=0.4)
    assert is_rewritten(clip)
    put(clip, tmp_path / "b.wav", "far-near", link=True, rewritten=True)
    whole, _ = soundfile.read(path, dtype="float32")
    part, rate = soundfile.read(tmp_path / "b.wav", dtype="float32")
    assert rate == 44_100
    np.testing.assert_array_equal(part, whole[4410:17640, ::-1])  # near first
    assert soundfile.info(tmp_path / "b.wav").subtype == subtype


def test_a_whole_file_is_copied_or_linked_as_it_is(tmp_path, sound):
    clip = Clip(write(tmp_path / "a.wav", sound))
    assert not is_rewritten(clip)
    put(clip, tmp_path / "b.wav", "near-far", link=False, rewritten=False)
    put(clip, tmp_path / "c.wav", "near-far", link=True, rewritten=False)
    assert (tmp_path / "b.wav").read_bytes() == clip.path.read_bytes()
    assert (tmp_path / "c.wav").samefile(clip.path)


def test_channels_are_those_of_the_file_that_is_exported(tmp_path, sound):
    two = Clip(write(tmp_path / "a.wav", sound))
    assert channels_in(two, "near-far", rewritten=False) == (1, 2)
    assert channels_in(two, "far-near", rewritten=False) == (2, 1)
    assert channels_in(two, "far-near", rewritten=True) == (1, 2)
    mono = Clip(write(tmp_path / "m.wav", sound[:1]))
    assert channels_in(mono, "far-near", rewritten=False) is None
    assert channels_in(Clip(mono.path, far=mono.path), "near-far", rewritten=True) == (1, 2)
    refused(lambda: channels_in(Clip(tmp_path / "no.wav"), "near-far", rewritten=False), "no.wav",
            error=AudioError)  # fmt: skip
