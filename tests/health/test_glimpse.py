"""A look at clips without a system: numbers of each, and no sound kept."""

import weakref

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.clips import survey
from nearfar.errors import NearfarError
from nearfar.health.glimpse import glimpse
from nearfar.runtime.runtime import Runtime
from nearfar.sound.look import look


def clips_in(root, count):
    rng = np.random.default_rng(2)
    return [nf.Clip(write(root / f"{i}.wav", machine_sound(rng))) for i in range(count)]


def test_each_clip_has_its_numbers_or_why_it_has_none(tmp_path):
    clips = clips_in(tmp_path, 3)
    (tmp_path / "1.wav").write_bytes(b"")
    one, none, other = glimpse(clips, 2, "near-far", Runtime())
    assert isinstance(none, NearfarError)
    assert one.clip == clips[0]
    assert one.look.levels == pytest.approx(look(clips[0].read()).levels, abs=0.01)
    assert len({one.digest, other.digest}) == 2


@pytest.mark.slow
def test_workers_see_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "BATCH", 2)
    clips = clips_in(tmp_path, 4)
    assert glimpse(clips, 2, "near-far", Runtime(workers=2)) == glimpse(
        clips, 2, "near-far", Runtime()
    )


def test_one_clip_is_in_memory_at_a_time(tmp_path, monkeypatch):
    clips, read = clips_in(tmp_path, 5), nf.Clip.read_recorded
    alive = []

    def counted(clip, order):
        # What was heard before may be held until the next is there, and no longer.
        assert sum(one() is not None for one in alive) <= 1
        audio, recorded = read(clip, order)
        alive.append(weakref.ref(audio))
        return audio, recorded

    monkeypatch.setattr(nf.Clip, "read_recorded", counted)
    assert len(glimpse(clips, 2, "near-far", Runtime())) == 5
    assert not [one for one in alive if one() is not None]
