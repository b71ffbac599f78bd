"""AIFF and AU: their headers to a layout."""

from __future__ import annotations

import io
import struct

import pytest

from conftest import refused
from nearfar.errors import AudioError
from nearfar.sound.aiff import aiff_layout, au_layout


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("sound_first", [False, True])
def test_format_and_sound_in_either_order(rate: int, sound_first: bool) -> None:
    power = rate.bit_length() - 1
    ten = struct.pack(">HQ", 16_383 + power, rate << (63 - power))
    comm = b"COMM" + struct.pack(">IHIH", 18, 1, 2, 16) + ten
    ssnd = b"SSND" + struct.pack(">III", 12, 0, 0) + b"abcd"
    data = b"FORM\0\0\0\0AIFF" + (ssnd + comm if sound_first else comm + ssnd)
    layout = aiff_layout(io.BytesIO(data), len(data))
    # Behind the sound lies the format, and no sound.
    assert (layout.rate, layout.frames, layout.fault) == (rate, 2, "")


def test_au_of_unknown_length_ends_with_its_file() -> None:
    head = struct.pack(">4s5I", b".snd", 24, 0xFFFFFFFF, 3, 16_000, 2)
    layout = au_layout(io.BytesIO(head + bytes(40)), 64)
    assert (layout.frames, layout.start, layout.fault) == (10, 24, "")
    refused(lambda: au_layout(io.BytesIO(head[:20]), 20), "header", error=AudioError)
