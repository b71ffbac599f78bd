"""Sound in and out of files: what is heard is what was recorded, or one line says why not."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import conftest
from nearfar.errors import AudioError, NearfarError, NearfarWarning, SettingError
from nearfar.sound import audio

RATE = audio.SAMPLE_RATE
NOISE = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 2 * RATE)).astype(np.float32)


def write(path: Path, sound: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    soundfile.write(path, np.asarray(sound).T, rate, subtype=subtype)
    return path


def tone(frequency: float, level: float, rate: int, seconds: float = 2.0) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def level_of(sound: np.ndarray, frequency: float, rate: int = RATE) -> tuple[float, float]:
    """Level of the tone (least squares), and RMS of everything else, away from the ends."""
    inner = slice(len(sound) // 8, -len(sound) // 8)
    phase = 2 * np.pi * frequency * np.arange(len(sound))[inner] / rate
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    parts = np.linalg.lstsq(basis, sound[inner].astype(float), rcond=None)[0]
    rest = sound[inner] - basis @ parts
    return float(np.hypot(*parts)), float(np.sqrt(np.mean(rest**2)))


def refused(call: Callable[[], object], *words: str, error: type[Exception] = AudioError) -> None:
    assert len(conftest.refused(call, *words, error=error)) < 300


# ---- what is heard is what was recorded ----------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        (".wav", "PCM_16", 2.0**-15),
        (".wav", "PCM_24", 2.0**-23),
        (".wav", "PCM_32", 2.0**-24),  # float32 has 24 bits
        (".wav", "FLOAT", 0.0),
        (".wav", "DOUBLE", 0.0),
        (".flac", "PCM_16", 2.0**-15),
        (".flac", "PCM_24", 2.0**-23),
        (".WAV", "PCM_16", 2.0**-15),
    ],
)
def test_every_format_gives_the_same_sound(
    tmp_path: Path, suffix: str, subtype: str, step: float
) -> None:
    read = audio.read(write(tmp_path / f"x{suffix}", NOISE, subtype=subtype))
    assert read.shape == (2, 2 * RATE)
    assert read.dtype == np.float32
    assert read.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(read, NOISE, rtol=0, atol=step)


@pytest.mark.filterwarnings("ignore:recordings at 8000 Hz")
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_a_tone_keeps_frequency_and_level_at_any_rate(tmp_path: Path, rate: int) -> None:
    both = np.stack([tone(1_000, 0.5, rate), tone(440, 0.02, rate)])
    for read in (
        audio.read(write(tmp_path / "x.wav", both, rate, "FLOAT")),
        audio.from_array(both, rate),
    ):
        assert read.shape == (2, 2 * RATE)
        for channel, (frequency, level) in enumerate([(1_000, 0.5), (440, 0.02)]):
            found, rest = level_of(read[channel], frequency)
            assert found == pytest.approx(level, rel=1e-3)
            assert rest < 1e-3 * level  # −60 dB: nothing else appears


def test_a_low_rate_is_warned_about() -> None:
    with pytest.warns(NearfarWarning, match="at 8000 Hz have nothing above 4000 Hz"):
        audio.from_array(tone(440, 0.5, 8_000), 8_000)


def test_what_16_khz_cannot_hold_is_gone() -> None:
    """Otherwise a 12 kHz whistle at 48 kHz would sound as one of 4 kHz."""
    read = audio.from_array(tone(12_000, 0.5, 48_000), 48_000)
    assert np.abs(read[0, 1_000:-1_000]).max() < 0.5e-3


def test_another_rate_of_the_result() -> None:
    assert audio.from_array(np.zeros((2, 44_100)), 44_100).shape == (2, RATE)


def test_sample_rate_argument(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", tone(1_000, 0.5, RATE)[None], subtype="FLOAT")
    read = audio.read(path, sample_rate=32_000)
    assert read.shape == (1, 64_000)
    assert level_of(read[0], 1_000, 32_000)[0] == pytest.approx(0.5, rel=1e-3)


def test_mono_files_are_one_channel(tmp_path: Path) -> None:
    assert audio.read(write(tmp_path / "x.flac", NOISE[:1])).shape == (1, 2 * RATE)


def test_channel_order(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", NOISE, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(path, order="near-far"), NOISE)
    np.testing.assert_array_equal(audio.read(path, order="far-near"), NOISE[::-1])
    np.testing.assert_array_equal(audio.from_array(NOISE, RATE, order="far-near"), NOISE[::-1])
    np.testing.assert_array_equal(audio.to_order(NOISE[:1], "far-near"), NOISE[:1])
    bad = "left-right"
    refused(lambda: audio.read(path, order=bad), bad, "near-far", error=SettingError)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_parts_put_together_are_the_whole(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", NOISE)
    whole = audio.read(path)
    ends = [0.0, 0.3, 1.00005, 1.5, None]  # one between two samples
    parts = [audio.read(path, start=a or 0.0, stop=b) for a, b in itertools.pairwise(ends)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_two_mono_files_make_one_clip(tmp_path: Path) -> None:
    near = write(tmp_path / "n.wav", NOISE[:1], subtype="FLOAT")
    far = write(tmp_path / "f.wav", NOISE[1:], subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(near, far), NOISE)
    np.testing.assert_array_equal(audio.read(near, far, start=0.5, stop=1.5),
                                  NOISE[:, 8_000:24_000])  # fmt: skip


def test_two_mono_files_at_two_rates(tmp_path: Path) -> None:
    near = write(tmp_path / "n.wav", tone(500, 0.1, 48_000)[None], 48_000)
    far = write(tmp_path / "f.wav", tone(500, 0.1, 44_100)[None], 44_100)
    assert audio.read(near, far).shape == (2, 2 * RATE)


def test_extent(tmp_path: Path) -> None:
    assert audio.extent(write(tmp_path / "x.flac", NOISE[:, :24_000], 48_000)) == (
        24_000,
        2,
        48_000,
    )
    assert audio.extent(write(tmp_path / "x.wav", NOISE[:1])) == (32_000, 1, 16_000)


def test_duration(tmp_path: Path) -> None:
    assert audio.duration(write(tmp_path / "x.wav", NOISE)) == 2.0
    assert audio.duration(write(tmp_path / "x.flac", NOISE[:, :24_000], 48_000)) == 0.5


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16])
def test_integers_are_scaled_by_their_full_scale(dtype: type[np.integer]) -> None:
    info = np.iinfo(dtype)
    half = (int(info.max) - int(info.min) + 1) // 2
    middle = int(info.min) + half
    values = np.array([[middle, info.min, middle + half // 2]], dtype=dtype)
    np.testing.assert_array_equal(audio.from_array(values, RATE), [[0.0, -1.0, 0.5]])


def test_lists_and_one_dimension_are_taken() -> None:
    read = audio.from_array([0.25] * 5, RATE)
    assert read.shape == (1, 5)
    assert read.dtype == np.float32
    assert audio.from_array(np.asfortranarray(NOISE), RATE).flags["C_CONTIGUOUS"]


def test_pair() -> None:
    np.testing.assert_array_equal(audio.pair(NOISE[0], NOISE[1:]), NOISE)
    refused(lambda: audio.pair(NOISE, NOISE[1]), "near", "(2, 32000)", "one channel")
    refused(lambda: audio.pair(NOISE[0], NOISE, names=("a.wav", "b.wav")), "b.wav", "one channel")
    refused(lambda: audio.pair(NOISE[0], NOISE[1, :-1]), "32000", "31999", "same length")
    refused(lambda: audio.pair(np.zeros((1, 1, 5)), np.zeros(5)), "one channel")
    refused(lambda: audio.pair(["a"], ["b"]), "numbers")


# ---- bad files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gone.wav", ".", "x" * 300 + ".wav", "nul\0.wav"])
def test_missing_or_no_file(tmp_path: Path, name: str) -> None:
    for call in (audio.read, audio.duration):
        with pytest.raises(AudioError, match=r"no such file|and no file"):
            call(tmp_path / name)


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.wav", NOISE)

    def locked(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", locked)
    refused(lambda: audio.read(path), str(path), "Permission denied")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_an_empty_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.touch()
    refused(lambda: audio.read(path), str(path), "0 bytes")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize(
    "content",
    [
        b"not a sound",
        b"\0" * 5_000,
        b"RIFF",
        b"fLaC",
        b"RIFF\xff\xff\xff\xffWAVEdata",
        b"RIFF$\0\0\0AVI LIST",
        b"\x89PNG\r\n\x1a\n" * 50,
    ],
)
def test_not_audio(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    refused(lambda: audio.read(path), str(path), "not a readable")


def test_zero_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", NOISE[:, :0])
    refused(lambda: audio.read(path), str(path), "no samples")


def test_three_channels(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", np.concatenate([NOISE, NOISE[:1]]))
    refused(lambda: audio.read(path), str(path), "3 channels", "--near N --far M")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("lost", [1, 4, 1_000, 100_000])
def test_a_truncated_wav_is_never_read_as_a_shorter_one(
    tmp_path: Path, subtype: str, lost: int
) -> None:
    path = write(tmp_path / "x.wav", NOISE, subtype=subtype)
    path.write_bytes(path.read_bytes()[:-lost])
    refused(lambda: audio.read(path), str(path), "truncated")
    refused(lambda: audio.read(path, stop=0.1), "truncated")
    refused(lambda: audio.duration(path), "truncated")


@pytest.mark.parametrize("kept", [10, 30, 44])
def test_a_wav_that_ends_in_its_header(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "x.wav", NOISE, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:kept])
    refused(lambda: audio.read(path), str(path))


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99, 0.9999])
def test_a_truncated_flac(tmp_path: Path, kept: float) -> None:
    path = write(tmp_path / "x.flac", NOISE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    refused(lambda: audio.read(path), str(path))


def test_a_flac_with_a_changed_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "x.flac", NOISE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    refused(lambda: audio.read(path), str(path), "damaged")


def test_chunks_before_and_after_the_sound_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", NOISE[:1, :RATE], subtype="PCM_16")
    expected = audio.read(path)
    head, sound = path.read_bytes()[:36], path.read_bytes()[36:]
    odd = b"LIST" + struct.pack("<I", 5) + b"INFOx" + b"\0"  # odd chunks are padded
    path.write_bytes(head + odd + sound + b"id3 " + struct.pack("<I", 4) + b"abcd")
    np.testing.assert_array_equal(audio.read(path), expected)
    path.write_bytes(head + odd + sound[:-2])
    refused(lambda: audio.read(path), "truncated")


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000])
def test_streamed_wavs_do_not_know_their_length(tmp_path: Path, length: int) -> None:
    """Recorders that write to a pipe put a placeholder there; nothing is missing."""
    path = write(tmp_path / "x.wav", NOISE, subtype="PCM_16")
    expected = audio.read(path)
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", length)
    path.write_bytes(bytes(data))
    np.testing.assert_array_equal(audio.read(path), expected)


def test_a_flac_that_does_not_know_its_length(tmp_path: Path) -> None:
    """A FLAC from a pipe: its last frame says how long it is, and nothing is missing."""
    path = write(tmp_path / "x.flac", NOISE)
    expected = audio.read(path)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO: 36 bits of total samples
    data[22:26] = bytes(4)
    path.write_bytes(bytes(data))
    np.testing.assert_array_equal(audio.read(path), expected)
    assert audio.duration(path) == 2.0


@pytest.mark.parametrize("rate", [1, 100, 2_000_000_000])
def test_impossible_sample_rates(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "x.wav", NOISE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(bytes(data))
    refused(lambda: audio.read(path), str(rate), "Hz")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    suffix=st.sampled_from([".wav", ".flac"]),
    changes=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), min_size=1, max_size=4),
    kept=st.integers(0, 5_000),
)
def test_a_damaged_header_is_a_sound_or_an_error_of_ours(
    tmp_path: Path, suffix: str, changes: list[tuple[int, int]], kept: int
) -> None:
    path = write(tmp_path / f"x{suffix}", NOISE[:, :1_000], subtype="PCM_16")
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position] = value
    path.write_bytes(bytes(data[:kept]))
    with contextlib.suppress(AudioError), warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)  # a header may say a low sample rate
        assert audio.read(path).ndim == 2


@pytest.mark.parametrize(
    ("start", "stop", "error"),
    [
        (2.0, None, AudioError),  # from the end on
        (5.0, 6.0, AudioError),
        (1.0, 2.1, AudioError),  # the file ends before
        (0.0, float("inf"), AudioError),
        (1.0, 0.5, SettingError),
        (1.0, 1.0, SettingError),
        (-1.0, 1.0, SettingError),
        (float("nan"), 1.0, SettingError),
        (0.0, float("nan"), SettingError),
        (float("inf"), None, SettingError),
    ],
)
def test_parts_that_are_not_there(
    tmp_path: Path, start: float, stop: float | None, error: type[NearfarError]
) -> None:
    path = write(tmp_path / "x.wav", NOISE)
    refused(lambda: audio.read(path, start=start, stop=stop), str(path), error=error)


def test_a_file_that_ends_before_the_part_does(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", NOISE)
    refused(lambda: audio.read(path, start=1.0, stop=2.5), "ends at 2 s", "2.5 s")


def test_two_files_that_are_no_pair(tmp_path: Path) -> None:
    near = write(tmp_path / "near.wav", NOISE[:1])
    refused(lambda: audio.read(near, tmp_path / "gone.wav"), "gone.wav", "no such file")
    both = write(tmp_path / "both.wav", NOISE)
    refused(lambda: audio.read(near, both), "both.wav", "one channel")
    short = write(tmp_path / "short.wav", NOISE[1:, :-1])
    refused(lambda: audio.read(near, short), "short.wav", "31999", "32000")


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    try:
        path.write_bytes(write(tmp_path / "x.wav", NOISE).read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    np.testing.assert_array_equal(audio.read(path), audio.read(tmp_path / "x.wav"))
    flac = path.with_suffix(".flac")
    flac.write_bytes(write(tmp_path / "x.flac", NOISE).read_bytes())
    np.testing.assert_array_equal(audio.read(flac), audio.read(tmp_path / "x.flac"))


# ---- bad arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sound", "rate", "word"),
    [
        (NOISE.T, RATE, "transpose"),
        (NOISE[:1].T, RATE, "transpose"),
        (np.zeros((3, RATE)), RATE, "(3, 16000)"),
        (np.zeros((2, 2, 9)), RATE, "(2, 2, 9)"),
        (["a", "b"], RATE, "numbers"),
        (np.zeros(9, dtype=complex), RATE, "numbers"),
        ([[1.0, 2.0], [3.0]], RATE, "different lengths"),
        (NOISE, 0, "0 Hz"),
        (NOISE, -RATE, "-16000 Hz"),
        (NOISE, float("nan"), "nan Hz"),
        (NOISE, float("inf"), "inf Hz"),
        (NOISE, "16000", "16000 Hz"),
        (NOISE, None, "None Hz"),
    ],
)
def test_arrays_that_are_no_sound(sound: object, rate: object, word: str) -> None:
    refused(lambda: audio.from_array(sound, rate, name="belt 3"), "belt 3", word)  # type: ignore[arg-type]


# ---- what no system can judge --------------------------------------------------------------------


def test_a_good_clip_passes_unchanged() -> None:
    assert audio.check(NOISE, name="x") is not None
    np.testing.assert_array_equal(audio.check(NOISE, name="x"), NOISE)
    np.testing.assert_array_equal(audio.check(NOISE, name="x", channels=1), NOISE[:1])
    assert audio.check(NOISE[:, :RATE], name="x").shape == (2, RATE)  # one second is enough


def test_mono_where_two_are_needed() -> None:
    refused(lambda: audio.check(NOISE[:1], name="a.wav"), "a.wav", "1 channel,", "need 2", "mono")
    assert audio.check(NOISE[:1], name="a.wav", channels=1).shape == (1, 2 * RATE)


def test_shapes_that_are_no_clip() -> None:
    refused(lambda: audio.check(NOISE[0], name="a.wav"), "a.wav", "(32000,)")
    refused(lambda: audio.check(NOISE[[0, 1, 0]], name="a.wav"), "a.wav", "(3, 32000)")


@pytest.mark.parametrize("samples", [0, 1, RATE - 1])
def test_shorter_than_a_second(samples: int) -> None:
    refused(lambda: audio.check(NOISE[:, :samples], name="a.wav"), "a.wav", " s,", "at least 1 s")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("channel", "which"), [(0, "near"), (1, "far")])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_float_file_that_is_not_finite(
    tmp_path: Path, bad: float, channel: int, which: str, rate: int
) -> None:
    sound = NOISE.copy()
    sound[channel, 777] = bad
    sound = np.tile(sound, 2)  # long enough at either rate
    read = audio.read(write(tmp_path / "x.wav", sound, rate, "FLOAT"))
    refused(lambda: audio.check(read, name="x.wav"), "x.wav", which, "NaN or infinite")


def test_what_float32_cannot_hold_is_not_finite() -> None:
    read = audio.from_array(NOISE.astype(np.float64) * 1e300, RATE)
    refused(lambda: audio.check(read, name="x"), "infinite")


@pytest.mark.parametrize("value", [0.0, 0.25])
@pytest.mark.parametrize(("silent", "which"), [([0], "near"), ([1], "far"), ([0, 1], "near")])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_digital_silence(
    tmp_path: Path, value: float, silent: list[int], which: str, suffix: str
) -> None:
    sound = NOISE.copy()
    sound[silent] = value
    read = audio.read(write(tmp_path / f"x{suffix}", sound))
    refused(lambda: audio.check(read, name="x"), "x:", f"the {which} channel", "silent")


def test_a_channel_that_is_not_heard_is_not_judged() -> None:
    sound = NOISE.copy()
    sound[1] = 0
    assert audio.check(sound, name="x", channels=1).shape == (1, 2 * RATE)


def test_one_count_of_noise_is_not_silence() -> None:
    sound = np.zeros((2, RATE), dtype=np.float32)
    sound[:, 500] = 2.0**-15
    assert audio.check(sound, name="x").shape == (2, RATE)
