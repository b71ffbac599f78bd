"""Named features in plain words, of whichever embedder they are."""

from __future__ import annotations

import re

from nearfar.embedder.dif import words
from nearfar.embedder.dif.table import CANDIDATES, Feature
from nearfar.embedder.dif.words import Band, hertz

_NEAR = "the near sound's "
# By family of ENV and LTAS; {} is their band.
PHRASES = {
    "beat_clarity": _NEAR + "regular beat {}",
    "burst_rarity": _NEAR + "rareness of bursts {}",
    "burst_height": _NEAR + "height of bursts {}",
    "loudness_swing": _NEAR + "ups and downs {}",
    "slow_beat": _NEAR + "slow pulsing {}",
    "middle_beat": _NEAR + "pulsing {}",
    "fast_beat": _NEAR + "fluttering {}",
    "colour": _NEAR + "weight {}",
}


def spoken(feature: Feature) -> str:
    """A feature as a person understands it; one of a person's own embedder by its name.

    >>> from nearfar.embedder.envelope import ENV
    >>> from nearfar.embedder.ltas import LTAS
    >>> spoken(ENV().features[-1]), spoken(LTAS().features[0])
    ("the near sound's fluttering above 6.32 kHz", "the near sound's weight below 58 Hz")
    """
    if feature.name in CANDIDATES:
        return words.spoken(feature.name)
    band = band_of(feature)
    phrase = PHRASES.get(feature.family)
    return feature.name if phrase is None or band is None else phrase.format(hertz(*band))


def band_of(feature: Feature) -> Band | None:
    """The band that a feature is measured in, Hz; None for one of all frequencies.

    >>> from nearfar.embedder.envelope import ENV
    >>> band_of(ENV().features[1])
    (229.0, 411.0)
    """
    if feature.name in CANDIDATES:
        return words.band_of(feature.name)
    found = re.search(r"_(\d+)_(\d+)$", feature.name)
    return (float(found[1]), float(found[2])) if found else None
