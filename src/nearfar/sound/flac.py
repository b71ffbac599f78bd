"""FLAC: what its header says of its length, held against its last frame.

The header's total is written last, so it is what lies when a recorder dies; each frame has its own
number. Source: RFC 9639.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from functools import cache
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import AudioError
from nearfar.sound.layout import Layout

_TAILS = (1 << 16, 1 << 22)  # bytes; the first has the last frame of all usual files
_READ = (8, 16, 24)  # bits that libsndfile decodes
_MAGIC, _MAGIC_LAST = b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"  # with its first block's head
_ENDS: dict[tuple[int, ...], int] = {}  # a file as it is → where a second FLAC begins in it
_MOST_ENDS = 4_096
# Heads in the longest tail: of sound some 128 places look like one by chance and some hundred are
# some. Silence packs its frames so densely, but then the shorter tail has thousands.
_MOST_HEADS = 8_192
_BLOCKS = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)},
           **{n: 256 << (n - 8) for n in range(8, 16)}}  # fmt: skip


def flac_layout(file: BinaryIO, size: int, start: int = 0) -> Layout:
    """The layout of a FLAC file.

    Args:
        file: at any position.
        size: of it, in bytes.
        start: byte of "fLaC", behind tags that do not belong to the format.

    Raises:
        AudioError: cut within its header, or a number of bits that is not read.
    """
    file.seek(start)
    head = file.read(42)
    if len(head) < 42 or head[4] & 0x7F:
        raise AudioError("it ends in its header, or has none")
    packed = int.from_bytes(head[18:26], "big")
    total = packed & ((1 << 36) - 1)
    bits, channels, rate = (packed >> 36 & 31) + 1, (packed >> 41 & 7) + 1, packed >> 44
    if bits not in _READ:
        raise AudioError(f"FLAC of {bits} bits; convert to 16 or 24")
    largest = int.from_bytes(head[10:12], "big")
    end = _again(file, start, size)
    frames, fault = _frames(file, end, start + 42, total, largest, channels)
    if end < size:
        fault = fault or (f"{frames} samples, and a second FLAC of {size - end} "
                          "bytes lies behind them")  # fmt: skip
    return Layout("FLAC", rate, channels, "flac", start, frames, fault=fault,
                  patched=frames != total)  # fmt: skip


def patched(file: BinaryIO, layout: Layout) -> Patched:
    """The file with the number of frames in its header that it really has."""
    return Patched(file, layout.start + 18, layout.frames)


class Patched(io.RawIOBase):
    """A FLAC file whose header is read with another total.

    >>> with Patched(io.BytesIO(bytes(10)), 0, 5) as file:
    ...     print(list(file.read(9)))
    [0, 0, 0, 0, 0, 0, 0, 5, 0]
    """

    def __init__(self, file: BinaryIO, position: int, total: int) -> None:
        super().__init__()
        self._file = file
        self._position = position
        self._file.seek(position)
        packed = int.from_bytes(self._file.read(8), "big")
        self._bytes = (packed >> 36 << 36 | total).to_bytes(8, "big")
        self._file.seek(0)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """As of any file, the total put right."""
        begin = self._file.tell()
        content = bytearray(self._file.read(len(buffer)))
        for i, byte in enumerate(self._bytes):
            if 0 <= (at := self._position + i - begin) < len(content):
                content[at] = byte
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file below too."""
        self._file.close()
        super().close()


def _again(file: BinaryIO, start: int, size: int) -> int:
    """Where a second FLAC begins in a file that is two, put together; else the file's end."""
    try:
        told = os.fstat(file.fileno())
    except OSError:  # no file of the disk
        return _second(file, start, size)
    key = told.st_dev, told.st_ino, told.st_mtime_ns, size, start
    if key not in _ENDS:
        # A long recording is opened for each of its clips, and this reads the whole of it.
        while len(_ENDS) >= _MOST_ENDS:
            _ENDS.pop(next(iter(_ENDS)))
        _ENDS[key] = _second(file, start, size)
    return _ENDS[key]


def _second(file: BinaryIO, start: int, size: int) -> int:
    position, before = start + 4, b""
    file.seek(position)
    while piece := file.read(_TAILS[-1]):
        joined = before + piece
        # The signature, and the length of the one block that must follow: never by chance.
        for begin in (_MAGIC, _MAGIC_LAST):
            if (at := joined.find(begin)) >= 0:
                return position - len(before) + at
        position += len(piece)
        before = joined[1 - len(_MAGIC) :]
    return size


def _frames(
    file: BinaryIO, size: int, start: int, total: int, largest: int, channels: int
) -> tuple[int, str]:
    """Frames to take, and how the header and the last frame disagree."""
    reached = 0  # samples before the last frame that seems to begin
    for length in _TAILS:
        first = max(start, size - length)
        file.seek(first)
        tail = file.read(length)
        found = list(_headers(tail, largest, channels))
        begins = {begin for _, begin, _ in found}
        # Most files: a frame near the end reaches what the header says. A cut file's does not.
        for at, begin, block in reversed(found[-64:]):
            # Another frame right behind it: the total is that of a header never finished.
            if begin + block == total and total not in begins:
                if _sums_up(tail[at:]) or _decodes(file, begin, block):
                    return total, ""
                return begin, (f"truncated or damaged in its last frame, {begin} of {total} "
                               "samples are there")  # fmt: skip
        # Only a frame that ends with the file says how long it is; its check sum tells.
        # Three: bytes of sound pass for a header once in thousands of files, never that often.
        for at, begin, block in reversed(found[-3:]):
            if _sums_up(tail[at:]):
                if not total:  # from a pipe: nothing is missing
                    return begin + block, ""
                return begin + block, (f"its header says {total} samples, {begin + block} are "
                                       "there: the file was not finished")  # fmt: skip
        reached = max([reached, *(begin for _, begin, _ in found if begin < (total or 1 << 36))])
        if first == start:
            break
    if not total and not found:
        return 0, ""
    said = f"{total} samples" if total else "those of its last frame"
    return reached, f"truncated, {reached} of {said} are there"


def _headers(data: bytes, largest: int, channels: int) -> Iterator[tuple[int, int, int]]:
    """Position, first sample and block size of all that looks like a frame's header.

    Of more than `_MOST_HEADS` the last: bytes that are nothing but heads would cost many seconds.
    """
    values = np.frombuffer(data, np.uint8)
    # Thirteen bits that are set, two that are not, and one that may be (RFC 9639, section 9.1).
    starts = np.flatnonzero((values[:-1] == 0xFF) & (values[1:] & 0xFE == 0xF8))
    for at in starts[-_MOST_HEADS:].tolist():
        if at < len(data) - 5 and (found := _header(data[at : at + 16], largest, channels)):
            yield at, *found


def _header(head: bytes, largest: int, channels: int) -> tuple[int, int] | None:
    """First sample and block size, or None if the bytes are no header of a frame."""
    block_code, rate_code, layout = head[2] >> 4, head[2] & 15, head[3] >> 4
    count = 2 if 8 <= layout <= 10 else layout + 1
    if not block_code or rate_code == 15 or layout > 10 or count != channels or head[3] & 1:
        return None
    # A number as UTF-8 writes one, up to seven bytes of it.
    more = next((n for n in range(8) if not head[4] << n & 0x80), 8)
    if more == 1 or more == 8 or len(head) < 4 + max(more, 1):
        return None
    number = head[4] & (0x7F >> more)
    for byte in head[5 : 4 + more]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 63
    end = 4 + max(more, 1)
    block_bytes = {6: 1, 7: 2}.get(block_code, 0)
    block = _BLOCKS.get(block_code) or int.from_bytes(head[end : end + block_bytes], "big") + 1
    end += block_bytes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if len(head) <= end or _crc8(head[: end + 1]):
        return None
    # Of equal blocks the frame's number is counted, of changing ones the sample's.
    return (number if head[1] & 1 else number * largest), block


def _decodes(file: BinaryIO, begin: int, block: int) -> bool:
    """Whether a frame is there whole, by its decoder: tags behind it end no check sum."""
    import soundfile

    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            sound.seek(begin)
            return len(sound.read(block, dtype="float32")) == block
    except (soundfile.LibsndfileError, RuntimeError):
        return False


@cache
def _table() -> tuple[int, ...]:
    table = []
    for state in range(256):
        for _ in range(8):
            state = (state << 1 ^ (0x07 if state & 0x80 else 0)) & 0xFF
        table.append(state)
    return tuple(table)


def _crc8(data: bytes) -> int:
    """0 for bytes that end with their own check sum."""
    table, state = _table(), 0
    for byte in data:
        state = table[state ^ byte]
    return state


def _sums_up(data: bytes) -> bool:
    """Whether bytes end with their own check sum of 16 bits.

    As a polynomial over the generator they leave no rest. In halves, so 0.2 ms for a frame.
    """
    words = np.frombuffer(bytes(len(data) % 2) + data, ">u2").astype(np.uint16)
    power = max(len(words) - 1, 0).bit_length()
    rest = np.zeros(1 << power, np.uint16)
    rest[len(rest) - len(words) :] = words
    for half in reversed(range(power)):
        left, right = np.split(rest, 2)
        rest = _times(half)[left] ^ right
    return not rest[0]


@cache
def _times(power: int) -> NDArray[np.uint16]:
    """(65536,) what is left of each polynomial of 16 bits times x to the 16 · 2^power."""
    factor = 0x8005
    if power:
        before = _times(power - 1)
        factor = int(before[before[1]])
    table = np.zeros(1, np.uint16)
    for _ in range(16):
        table = np.concatenate([table, table ^ np.uint16(factor)])
        factor = (factor << 1 ^ (0x8005 if factor & 0x8000 else 0)) & 0xFFFF
    return table
