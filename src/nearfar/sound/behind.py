"""What lies between the end of a file's sound and the end of the file: chunks, or sound unsaid.

A recorder that dies, or a copy that goes wrong, leaves sound that no header counts. So everything
behind the sound is walked to the file's end, and what is no chunk is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MOST_CHUNKS = 1_000  # a file of a million empty chunks would else be walked for minutes
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of every W64 chunk's name but the first
# Chunks that are known behind the sound, so that a cut one of them is no sound left unread.
_KNOWN = {b"LIST", b"bext", b"iXML", b"id3 ", b"ID3 ", b"cue ", b"fact", b"PEAK", b"smpl", b"JUNK",
          b"PAD ", b"FLLR", b"_PMX", b"axml", b"chna", b"inst", b"acid", b"afsp", b"levl",
          b"minf", b"elm1", b"regn", b"umid", b"DGDA", b"MD5 ", b"SAUR", b"LGWV",
          # AIFF's own, and those that the Macintosh's programs write
          b"COMM", b"MARK", b"INST", b"MIDI", b"AESD", b"APPL", b"COMT", b"NAME", b"AUTH",
          b"(c) ", b"ANNO", b"FVER", b"SAXL", b"CHAN", b"basc", b"trns", b"cate"}  # fmt: skip
_FILES = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff"}  # how a second file begins
_ZEROS = 1 << 20  # bytes looked at in one go


@dataclass(frozen=True)
class Behind:
    """What lies behind the sound.

    >>> Behind().whole, Behind(left=4_000).whole, Behind(sounds=4_000).whole
    (True, False, False)
    """

    left: int = 0  # bytes that are of no chunk
    sounds: int = 0  # bytes in further chunks of sound
    chunks: bool = False  # does a chunk that is known lie between the sound and these?

    @property
    def whole(self) -> bool:
        """Is there no sound among it?"""
        return not self.left and not self.sounds


def chunks(
    file: BinaryIO, position: int, size: int, order: str
) -> Iterator[tuple[bytes, int, int]]:
    """Name, length and position of the content of each chunk; the file stands at the content.

    Args:
        file: at any position.
        position: of the first chunk.
        size: of the file, in bytes.
        order: of the length's four bytes, "<" or ">".
    """
    for _ in range(MOST_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        length = _number(head[4:], order)
        yield head[:4], length, position + 8
        position += 8 + length + length % 2  # chunks begin at even positions
        if position > size:
            return


def behind(file: BinaryIO, end: int, size: int, order: str, sound: bytes) -> Behind:
    """What lies behind the sound of a RIFF or AIFF file.

    Args:
        file: at any position.
        end: of the sound, as the header says.
        size: of the file, in bytes.
        order: of a chunk's length, "<" or ">".
        sound: name of a chunk of sound.
    """
    # Some writers leave out the byte that makes an odd length even.
    tails = [_tail(file, end + pad, size, order, sound) for pad in sorted({0, end % 2})[::-1]]
    return next((tail for tail in tails if tail.whole), tails[0])


def behind_w64(file: BinaryIO, end: int, size: int) -> Behind:
    """What lies behind the sound of a W64 file; arguments as for `behind`."""
    position, sounds, known = end + -end % 8, 0, False
    for _ in range(MOST_CHUNKS):
        file.seek(position)
        head = file.read(24)
        length = int.from_bytes(head[16:], "little")
        if len(head) < 24 or head[4:16] != W64_TAIL or length < 24:
            known = known or head[:4] in _FILES
            break
        known = True  # by its name of 16 bytes
        if head[:4] == b"data":
            sounds += min(length, size - position) - 24
        position += length + -length % 8
        if position >= size:
            break
    return Behind(_rest(file, position, size, known), sounds, known)


def _tail(file: BinaryIO, position: int, size: int, order: str, sound: bytes) -> Behind:
    sounds, known = 0, False
    for _ in range(MOST_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = head[:4], _number(head[4:], order)
        after = position + 8 + length
        if name in _FILES:  # two files put together, of which it would pass for a chunk
            known = True
            break
        if name == sound:
            own = 8 if sound == b"SSND" else 0  # AIFF's sound has a head of its own
            sounds += max(min(length, size - position - 8) - own, 0)
        elif name not in _KNOWN and (not _is_name(name) or after > size):
            break
        known = known or name == sound or name in _KNOWN
        if length % 2:
            file.seek(after)
            after += not _is_name(file.read(4))  # the byte that some leave out
        position = after
        if position >= size:
            break
    return Behind(_rest(file, position, size, known), sounds, known)


def _rest(file: BinaryIO, position: int, size: int, known: bool) -> int:
    """Bytes that are left; none where they are padding."""
    left = max(size - position, 0)
    # Zeros alone might be a recording; behind a chunk the recorder had finished.
    if not left or not (known or left < 8):
        return left
    file.seek(position)
    while piece := file.read(_ZEROS):
        if piece.strip(b"\0"):
            return left
    return 0


def _number(four: bytes, order: str) -> int:
    return int.from_bytes(four, "big" if order == ">" else "little")


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= letter < 127 for letter in name)
