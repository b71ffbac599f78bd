"""WAV and its kin: chunks to a layout."""

from __future__ import annotations

import io
import struct

import pytest

from conftest import refused
from nearfar.errors import AudioError
from nearfar.sound.riff import riff_layout, w64_layout

FMT = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)


def riff(*chunks: bytes) -> tuple[io.BytesIO, int]:
    data = b"RIFF\0\0\0\0WAVE" + b"".join(chunks)
    return io.BytesIO(data), len(data)


def test_chunks_lie_in_any_number_before_the_sound() -> None:
    odd = b"own " + struct.pack("<I", 3) + b"abc\0"
    layout = riff_layout(*riff(odd, FMT, odd, b"data" + struct.pack("<I", 6) + b"abcdef"))
    assert (layout.frames, layout.start, layout.fault) == (3, 12 + 12 + 24 + 12 + 8, "")


def test_a_million_empty_chunks_are_not_walked() -> None:
    file, size = riff(FMT, (b"own " + bytes(4)) * 5_000, b"data" + bytes(4))
    refused(lambda: riff_layout(file, size), "no sound", error=AudioError)


def test_sound_before_its_format() -> None:
    file, size = riff(b"data" + bytes(4), FMT)
    refused(lambda: riff_layout(file, size), "no format", error=AudioError)


@pytest.mark.parametrize("length", [0, 23, 1 << 62, (1 << 64) - 1])
def test_impossible_lengths_of_64_bits(length: int) -> None:
    data = bytes(40) + b"own " + bytes(12) + struct.pack("<Q", length) + bytes(100)
    refused(lambda: w64_layout(io.BytesIO(data), len(data)), "no format", error=AudioError)


def test_a_cut_recording_of_three_gigabytes_is_no_stream() -> None:
    file, size = riff(FMT, b"data" + struct.pack("<I", 3_000_000_000) + bytes(100))
    assert "100 of 3000000000" in riff_layout(file, size).fault
