"""How sound lies in a file: what its header says, held against the bytes that are there."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.errors import AudioError
from nearfar.sound.behind import Behind

# Bytes of one sample. s24in32 is ALSA's S24_LE: the lower three of four bytes are the sample.
WIDTHS = {"u8": 1, "s8": 1, "s16": 2, "s24": 3, "s32": 4, "s24in32": 4, "f32": 4, "f64": 8}


@dataclass(frozen=True)
class Layout:
    """Where a file's samples lie and how they are written.

    >>> Layout("WAV", 16_000, 2, "s16", start=44, frames=1_000).block
    4
    """

    kind: str  # of container, for messages
    rate: int  # Hz
    channels: int
    sample: str  # a key of `WIDTHS`, or "flac"
    start: int = 0  # byte of the first sample
    frames: int = 0  # samples a channel; with a fault all that can be taken
    big: bool = False
    fault: str = ""  # how header and bytes disagree, with both numbers
    patched: bool = False  # FLAC: its decoder must be told `frames` in place of the header's

    @property
    def block(self) -> int:
        """Bytes of one sample of all channels."""
        return WIDTHS[self.sample] * self.channels


def judged(claimed: int | None, there: int, block: int, behind: Behind) -> tuple[int, str]:
    """Frames that can be taken, and how header and bytes disagree.

    Args:
        claimed: bytes of sound by the header; None where it says that it does not know.
        there: bytes from the first sample to the end of the file.
        block: bytes of a frame.
        behind: what follows the claimed bytes.

    >>> judged(8_000, 4_000, 4, Behind())
    (1000, 'truncated, 4000 of 8000 bytes of sound are there')
    """
    if claimed is None:
        return there // block, ""
    if claimed > there:
        return there // block, f"truncated, {there} of {claimed} bytes of sound are there"
    if behind.sounds:
        # The chunk between them is no sound, so the first alone can be taken in one piece.
        return claimed // block, (f"it has several chunks of sound, {claimed} bytes in the first "
                                  f"and {behind.sounds} behind it")  # fmt: skip
    if behind.left and behind.chunks:
        return claimed // block, (f"its header says {claimed} bytes of sound, and {behind.left} "
                                  "bytes that are no part of it lie at its end")  # fmt: skip
    if behind.left:
        return there // block, (f"its header says {claimed} bytes of sound, {there} lie behind it: "
                                "the recorder did not finish the file")  # fmt: skip
    if claimed % block:
        return claimed // block, (f"its header says {claimed} bytes of sound, "
                                  f"no whole number of frames of {block} bytes")  # fmt: skip
    return claimed // block, ""


def integer(bits: int, width: int, *, left: bool) -> str:
    """Which integer sample has so many bits in so many bytes.

    Args:
        bits: that the header names.
        width: bytes of a sample.
        left: the format's standard says that fewer bits lie at the top of their bytes, so the
            whole width can be read.

    Raises:
        AudioError: no such sample, or bits and bytes disagree and nothing says where the bits lie.

    >>> integer(24, 4, left=False)
    's24in32'
    """
    if width in (1, 2, 3, 4) and (bits == 8 * width or (left and 8 * width - 8 < bits < 8 * width)):
        return f"s{8 * width}"
    if (bits, width) == (24, 4):
        return "s24in32"
    raise AudioError(f"{bits} bits in {width} bytes a sample; write 16, 24 or 32 bits in as many")
