"""FLAC's own numbers: of its header and of its last frame."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import refused
from nearfar.clips import Clips
from nearfar.errors import AudioError, NearfarWarning
from nearfar.sound import audio, flac
from nearfar.sound.flac import _sums_up, flac_layout, patched

BLOCK = 4_096  # samples of a frame, as libFLAC writes them


def made(path: Path, frames: int = 40_000) -> tuple[bytes, audio.Audio, list[int]]:
    """A file's bytes, its samples, and where its frames begin."""
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((frames, 2)), 16_000)
    data = path.read_bytes()
    begins, at = [], 0
    for number in range(-(-frames // BLOCK)):
        # Sync code, equal blocks; then the frame's number, one byte below 128.
        at = next(
            i for i in range(at, len(data))
            if data[i : i + 2] == b"\xff\xf8" and data[i + 4] == number
        )  # fmt: skip
        begins.append(at)
        at += 1
    return data, audio.read(path), begins


@pytest.mark.parametrize("lost", [1, 2, 100, 5_000])
def test_a_cut_in_the_last_frame_is_seen_before_anything_is_decoded(
    tmp_path: Path, lost: int
) -> None:
    """Its header promises all of it, and all frames but the last are there."""
    path = tmp_path / "cut.flac"
    data, whole, begins = made(path)
    path.write_bytes(data[:-lost])
    for call in (audio.duration, audio.channels, audio.read):
        refused(
            lambda call=call: call(path), "cut.flac", "truncated", "36864 of 40000",
            error=AudioError,
        )  # fmt: skip
    with pytest.warns(NearfarWarning, match=r"cut\.flac: salvaged 36864 samples"):
        some = audio.read(path, salvage=True)
    np.testing.assert_array_equal(some, whole[:, : 9 * BLOCK])
    assert len(data) - lost > begins[-1] + 16  # the last frame's header was there


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"APETAGEX" + bytes(24), b"\xff" * 300])
def test_tags_behind_the_last_frame_take_nothing_from_it(tmp_path: Path, tail: bytes) -> None:
    data, whole, _ = made(tmp_path / "x.flac")
    (tmp_path / "x.flac").write_bytes(data + tail)
    assert audio.duration(tmp_path / "x.flac") == 2.5
    np.testing.assert_array_equal(audio.read(tmp_path / "x.flac"), whole)


@pytest.mark.parametrize("frame", [1, 4, 8])
@pytest.mark.parametrize("offset", [3, 40, 6_000])
def test_what_lies_before_a_damaged_frame_is_salvaged(
    tmp_path: Path, frame: int, offset: int
) -> None:
    """And refused when nobody asked; the damaged frame's own samples are never taken."""
    path = tmp_path / "hurt.flac"
    data, whole, begins = made(path)
    at = begins[frame] + offset
    path.write_bytes(data[:at] + bytes(b ^ 0x55 for b in data[at : at + 4]) + data[at + 4 :])
    told = refused(
        lambda: audio.read(path), "hurt.flac", "damaged", "of 40000", "--salvage", error=AudioError
    )
    with pytest.warns(NearfarWarning, match=r"hurt\.flac: salvaged .*damaged.* of 40000 samples"):
        some, recorded = audio.read_recorded(path, salvage=True)
    # The decoder reports an error with the sample before it.
    assert frame * BLOCK - 1 <= some.shape[1] <= frame * BLOCK
    np.testing.assert_array_equal(some, whole[:, : some.shape[1]])
    assert "of 40000" in recorded.salvaged
    assert f"{some.shape[1]} of" in told  # what salvage would take is what is said


def test_two_faults_of_one_file_are_told_as_what_is_taken_of_it(tmp_path: Path) -> None:
    """Cut at its end and damaged before: one line, with the number of samples that come."""
    path = tmp_path / "both.flac"
    data, _, begins = made(path)
    at = begins[4] + 40
    path.write_bytes(data[:at] + bytes(b ^ 0x55 for b in data[at : at + 4]) + data[at + 4 : -100])
    with pytest.warns(NearfarWarning) as told:
        some = audio.read(path, salvage=True)
    assert some.shape[1] <= 4 * BLOCK
    (line,) = (str(warning.message) for warning in told)
    assert f"salvaged {some.shape[1]} samples" in line
    assert "36864 of 40000" in line


@pytest.mark.parametrize("frames", [1, 4, 9])
def test_a_total_that_ends_with_a_frame_hides_none_behind_it(tmp_path: Path, frames: int) -> None:
    """As a recorder that died leaves it: the total is of whole frames, and more were written."""
    path = tmp_path / "x.flac"
    data, whole, _ = made(path)
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | frames * BLOCK
    path.write_bytes(data[:18] + packed.to_bytes(8, "big") + data[26:])
    refused(lambda: audio.read(path), str(frames * BLOCK), "40000", "--salvage", error=AudioError)
    with pytest.warns(NearfarWarning, match="salvaged 40000 samples"):
        np.testing.assert_array_equal(audio.read(path, salvage=True), whole)


@pytest.mark.parametrize("frames", [40_000, 9 * BLOCK, 700])
def test_a_second_flac_behind_the_first_is_told(tmp_path: Path, frames: int) -> None:
    made(tmp_path / "second.flac", frames)
    path = tmp_path / "x.flac"
    data, whole, _ = made(path)
    more = (tmp_path / "second.flac").read_bytes()
    path.write_bytes(data + more)
    refused(lambda: audio.read(path), "40000", str(len(more)), "second FLAC", error=AudioError)
    with pytest.warns(NearfarWarning, match="salvaged 40000 samples"):
        np.testing.assert_array_equal(audio.read(path, salvage=True), whole)
    path.write_bytes(data)  # the same name again, whole: nothing is remembered of what was there
    np.testing.assert_array_equal(audio.read(path), whole)


def test_pieces_on_both_sides_of_a_damaged_frame_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "hurt.flac"
    data, whole, begins = made(path, 96_000)
    at = begins[9] + 2_000
    path.write_bytes(data[:at] + bytes(20) + data[at + 20 :])
    clips = Clips.open(path, clip_seconds=1.0, salvage=True)
    assert len(clips) == 6
    for number in (0, 1, 3, 4, 5):  # frame 9 is samples 36,864 to 40,959
        part = whole[:, 16_000 * number : 16_000 * (number + 1)]
        np.testing.assert_array_equal(clips[number].read(), part)
    with pytest.warns(NearfarWarning, match="salvaged"):
        assert 4_863 <= clips[2].read().shape[1] <= 4_864


def by_bits(data: bytes) -> int:
    """RFC 9639's check sum of 16 bits, its polynomial divided out bit by bit."""
    state = 0
    for byte in data:
        for bit in range(8):
            top = (state >> 15) ^ (byte >> (7 - bit) & 1)
            state = (state << 1 & 0xFFFF) ^ (0x8005 if top else 0)
    return state


@pytest.mark.parametrize("size", [0, 1, 2, 3, 30, 31, 32, 33, 1_000])
def test_the_check_sum_is_the_standards(size: int) -> None:
    assert by_bits(b"123456789") == 0xFEE8  # CRC-16/BUYPASS, its published check value
    data = np.random.default_rng(size).bytes(size)
    summed = bytearray(data + by_bits(data).to_bytes(2, "big"))
    assert _sums_up(summed)
    summed[size // 2] ^= 4
    assert not _sums_up(summed)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("frames", [1, 4_096, 4_097, 700_000])
def test_the_last_frame_says_how_long_the_file_is(
    tmp_path: Path, channels: int, frames: int
) -> None:
    """The number of a frame takes one to seven bytes: 700,000 samples need more than one."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((frames, channels))
    path = tmp_path / "x.flac"
    soundfile.write(path, sound, 44_100)
    data = bytearray(path.read_bytes())
    assert flac_layout(io.BytesIO(data), len(data)).fault == ""
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # the total, as of a pipe
    layout = flac_layout(io.BytesIO(data), len(data))
    assert (layout.frames, layout.channels, layout.fault) == (frames, channels, "")
    changed = tmp_path / "y.flac"
    changed.write_bytes(data)
    with patched(changed.open("rb"), layout) as file:
        assert file.read() == path.read_bytes()


def frame_head(sample: int) -> bytes:
    """The head of a frame of one sample, as changing blocks have it; its number below 128."""
    head = bytes([0xFF, 0xF9, 0x69, 0x00, sample, 0])
    return head + bytes([next(n for n in range(256) if not flac._crc8(head + bytes([n])))])


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xf8", frame_head(7), frame_head(99)])
def test_bytes_that_are_nothing_but_heads_cost_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filling: bytes
) -> None:
    """Who sends them has a server look at each: what that costs is bounded, however many."""
    data, _, begins = made(tmp_path / "x.flac")
    head = bytearray(data[: begins[0]])
    head[18:26] = (int.from_bytes(head[18:26], "big") >> 36 << 36 | 100).to_bytes(8, "big")
    head[20] &= 0xF1  # one channel
    content = bytes(head) + filling * (2_000_000 // len(filling))
    looked, really = [], flac._header
    monkeypatch.setattr(
        flac,
        "_header",
        lambda *about: looked.append(1) or really(*about),  # type: ignore[func-returns-value]
    )
    layout = flac_layout(io.BytesIO(content), len(content))
    assert layout.fault or layout.frames == 100
    assert len(looked) <= 2 * flac._MOST_HEADS
