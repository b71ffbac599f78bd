"""What a file's own samples were like, before anything was resampled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recorded:
    """A clip as its recorder wrote it; one number a channel, near first.

    >>> Recorded(48_000).sample_rate
    48000
    """

    sample_rate: int  # Hz
    clipped: tuple[float, ...] = ()  # share of samples on a flat top, at full scale or below, 0–1
    zeros: tuple[float, ...] = ()  # share of samples that are exactly zero, 0–1
    levels: tuple[float, ...] = ()  # dBFS, rms with the mean removed; −inf for a constant
    salvaged: str = ""  # what is missing of it, where it was asked to take what is there
