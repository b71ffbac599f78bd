"""Copies are found whatever their gain, and nothing else is."""

import weakref

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.health import copies as module
from nearfar.health.copies import Sound, by_copy, copies, gain_of
from nearfar.health.glimpse import glimpse
from nearfar.runtime.runtime import Runtime

RNG = np.random.default_rng(11)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """Twelve recordings of one machine; its harmonics are those of the others. Read only."""
    root = tmp_path_factory.mktemp("copies") / "fan"
    for i in range(12):
        write(root / f"c{i:02d}.wav", machine_sound(RNG))
    return root


def sounds_in(root, **fields):
    clips = [nf.Clip(path, machine="fan", **fields) for path in sorted(root.glob("*.wav"))]
    return glimpse(clips, 2, "near-far", Runtime())


def changed(twelve, root, **files):
    """The twelve, and further files: name → (2, samples)."""
    for path in twelve.iterdir():
        root.mkdir(exist_ok=True)
        (root / path.name).write_bytes(path.read_bytes())
    for name, audio in files.items():
        write(root / f"{name}.wav", audio)
    return sounds_in(root)


def read(twelve, i):
    return nf.Clip(twelve / f"c{i:02d}.wav").read()


def test_other_recordings_of_a_machine_are_no_copies(twelve):
    assert copies(sounds_in(twelve)) == []


def test_a_copy_is_found_whatever_its_gain(twelve, tmp_path):
    loud = np.clip(12 * read(twelve, 4), -1, 1)  # clipped by it
    found = copies(changed(
        twelve, tmp_path / "fan", quiet=0.02 * read(twelve, 2), turned=-0.5 * read(twelve, 3),
        raised=loud, same=read(twelve, 5),
    ))  # fmt: skip
    told = {c.clip.path.stem: (c.of.path.stem, round(c.gain, 2), c.exact) for c in found}
    assert told == {
        "quiet": ("c02", 0.02, False), "turned": ("c03", -0.5, False),
        "raised": ("c04", 12.0, False), "same": ("c05", 1.0, True),
    }  # fmt: skip
    assert "of c03.wav, -6.0 dB, of turned sign" in {c.value for c in found}


def test_a_copy_of_a_copy_is_one_of_the_first(twelve, tmp_path):
    found = copies(changed(twelve, tmp_path / "fan", d1=0.5 * read(twelve, 1),
                           d2=0.25 * read(twelve, 1)))  # fmt: skip
    assert {(c.clip.path.stem, c.of.path.stem) for c in found} == {("d1", "c01"), ("d2", "c01")}


def test_tones_alike_in_all_but_their_noise_are_no_copies(tmp_path):
    t = np.arange(24_000) / 16_000
    for i in range(8):  # of one phase, with noise of a few steps of 16 bits
        hum = 0.3 * np.sin(2 * np.pi * 100 * t) + 2e-4 * RNG.standard_normal((2, 24_000))
        write(tmp_path / f"{i}.wav", hum)
    assert copies(sounds_in(tmp_path)) == []


def test_what_is_equal_sample_for_sample_is_left_to_others(twelve, tmp_path):
    sounds = changed(twelve, tmp_path / "fan", same=read(twelve, 5), half=0.5 * read(twelve, 5))
    assert [(s.kind, s.clip.path.stem) for s in by_copy(sounds)] == [("copy", "half")]


def test_a_file_that_vanished_is_no_copy(twelve, tmp_path):
    sounds = changed(twelve, tmp_path / "fan", half=0.5 * read(twelve, 5))
    (tmp_path / "fan" / "half.wav").unlink()
    assert copies(sounds) == []


def test_order_of_files_changes_nothing(twelve, tmp_path):
    sounds = changed(twelve, tmp_path / "fan", half=0.5 * read(twelve, 5))
    assert by_copy(sounds[::-1]) == by_copy(sounds)


def test_no_more_than_two_clips_are_ever_held(twelve, tmp_path, monkeypatch):
    sounds = changed(twelve, tmp_path / "fan", **{f"d{i}": 0.5 * read(twelve, i) for i in range(8)})
    alive, most, read_one = [], [], nf.Clip.read

    def counted(clip, order):
        audio = read_one(clip, order)
        alive.append(weakref.ref(audio))
        most.append(sum(one() is not None for one in alive))
        return audio

    monkeypatch.setattr(nf.Clip, "read", counted)
    assert len(copies(sounds)) == 8
    assert max(most) <= 2


def test_silence_and_short_clips_have_no_copies():
    bare = [Sound(nf.Clip(f"{i}.wav"), nf_look(())) for i in range(3)]
    assert copies(bare) == []
    assert gain_of(np.zeros(100, np.float32), np.zeros(100, np.float32)) is None
    assert gain_of(np.ones(3, np.float32), np.ones(4, np.float32)) is None


def nf_look(sketch):
    from nearfar.sound.look import Look

    return Look(1.0, (-30.0, -40.0), sketch=sketch)


def test_blocks_of_the_comparison_change_nothing(twelve, tmp_path, monkeypatch):
    sounds = changed(twelve, tmp_path / "fan", half=0.5 * read(twelve, 5))
    whole = copies(sounds)
    monkeypatch.setattr(module, "TOGETHER", 1)
    assert copies(sounds) == whole
