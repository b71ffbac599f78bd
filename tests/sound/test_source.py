"""A sound file opened: what its bytes say, or one line with both numbers; never a part unsaid."""

from __future__ import annotations

import contextlib
import io
import os
import random
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import refused
from nearfar.clips import Clips
from nearfar.embedder.logmel import LogMel
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import hear
from nearfar.errors import AudioError, NearfarError, NearfarWarning, SettingError, in_shell
from nearfar.frontend import Near
from nearfar.runtime.runtime import Runtime
from nearfar.sound import audio
from nearfar.sound.source import SUFFIXES, kind_of, open_source

SOUND = np.random.default_rng(3).uniform(-0.5, 0.5, (2000, 2))
KINDS = {
    "WAV": {"format": "WAV", "subtype": "PCM_16"},
    "RIFX": {"format": "WAV", "subtype": "PCM_16", "endian": "BIG"},
    "RF64": {"format": "RF64", "subtype": "PCM_16"},
    "W64": {"format": "W64", "subtype": "PCM_16"},
    "AIFF": {"format": "AIFF", "subtype": "PCM_16"},
    "AU": {"format": "AU", "subtype": "PCM_16"},
    "FLAC": {"format": "FLAC", "subtype": "PCM_16"},
}


def content(**how: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, SOUND, 16_000, **how)
    return buffer.getvalue()


def lay(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("format_", "subtype"),
    [
        ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"),
        ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAVEX", "PCM_24"), ("RF64", "PCM_24"),
        ("W64", "PCM_32"), ("AIFF", "PCM_S8"), ("AIFF", "PCM_16"), ("AIFF", "PCM_24"),
        ("AIFF", "FLOAT"), ("AU", "PCM_16"), ("AU", "DOUBLE"), ("FLAC", "PCM_S8"),
        ("FLAC", "PCM_24"),
    ],
)  # fmt: skip
def test_samples_are_those_of_libsndfile_to_the_bit(
    tmp_path: Path, format_: str, subtype: str
) -> None:
    path = lay(tmp_path / "x.wav", content(format=format_, subtype=subtype))
    expected = soundfile.read(path, dtype="float32")[0].T
    np.testing.assert_array_equal(audio.read(path), expected)
    np.testing.assert_array_equal(
        audio.read(path, start=0.025, stop=0.1, order=(2, 1)), expected[::-1, 400:1600]
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "FLAC"])
def test_a_cut_file_is_refused_by_both_numbers_and_salvaged_when_asked(
    tmp_path: Path, kind: str
) -> None:
    whole = lay(tmp_path / "whole.wav", content(**KINDS[kind]))
    assert kind_of(whole) == kind
    expected = audio.read(whole)
    assert expected.shape == (2, 2000)
    data = whole.read_bytes()
    cut = lay(tmp_path / "cut.wav", data[: len(data) * 3 // 4])
    for call in (audio.read, audio.duration, audio.channels):
        refused(lambda call=call: call(cut), "cut.wav", "truncated", error=AudioError)
    assert f"{len(cut.read_bytes()) - (len(data) - 8000)} of 8000" in refused(
        lambda: audio.read(cut), error=AudioError
    )
    with pytest.warns(NearfarWarning, match=r"cut\.wav: salvaged \d+ samples .*of 8000 bytes"):
        some, recorded = audio.read_recorded(cut, salvage=True)
    np.testing.assert_array_equal(some, expected[:, : some.shape[1]])
    assert some.shape[1] == (len(cut.read_bytes()) - (len(data) - 8000)) // 4
    assert "of 8000" in recorded.salvaged


@pytest.mark.parametrize("said", [0, 4_000, 7_999, 8_044])
def test_a_wav_whose_header_is_not_of_its_sound(tmp_path: Path, said: int) -> None:
    data = bytearray(content(**KINDS["WAV"]))
    expected = audio.read(lay(tmp_path / "whole.wav", bytes(data)))
    data[40:44] = struct.pack("<I", said)
    path = lay(tmp_path / "x.wav", bytes(data))
    refused(lambda: audio.read(path), "x.wav", str(said), "--salvage", error=AudioError)
    with pytest.warns(NearfarWarning, match="salvaged"):
        some = audio.read(path, salvage=True)
    np.testing.assert_array_equal(some, expected[:, : some.shape[1]])
    assert some.shape[1] >= 1_999  # an odd size may end before the last


def test_chunks_behind_the_sound_are_no_sound(tmp_path: Path) -> None:
    data = bytearray(content(**KINDS["WAV"]))
    tails = (
        b"LIST" + struct.pack("<I", 4) + b"INFO",
        b"own " + struct.pack("<I", 3) + b"abc\0" + b"id3 " + struct.pack("<I", 2) + b"ab",
        b"LIST" + struct.pack("<I", 400) + b"cut off",  # its end is lost, not the sound's
    )
    for tail in tails:
        assert audio.read(lay(tmp_path / "x.wav", bytes(data) + tail)).shape == (2, 2000)
    lay(tmp_path / "x.wav", bytes(data) + b"own " + struct.pack("<I", 400) + b"too short")
    refused(lambda: audio.read(tmp_path / "x.wav"), "8000", "8017", error=AudioError)


@pytest.mark.parametrize("kind", ["AIFF", "AU"])
def test_headers_of_big_endian_files_are_held_to_their_bytes(tmp_path: Path, kind: str) -> None:
    data = bytearray(content(**KINDS[kind]))
    at = data.index(b"COMM") + 10 if kind == "AIFF" else 8
    data[at : at + 4] = struct.pack(">I", 1_000 if kind == "AIFF" else 4_000)
    path = lay(tmp_path / "x.aif", bytes(data))
    refused(lambda: audio.read(path), "4000", "8000", error=AudioError)
    with pytest.warns(NearfarWarning, match="salvaged 2000"):
        assert audio.read(path, salvage=True).shape == (2, 2000)


@pytest.mark.parametrize("total", [0, 5, 1_999, 2_001, 4_000_000_000])
def test_a_flac_total_is_held_to_the_last_frame(tmp_path: Path, total: int) -> None:
    data = bytearray(content(**KINDS["FLAC"]))
    expected = audio.read(lay(tmp_path / "whole.flac", bytes(data)))
    packed = int.from_bytes(data[18:26], "big")
    data[18:26] = (packed >> 36 << 36 | total).to_bytes(8, "big")
    path = lay(tmp_path / "x.flac", bytes(data))
    if total:
        refused(lambda: audio.read(path), str(total), "2000", error=AudioError)
        refused(lambda: audio.duration(path), str(total), "2000", error=AudioError)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(audio.read(path, salvage=True), expected)
    assert len(said) == bool(total)  # of a pipe's nothing is missing


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_cut_flac_is_refused_and_salvaged_to_its_last_whole_frame(
    tmp_path: Path, share: float
) -> None:
    sound = np.random.default_rng(4).uniform(-0.5, 0.5, (20_000, 2))
    soundfile.write(tmp_path / "whole.flac", sound, 16_000)
    expected = audio.read(tmp_path / "whole.flac")
    data = (tmp_path / "whole.flac").read_bytes()
    path = lay(tmp_path / "cut.flac", data[: int(share * len(data))])
    refused(lambda: audio.read(path), "cut.flac", "truncated", error=AudioError)
    with pytest.warns(NearfarWarning, match=r"cut\.flac: salvaged \d+ samples .*of 20000"):
        some = audio.read(path, salvage=True)
    assert 0 < len(data) * share * 20_000 / len(data) - some.shape[1] < 2 * 4096 + 400
    np.testing.assert_array_equal(some, expected[:, : some.shape[1]])


@pytest.mark.parametrize("bits", [12, 15, 20, 32])
def test_flac_of_other_bits_is_refused_by_that(tmp_path: Path, bits: int) -> None:
    data = bytearray(content(**KINDS["FLAC"]))
    packed = int.from_bytes(data[18:26], "big")
    packed = packed & ~(31 << 36) | (bits - 1) << 36
    data[18:26] = packed.to_bytes(8, "big")
    path = lay(tmp_path / "x.flac", bytes(data))
    assert "record it again" not in refused(lambda: audio.read(path), f"FLAC of {bits} bits")


def plain_wav(raw: bytes, channels: int, width: int, bits: int, extra: bytes = b"") -> bytes:
    tag = 0xFFFE if extra else 1
    block = channels * width
    fmt = struct.pack("<HHIIHH", tag, channels, 16_000, 16_000 * block, block, bits) + extra
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
    body += b"data" + struct.pack("<I", len(raw)) + raw
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("mask", [0xFFFFFFFF, 0x00FFFFFF])
def test_24_bits_in_4_bytes(tmp_path: Path, mask: int) -> None:
    values = np.array([[0, 1, -1, 8_388_607, -8_388_608, -300]], "<i8").T
    raw = (values & mask).astype("<u4").tobytes()
    read = audio.read(lay(tmp_path / "x.wav", plain_wav(raw, 1, 4, 24)))
    np.testing.assert_array_equal(read, values.T / 2.0**23)


def test_24_bits_at_the_top_of_4_bytes(tmp_path: Path) -> None:
    """The extensible header's container is 32 bits, and the standard puts its 24 at the top."""
    values = np.array([[0, 1, -1, 8_388_607, -8_388_608, -300]], "<i4").T
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    extra = struct.pack("<HHI", 22, 24, 0) + guid
    raw = (values << 8).astype("<i4").tobytes()
    read = audio.read(lay(tmp_path / "x.wav", plain_wav(raw, 1, 4, 32, extra)))
    np.testing.assert_array_equal(read, values.T / 2.0**23)
    # The plain kind says that the lower three are the sample: then this is no sample.
    refused(lambda: audio.read(lay(tmp_path / "y.wav", plain_wav(raw, 1, 4, 24))), "24 bits in 4")


@pytest.mark.parametrize(("width", "bits"), [(2, 12), (3, 16), (2, 24), (4, 20), (5, 40), (1, 16)])
def test_bits_and_bytes_that_disagree(tmp_path: Path, width: int, bits: int) -> None:
    path = lay(tmp_path / "x.wav", plain_wav(bytes(600), 1, width, bits))
    refused(lambda: audio.read(path), f"{bits} bits in {width} bytes", error=AudioError)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("MP3", {"format": "MP3"}),
        ("Ogg Vorbis", {"format": "OGG", "subtype": "VORBIS"}),
        ("ADPCM", {"format": "WAV", "subtype": "IMA_ADPCM"}),
        ("µ-law", {"format": "WAV", "subtype": "ULAW"}),
        ("A-law", {"format": "AIFF", "subtype": "ALAW"}),
        ("µ-law", {"format": "AU", "subtype": "ULAW"}),
        ("GSM", {"format": "WAV", "subtype": "GSM610"}),
    ],
)
@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_codings_that_lose_something_are_refused_by_name(
    tmp_path: Path, name: str, how: dict[str, str], suffix: str
) -> None:
    mono = io.BytesIO()
    soundfile.write(mono, SOUND[:, 0], 16_000, **how)
    path = lay(tmp_path / f"x{suffix}", mono.getvalue())
    for call in (audio.read, audio.duration):
        refused(lambda call=call: call(path), f"{name} inside", "record without loss")


def test_every_suffix_is_read_by_content(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = lay(tmp_path / f"x{suffix.upper()}", content(**KINDS["WAV"]))
        assert open_source(path).frames == 2000
    assert kind_of(lay(tmp_path / "x.txt", b"no sound")) == ""
    assert kind_of(tmp_path / "gone.wav") == ""


def test_a_header_of_512_gib_allocates_nothing(tmp_path: Path) -> None:
    import tracemalloc

    data = bytearray(content(**KINDS["RF64"]))
    at = data.index(b"ds64") + 16
    data[at : at + 8] = struct.pack("<Q", 1 << 39)
    path = lay(tmp_path / "x.rf64", bytes(data))
    tracemalloc.start()
    for call in (audio.read, audio.duration, audio.channels):
        refused(lambda call=call: call(path), "8000 of 549755813888", error=AudioError)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "where", ["nearfar.sound.source._floats", "soxr.resample", "nearfar.sound.audio.measure"]
)
def test_too_much_for_the_memory_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Read, resampled or measured: wherever memory ends, it is one line, and others go on."""

    def full(*_: object) -> None:
        raise MemoryError

    for name, rate in (("long", 44_100), ("b", 16_000)):
        soundfile.write(tmp_path / f"{name}.wav", np.tile(SOUND, (30, 1)), rate)
    whole = audio.read(tmp_path / "b.wav")
    monkeypatch.setattr(where, full)
    path = tmp_path / "long.wav"
    said = refused(lambda: audio.read_recorded(path), "long.wav", "memory", error=AudioError)
    assert "clip_seconds=" in said
    assert "--clip-seconds" in in_shell(said)
    if where == "soxr.resample":  # the other file is of our own rate
        clips = Clips.open(tmp_path)
        with pytest.warns(NearfarWarning, match=r"long\.wav: .*clip_seconds"):
            hearing = hear(clips, [Chain(Near(), LogMel())], Runtime(), skip_bad=True)
        assert [clip.file for clip, _ in hearing.heard] == ["b.wav"]
        np.testing.assert_array_equal(audio.read(tmp_path / "b.wav"), whole)


def test_two_of_eight_channels(tmp_path: Path) -> None:
    eight = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000, 8))
    soundfile.write(tmp_path / "eight.wav", eight, 48_000)
    soundfile.write(tmp_path / "two.wav", eight[:, [6, 2]], 48_000)
    chosen = audio.read(tmp_path / "eight.wav", order=(7, 3))
    np.testing.assert_array_equal(chosen, audio.read(tmp_path / "two.wav"))
    path = tmp_path / "eight.wav"
    refused(lambda: audio.read(path), "8 channels; say which with --near N --far M")
    refused(lambda: audio.read(path, order=(1, 9)), "8 channels", "no channel 9", error=AudioError)
    for wrong in ((3, 3), (0, 1), (1, 2, 3), (True, 2)):
        refused(
            lambda wrong=wrong: audio.read(path, order=wrong), "two different", error=SettingError
        )


def test_mutated_headers_are_a_sound_or_a_line(tmp_path: Path) -> None:
    """Of every kind of container, 100 each; the files are small, so the time is the parsers'."""
    draw = random.Random(5)
    path = tmp_path / "x.wav"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)
        for how in KINDS.values():
            original = content(**how)
            for _ in range(100):
                data = bytearray(original)
                at = draw.randrange(100)
                data[at : at + 4] = draw.getrandbits(32).to_bytes(4, "little")
                path.write_bytes(data[: draw.choice([len(data), draw.randrange(len(data))])])
                for salvage in (False, True):
                    with contextlib.suppress(NearfarError):
                        assert audio.read(path, salvage=salvage).ndim == 2


@pytest.mark.parametrize(
    "fault", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")]
)
def test_what_the_disk_refuses_is_no_fault_of_the_recording(tmp_path, monkeypatch, fault):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")

    def refuse(*_, **__):
        raise fault

    monkeypatch.setattr("nearfar.sound.source._layout", refuse)
    line = refused(lambda: audio.read(path), "a.wav", fault.strerror, "permissions", "--skip-bad")
    assert "record it again" not in line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_there_and_no_file_is_not_said_to_be_gone(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    refused(lambda: audio.read(tmp_path / "pipe.wav"), "pipe.wav", "pipe", error=AudioError)
    refused(lambda: audio.read(tmp_path / "gone.wav"), "no such file", error=AudioError)
