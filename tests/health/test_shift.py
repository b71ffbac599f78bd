"""Channels of one file that lie apart in time are found, and nothing else is."""

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.health import shift
from nearfar.health.copies import Sound
from nearfar.health.glimpse import glimpse
from nearfar.health.shift import by_shift
from nearfar.runtime.runtime import Runtime
from nearfar.sound.look import Look

LATE = 64  # samples by which far hears the machine after near: a metre and more


def roaring(rng, shift=0, seconds=2.0):
    """(2, samples): broad noise of a machine near, less of it and later far, noise of the hall."""
    n = round(seconds * 16_000)
    roar = 0.05 * rng.standard_normal(n + 16_000)
    near = roar[8_000 : 8_000 + n] + 0.01 * rng.standard_normal(n)
    first = 8_000 - LATE - shift
    return np.stack([near, 0.5 * roar[first : first + n] + 0.01 * rng.standard_normal(n)])


@pytest.fixture(scope="module")
def roars(tmp_path_factory):
    """Ten clips as they must be, and one whose far channel is 100 ms late."""
    root, rng = tmp_path_factory.mktemp("roars") / "fan", np.random.default_rng(5)
    for i in range(11):
        write(root / f"c{i:02d}.wav", roaring(rng, shift=1600 * (i == 4)))
    return root


def sounds_in(root):
    clips = [nf.Clip(path, machine="fan") for path in sorted(root.glob("*.wav"))]
    return glimpse(clips, 2, "near-far", Runtime())


def test_a_far_channel_that_is_late_is_named(roars):
    (found,) = by_shift(sounds_in(roars))
    assert (found.kind, found.clip.path.stem, found.value) == ("shifted", "c04", "+104 ms")
    assert found.usual == "+4.0 ms"


def test_fit_check_and_inspect_name_it(run, roars, tmp_path):
    given = (roars, "--no-cache", "--workers", 1)
    line = "fan: 1 of 11 clips: far lies elsewhere in time than the others' (+4.0 ms)"
    assert line in run("check", *given)[1]
    assert line in run("fit", *given, "-o", tmp_path / "d")[2]
    assert line in run("inspect", roars)[1]


def test_clips_that_lie_alike_are_fine(tmp_path):
    rng = np.random.default_rng(6)
    for i in range(8):
        write(tmp_path / f"c{i}.wav", roaring(rng))
    assert by_shift(sounds_in(tmp_path)) == []


def test_a_clip_that_lost_its_coherence_otherwise_is_not_said_to_be_late(roars, tmp_path):
    for path in roars.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rng = np.random.default_rng(7)
    write(tmp_path / "c04.wav", 0.05 * rng.standard_normal((2, 32_000)))  # nothing in common
    write(tmp_path / "c05.wav", machine_sound(rng, 2.0))  # a hum, whose lag is any of its periods
    assert by_shift(sounds_in(tmp_path)) == []


def in_a_hall(rng, late=0, seconds=3.0):
    """(2, samples) in which far hears little of the machine: no window of it is coherent."""
    n = round(seconds * 16_000)
    roar = 0.05 * rng.standard_normal(n + 16_000)
    first = 8_000 - LATE - late
    far = 0.25 * roar[first : first + n] + 0.05 * rng.standard_normal(n)
    return np.stack([roar[8_000 : 8_000 + n], far])


def test_a_late_channel_is_named_where_the_hall_leaves_no_coherence(tmp_path):
    rng = np.random.default_rng(9)
    for i in range(12):
        write(tmp_path / f"c{i:02d}.wav", in_a_hall(rng, late=3200 * (i == 4) - 800 * (i == 7)))
    heard = sounds_in(tmp_path)
    assert max(sound.look.coherence for sound in heard) < 0.2  # 1/16 is chance
    found = {s.clip.path.stem: s.value for s in by_shift(heard)}
    assert found == {"c04": "+204 ms", "c07": "-46 ms"}


def test_an_echo_that_is_louder_for_once_is_no_late_channel(tmp_path):
    rng = np.random.default_rng(12)
    for i in range(10):
        audio = in_a_hall(rng)
        if i == 3:  # the machine's own way is there all the same
            audio[1, 800:] += 0.32 * audio[0, :-800]
        write(tmp_path / f"c{i:02d}.wav", audio)
    assert by_shift(sounds_in(tmp_path)) == []


def test_hums_whose_lag_is_any_of_their_periods_are_not_said_to_be_late(tmp_path):
    rng = np.random.default_rng(10)
    for i in range(16):
        write(tmp_path / f"c{i:02d}.wav", machine_sound(rng, 3.0))
    assert by_shift(sounds_in(tmp_path)) == []


NAN = float("nan")


@pytest.mark.parametrize(
    ("own", "others", "named"),
    [
        (104.0, [4.0, 4.1, 4.0, 3.9, 4.0], True),
        (-40.0, [4.0, 4.1, 4.0, 3.9, 4.0], True),
        (30.0, [4.0, 4.1, 4.0, 3.9, 4.0], False),  # within 30 ms of theirs
        (NAN, [4.0, 4.1, 4.0, 3.9, 4.0], False),
        (104.0, [4.0, 50.0, 4.0, 3.9, 4.0], False),  # they have none in common
        (104.0, [4.0, NAN, 4.0, 3.9, 4.0], False),
    ],
)
def test_a_lag_is_held_against_one_that_the_others_share(monkeypatch, own, others, named):
    looks = [Look(10.0, (-30.0, -38.0), coherence=0.4 + 0.01 * i) for i in range(5)]
    heard = [Sound(nf.Clip(f"{i}.wav"), one) for i, one in enumerate(looks)]
    heard.append(Sound(nf.Clip("late.wav"), Look(10.0, (-30.0, -38.0), coherence=0.07)))
    lags = {f"{i}.wav": lag for i, lag in enumerate(others)} | {"late.wav": own}
    monkeypatch.setattr(shift, "_lag", lambda clip, order: lags[clip.path.name])
    monkeypatch.setattr(shift, "_held", lambda clip, order, usual: False)
    assert [s.clip.path.stem for s in by_shift(heard)] == ["late"] * named


def test_what_vanished_or_has_one_channel_is_passed_over(roars, tmp_path):
    for path in roars.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    sounds = sounds_in(tmp_path)
    (tmp_path / "c04.wav").unlink()
    assert by_shift(sounds) == []
    assert by_shift([]) == []
    assert by_shift([Sound(nf.Clip("a.wav"), Look(10.0, (-30.0,)))]) == []
