"""What a header's numbers come to."""

from __future__ import annotations

import pytest

from conftest import refused
from nearfar.errors import AudioError
from nearfar.sound.behind import Behind
from nearfar.sound.layout import WIDTHS, Layout, integer, judged


def test_a_header_that_is_right_has_no_fault() -> None:
    assert judged(8_000, 8_000, 4, Behind()) == (2_000, "")
    assert judged(None, 8_003, 4, Behind()) == (2_000, "")  # from a pipe


@pytest.mark.parametrize(
    ("claimed", "there", "follows", "taken"),
    [
        (8_000, 4_002, Behind(), 1_000),
        (0, 8_000, Behind(8_000), 2_000),
        (7_999, 8_000, Behind(), 1_999),
        (4_000, 8_100, Behind(4_000, chunks=True), 1_000),  # a chunk between is no sound
        (4_000, 8_008, Behind(sounds=4_000, chunks=True), 1_000),
    ],
)
def test_a_fault_names_both_numbers(claimed: int, there: int, follows: Behind, taken: int) -> None:
    frames, fault = judged(claimed, there, 4, follows)
    assert frames == taken
    numbers = {claimed, follows.left or follows.sounds or claimed}
    assert all(str(number) in fault for number in numbers)


def test_integers_by_bits_and_bytes() -> None:
    for width in (1, 2, 3, 4):
        assert WIDTHS[integer(8 * width, width, left=False)] == width
    assert integer(12, 2, left=True) == "s16"  # AIFF: at the top of their bytes
    refused(lambda: integer(12, 2, left=False), "12 bits in 2 bytes", error=AudioError)


def test_a_block_is_one_sample_of_all_channels() -> None:
    assert Layout("WAV", 16_000, 8, "s24").block == 24
