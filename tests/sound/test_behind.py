"""Sound behind the sound: what is read is all that is there, or one line names both numbers."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import refused
from nearfar.errors import AudioError, NearfarWarning
from nearfar.sound import audio
from nearfar.sound.behind import W64_TAIL, Behind, behind, behind_w64

FRAMES = 900  # of each half: 3,600 bytes
HALF = 4 * FRAMES
PLAIN = {"WAV": "<", "RIFX": ">", "RF64": "<", "W64": "<", "AIFF": ">", "AU": ">"}
CHUNKED = [kind for kind in PLAIN if kind != "AU"]


def sound(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (FRAMES, 2)).astype(np.int16)


def file_of(kind: str, samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    big = {"endian": "BIG"} if kind == "RIFX" else {}
    container = "WAV" if kind == "RIFX" else kind
    soundfile.write(buffer, samples, 16_000, format=container, subtype="PCM_16", **big)
    return buffer.getvalue()


def raw(kind: str, samples: np.ndarray) -> bytes:
    return samples.astype(PLAIN[kind] + "i2").tobytes()


def chunk(kind: str, name: bytes, content: bytes) -> bytes:
    if kind == "W64":
        length = struct.pack("<Q", 24 + len(content))
        return name + W64_TAIL + length + content + bytes(-len(content) % 8)
    head = name + struct.pack(PLAIN[kind] + "I", len(content))
    return head + content + bytes(len(content) % 2)


def second(kind: str) -> bytes:
    """A second chunk of sound."""
    head = bytes(8) if kind == "AIFF" else b""
    return chunk(kind, b"SSND" if kind == "AIFF" else b"data", head + raw(kind, sound(2)))


def known(kind: str) -> bytes:
    return chunk(kind, b"ANNO" if kind == "AIFF" else b"LIST", b"INFOabcd")


def lay(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def salvaged(path: Path) -> np.ndarray:
    with pytest.warns(NearfarWarning, match="salvaged"):
        return np.round(audio.read(path, salvage=True) * 2**15).T


@pytest.mark.parametrize("kind", PLAIN)
def test_sound_behind_the_containers_end_is_told_and_can_be_salvaged(
    tmp_path: Path, kind: str
) -> None:
    """All headers agree on half of it: a recorder that died after it had put them right."""
    path = lay(tmp_path / "x.wav", file_of(kind, sound(1)) + raw(kind, sound(2)))
    for call in (audio.read, audio.duration, audio.channels):
        refused(
            lambda call=call: call(path), "x.wav", f"{HALF} bytes", str(2 * HALF), "--salvage",
            error=AudioError,
        )  # fmt: skip
    np.testing.assert_array_equal(salvaged(path), np.concatenate([sound(1), sound(2)]))


@pytest.mark.parametrize("kind", CHUNKED)
@pytest.mark.parametrize("between", ["nothing", "a chunk"])
def test_a_second_chunk_of_sound_is_told(tmp_path: Path, kind: str, between: str) -> None:
    middle = known(kind) if between == "a chunk" else b""
    path = lay(tmp_path / "x.wav", file_of(kind, sound(1)) + middle + second(kind))
    refused(
        lambda: audio.read(path), "several chunks", f"{HALF} bytes", f"{HALF} behind",
        error=AudioError,
    )  # fmt: skip
    np.testing.assert_array_equal(salvaged(path), sound(1))


@pytest.mark.parametrize("kind", CHUNKED)
def test_sound_behind_a_chunk_behind_the_sound_is_told(tmp_path: Path, kind: str) -> None:
    data = file_of(kind, sound(1)) + known(kind)
    assert audio.read(lay(tmp_path / "x.wav", data)).shape == (2, FRAMES)
    path = lay(tmp_path / "x.wav", data + raw(kind, sound(2)))
    refused(lambda: audio.read(path), f"says {HALF} bytes", f"and {HALF} bytes", error=AudioError)
    np.testing.assert_array_equal(salvaged(path), sound(1))  # and no chunk taken for sound


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("between", ["nothing", "a chunk"])
def test_a_second_file_behind_the_first_is_told(tmp_path: Path, kind: str, between: str) -> None:
    """Two recordings put together: the second one looks like a chunk of the first."""
    more = file_of(kind, sound(2))
    if kind == "AU":
        path = lay(tmp_path / "x.wav", file_of(kind, sound(1)) + more)
        refused(lambda: audio.read(path), str(HALF), str(HALF + len(more)), error=AudioError)
        return
    middle = known(kind) if between == "a chunk" else b""
    path = lay(tmp_path / "x.wav", file_of(kind, sound(1)) + middle + more)
    refused(lambda: audio.read(path), f"says {HALF} bytes", str(len(more)), error=AudioError)
    np.testing.assert_array_equal(salvaged(path), sound(1))


@pytest.mark.parametrize("kind", CHUNKED)
def test_what_is_no_sound_may_lie_behind_it(tmp_path: Path, kind: str) -> None:
    data = file_of(kind, sound(1))
    for tail in (
        known(kind) * 3,
        known(kind) + bytes(700),  # room that the recorder made and did not need
        known(kind) + known(kind)[:-3],  # a cut chunk has a beginning
        bytes(3),
    ):
        assert audio.read(lay(tmp_path / "x.wav", data + tail)).shape == (2, FRAMES)


@pytest.mark.parametrize("said", [0, FRAMES])
def test_an_aiff_whose_headers_agree_on_too_little(tmp_path: Path, said: int) -> None:
    both = np.concatenate([sound(1), sound(2)])
    data = bytearray(file_of("AIFF", both))
    form, ssnd = data.index(b"COMM"), data.index(b"SSND")
    data[form + 10 : form + 14] = struct.pack(">I", said)
    data[ssnd + 4 : ssnd + 8] = struct.pack(">I", 8 + 4 * said)
    data[4:8] = struct.pack(">I", ssnd + 8 + 4 * said)
    path = lay(tmp_path / "x.aiff", bytes(data))
    refused(lambda: audio.read(path), f"says {4 * said} bytes", str(2 * HALF), error=AudioError)
    np.testing.assert_array_equal(salvaged(path), both)


@pytest.mark.parametrize("size", [0, 3, 8])
def test_a_sound_chunk_has_no_negative_length(tmp_path: Path, size: int) -> None:
    data = bytearray(file_of("AIFF", sound(1)))
    at = data.index(b"SSND") + 4
    data[at : at + 4] = struct.pack(">I", size)
    path = lay(tmp_path / "x.aiff", bytes(data))
    assert "chunk 0:" in refused(lambda: audio.read(path), str(HALF), error=AudioError)
    np.testing.assert_array_equal(salvaged(path), sound(1))


@pytest.mark.parametrize("kind", ["WAV", "W64"])
def test_two_formats_that_differ_are_refused(tmp_path: Path, kind: str) -> None:
    data = file_of(kind, sound(1))
    at = data.index(b"fmt ")
    end = data.index(b"data")
    twice = data[:end] + data[at:end] + data[end:]
    assert audio.read(lay(tmp_path / "x.wav", twice)).shape == (2, FRAMES)
    other = bytearray(twice)
    other[end + (24 if kind == "W64" else 8) + 2] = 1  # channels, of the second one
    path = lay(tmp_path / "x.wav", bytes(other))
    refused(lambda: audio.read(path), "x.wav", "two formats", error=AudioError)


def test_a_byte_that_a_writer_left_out_is_no_sound() -> None:
    odd = b"LIST" + struct.pack("<I", 3) + b"abc"
    for data in (odd, odd + b"\0", odd + odd, odd + b"\0" + odd, b"\0" + odd):
        assert behind(io.BytesIO(b"x" + data), 1, 1 + len(data), "<", b"data").whole
    # A name of no chunk that we know may be sound, if it does not fit.
    unknown = b"ownA" + struct.pack("<I", 100) + b"abcd"
    assert behind(io.BytesIO(unknown), 0, 12, "<", b"data") == Behind(left=12)


@pytest.mark.parametrize("length", [0, 23, 2**63])
def test_lengths_of_64_bits_that_cannot_be(length: int) -> None:
    data = b"LIST" + W64_TAIL + struct.pack("<Q", length) + b"abcdefgh"
    assert behind_w64(io.BytesIO(data), 0, len(data)).whole == (length > len(data))


def test_a_million_chunks_behind_the_sound_are_told_and_not_walked() -> None:
    data = (b"LIST" + bytes(4)) * 5_000 + b"sound"
    assert behind(io.BytesIO(data), 0, len(data), "<", b"data").left > 30_000
