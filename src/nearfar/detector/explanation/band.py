"""What one frequency band says of a clip, and how much of a member's score is its."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.embedder.dif.words import Band, hertz


@dataclass(frozen=True)
class BandShare:
    """What one band says of a clip, and how much of the member's score is its.

    The score is the mean over bands, so the `part` of all bands sum to it. `share` are what raises
    it, 0–1, and sum to 1: parts below 0 raise nothing; where no part is above 0 shares are equal.

    >>> one = BandShare(2, of=8, band=(700.0, 1100.0), distance=2.4, usual=0.9, above=5.0,
    ...                 share=0.3)
    >>> one.where, round(one.part, 3)
    ('at 0.7–1.1 kHz', 0.3)
    """

    number: int  # from 0, low frequencies first
    of: int  # bands
    band: Band | None  # Hz; None where the embedder does not say
    distance: float  # what the rule says of this band, in the unit of its distance
    usual: float  # the same of normal clips, each held out: their median; nan of one clip alone
    above: float  # distance − usual, in units of the normal clips' spread (interquartile / 1.35)
    share: float  # of the member's distance, 0–1

    @property
    def part(self) -> float:
        """What it adds to the member's distance."""
        return self.distance / self.of

    @property
    def where(self) -> str:
        """The band in words."""
        # Edges of mel bands are no round numbers, nor sharp: two digits say as much.
        if self.band is None:
            return f"in band {self.number + 1} of {self.of}"
        return hertz(*(float(f"{hz:.2g}") for hz in self.band))
