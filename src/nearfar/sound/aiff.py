"""AIFF, AIFF-C and AU: big-endian files of the Macintosh and of Sun, to a layout.

Sources: Apple's AIFF 1.3 and AIFF-C drafts, Sun's audio(4).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from nearfar.errors import AudioError
from nearfar.sound.behind import Behind, behind, chunks
from nearfar.sound.layout import WIDTHS, Layout, integer, judged
from nearfar.sound.riff import lossy, one_format

_FLOATS = {b"fl32": "f32", b"FL32": "f32", b"fl64": "f64", b"FL64": "f64"}
_LOSSY = {b"ulaw": "µ-law", b"ULAW": "µ-law", b"alaw": "A-law", b"ALAW": "A-law",
          b"ima4": "ADPCM", b"GSM ": "GSM", b"MAC3": "MACE", b"MAC6": "MACE"}  # fmt: skip
_INTEGERS = (b"NONE", b"twos", b"sowt", b"in24", b"in32")
_AU = {2: "s8", 3: "s16", 4: "s24", 5: "s32", 6: "f32", 7: "f64"}
_AU_LOSSY = {1: "µ-law", 27: "A-law", 23: "ADPCM", 24: "ADPCM", 25: "ADPCM", 26: "ADPCM"}


def aiff_layout(file: BinaryIO, size: int) -> Layout:
    """The layout of an AIFF or AIFF-C file.

    Args:
        file: at any position.
        size: of it, in bytes.

    Raises:
        AudioError: no sound, no or an impossible format, a coding that loses something.
    """
    comm: bytes | None = None
    sound: tuple[int, int] | None = None  # position and length of the sound chunk's content
    # The format may follow the sound, so the walk goes on.
    for name, length, position in chunks(file, 12, size, ">"):
        if name == b"COMM":
            comm = one_format(comm, file.read(min(length, 22)))
        elif name == b"SSND" and sound is None:
            offset = int.from_bytes(file.read(4), "big")
            sound = position + 8 + offset, max(length - 8 - offset, 0)
    if comm is None or len(comm) < 18 or sound is None:
        raise AudioError("its header has no format or no sound")
    return _layout(comm, *sound, size, lambda end: behind(file, end, size, ">", b"SSND"))


def _layout(
    comm: bytes, start: int, length: int, size: int, after: Callable[[int], Behind]
) -> Layout:
    channels, frames, bits = struct.unpack(">HIH", comm[:8])
    coding = comm[18:22] or b"NONE"
    if name := _LOSSY.get(coding):
        raise lossy(name)
    if coding not in _INTEGERS and coding not in _FLOATS:
        raise AudioError(f"coding {coding!r} inside; convert it to 16 or 24 bits")
    if not channels:
        raise AudioError("0 channels; its header is damaged")
    # AIFF's standard: fewer bits than their bytes hold lie at the top.
    sample = _FLOATS.get(coding) or integer(bits, -(-bits // 8), left=True)
    block = WIDTHS[sample] * channels
    there = max(size - start, 0)
    most = min(max(length, frames * block), there)
    follows = after(start + most)
    taken, fault = judged(frames * block, there, block, follows)
    if frames * block != length and frames * block <= there:
        # The two headers of one file: which is right cannot be known, the bytes can.
        taken = (there if follows.left and not follows.chunks else most) // block
        fault = (f"its header says {frames * block} bytes of sound, its sound chunk {length}: "
                 f"the recorder did not finish the file ({there} bytes are there)")  # fmt: skip
    rate = _extended(comm[8:18])
    return Layout("AIFF", rate, channels, sample, start, taken, coding != b"sowt", fault)


def _extended(ten: bytes) -> int:
    """80-bit float → Hz; 0 for what is no sample rate."""
    exponent = int.from_bytes(ten[:2], "big") - 16383
    if not 0 <= exponent < 32:
        return 0
    return int.from_bytes(ten[2:], "big") >> (63 - exponent)


def au_layout(file: BinaryIO, size: int) -> Layout:
    """The layout of an AU file; arguments and errors as for `aiff_layout`."""
    file.seek(0)
    head = file.read(24)
    if len(head) < 24:
        raise AudioError("it ends in its header")
    big = head[:4] == b".snd"
    start, length, coding, rate, channels = struct.unpack(">5I" if big else "<5I", head[4:])
    if name := _AU_LOSSY.get(coding):
        raise lossy(name)
    if coding not in _AU or not channels or start < 24:
        raise AudioError(f"coding {coding}, {channels} channels; its header is damaged")
    block = WIDTHS[_AU[coding]] * channels
    there = max(size - start, 0)
    claimed = None if length == 0xFFFFFFFF else length  # Sun's own "not known"
    frames, fault = judged(claimed, there, block, Behind(there - (claimed or 0)))
    return Layout("AU", rate, channels, _AU[coding], start, frames, big, fault)
