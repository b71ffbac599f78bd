"""WAV, its big-endian and 64-bit kinds (RIFX, RF64, BW64), and Sony's W64: chunks to a layout.

Sources: Microsoft's Multimedia Programming Interface 1.0, EBU Tech 3306, Sonic Foundry's W64.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from nearfar.errors import AudioError
from nearfar.sound.behind import MOST_CHUNKS, Behind, behind, behind_w64, chunks
from nearfar.sound.layout import Layout, integer, judged

_CODINGS = {
    0x0002: "ADPCM", 0x0006: "A-law", 0x0007: "µ-law", 0x0011: "ADPCM", 0x0031: "GSM",
    0x0040: "ADPCM", 0x0045: "ADPCM", 0x0050: "MPEG", 0x0055: "MP3", 0x0064: "ADPCM",
    0x00FF: "AAC", 0x0160: "WMA", 0x0161: "WMA", 0x0162: "WMA", 0x1600: "AAC", 0x1610: "AAC",
    0x674F: "Vorbis", 0x6750: "Vorbis", 0x6751: "Vorbis", 0x676F: "Vorbis", 0x704F: "Opus",
}  # fmt: skip
_W64_RIFF = bytes.fromhex("2e91cf11a5d628db04c10000")


def lossy(coding: str) -> AudioError:
    """Why sound of a coding that leaves something out is not taken.

    Codecs remove what ears do not miss, and a detector listens for just that. µ-law and A-law keep
    8 of 14 bits. Refused everywhere alike: by a file's name, its container and its content.

    >>> str(lossy("MP3"))
    'MP3 inside; record without loss, as WAV or FLAC'
    """
    return AudioError(f"{coding} inside; record without loss, as WAV or FLAC")


def one_format(before: bytes | None, found: bytes) -> bytes:
    """The one format that a header tells; AudioError where it tells two.

    >>> one_format(b"16 bits", b"16 bits") == one_format(None, b"16 bits")
    True
    """
    if before not in (None, found):
        raise AudioError("its header has two formats that differ")
    return found


def riff_layout(file: BinaryIO, size: int) -> Layout:
    """The layout of a RIFF, RIFX, RF64 or BW64 file.

    Args:
        file: at any position.
        size: of it, in bytes.

    Raises:
        AudioError: no sound chunk, no or an impossible format, a coding that loses something.
    """
    file.seek(0)
    kind = file.read(12)[:4]
    order = ">" if kind == b"RIFX" else "<"
    fmt: bytes | None = None
    long: int | None = None  # bytes of sound by RF64's own chunk
    for name, length, position in chunks(file, 12, size, order):
        if name == b"fmt ":
            fmt = one_format(fmt, file.read(min(length, 64)))
        elif name == b"ds64" and kind in (b"RF64", b"BW64"):
            long = int.from_bytes(file.read(min(length, 24))[8:16], "little")
        elif name == b"data":
            claimed = _claimed(length, long, size - position)
            return _layout(fmt, order, _kind(kind), position, size, claimed,
                           lambda end: behind(file, end, size, order, b"data"))  # fmt: skip
    raise AudioError(_no_data(fmt))


def w64_layout(file: BinaryIO, size: int) -> Layout:
    """The layout of a W64 file; arguments and errors as for `riff_layout`."""
    fmt: bytes | None = None
    position = 40  # behind "riff", the file's size and "wave"
    for _ in range(MOST_CHUNKS):
        file.seek(position)
        head = file.read(24)
        if len(head) < 24:
            break
        # A chunk's length counts its own 24 bytes, and the next begins at a multiple of 8.
        length = int.from_bytes(head[16:], "little") - 24
        if length < 0:
            break
        if head[:4] == b"fmt ":
            fmt = one_format(fmt, file.read(min(length, 64)))
        elif head[:4] == b"data":
            return _layout(fmt, "<", "W64", position + 24, size, length,
                           lambda end: behind_w64(file, end, size))  # fmt: skip
        position += 24 + length + -length % 8
        if position > size:  # a length of 64 bits may be none that a file can be moved to
            break
    raise AudioError(_no_data(fmt))


def is_w64(head: bytes) -> bool:
    """Whether a file that begins so is one of Sony's."""
    return head[:16] == b"riff" + _W64_RIFF


def _kind(name: bytes) -> str:
    return "WAV" if name == b"RIFF" else name.decode("ascii")


def _no_data(fmt: bytes | None) -> str:
    return "no sound in it" if fmt else "its header has no format and no sound"


def _claimed(length: int, long: int | None, there: int) -> int | None:
    """Bytes of sound that the header promises; None for a placeholder of who writes to a pipe."""
    if long is not None and length == 0xFFFFFFFF:
        return long
    # Only what ffmpeg, sox and arecord are known to put there: a cut file of 3 GB is no stream.
    placeholder = length >= 0xFFFF_FF00 or 0x7FFF_0000 <= length <= 0x8000_0100
    return None if placeholder and length > there else length


def _layout(
    fmt: bytes | None, order: str, kind: str, start: int, size: int,
    claimed: int | None, after: Callable[[int], Behind],
) -> Layout:  # fmt: skip
    if fmt is None or len(fmt) < 16:
        raise AudioError("its header has no format before the sound")
    tag, channels, rate, _, block, bits = struct.unpack(order + "HHIIHH", fmt[:16])
    left = False
    if tag == 0xFFFE and len(fmt) >= 26:  # extensible: the bits of the container, then the coding
        tag = struct.unpack(order + "H", fmt[24:26])[0]
        left = True
    sample = _sample(tag, channels, block, bits, left)
    there = size - start
    follows = Behind() if claimed is None or claimed > there else after(start + claimed)
    frames, fault = judged(claimed, there, block, follows)
    return Layout(kind, rate, channels, sample, start, frames, order == ">", fault)


def _sample(tag: int, channels: int, block: int, bits: int, left: bool) -> str:
    if coding := _CODINGS.get(tag):
        raise lossy(coding)
    if tag not in (1, 3):
        raise AudioError(f"coding 0x{tag:04x} inside; convert it to 16 or 24 bits")
    if not channels or not block or block % channels:
        raise AudioError(f"{channels} channels in blocks of {block} bytes; its header is damaged")
    width = block // channels
    if tag == 3:
        if (bits, width) not in ((32, 4), (64, 8)):
            raise AudioError(f"float samples of {bits} bits in {width} bytes; write 32 in 4")
        return f"f{bits}"
    # The container of an extensible header is left-justified whatever its valid bits are, and
    # `bits` is the container's there: only the plain kind can have fewer bits than its bytes.
    found = integer(bits, width, left=left and bits % 8 == 0)
    return "u8" if found == "s8" else found  # WAV alone has its 8 bits unsigned
