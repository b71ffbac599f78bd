"""Movements of features that tell of one thing, as one thing: what a person is told first.

Of 120 features many are of one kind, and some mean nothing alone: a cepstral coefficient weighs
the whole spectrum. All of them together are the spectrum's smooth shape, and where that rose or
fell can be said in Hz. What a theme is worth is taken against the nearest row, as the score is;
which way it went, against the mean of all normal clips: one clip has chances of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.explanation.movement import Movement
from nearfar.embedder.dif.table import N_MELS
from nearfar.embedder.dif.words import TOP, Band, hertz
from nearfar.embedder.naming import PHRASES
from nearfar.sound.spectral import dct, mel_scale, mel_scale_inverse

# Families whose features differ in no more than a band or a coefficient.
_KINDS = {
    "delta_mfcc_std", "mfcc_mean", "mfcc_std", "spectral_contrast", "band_energy_ratio",
    "band_level", "impulsiveness", "band_level_difference", "mfcc_difference", "coherence",
    *PHRASES,  # of ENV and LTAS each family
}  # fmt: skip
# Means of cepstra: together the shape of a spectrum.
_SHAPES = {
    "mfcc_mean": "the near sound's spectrum",
    "mfcc_difference": "the spectrum of near over far",
}
# Spreads of cepstra: together how much a spectrum changes, wherever that is.
_CHANGES = {
    "delta_mfcc_std": "the near sound's pace of change",
    "mfcc_std": "the near sound's variation",
}


@dataclass(frozen=True)
class Theme:
    """Features of one kind that moved: what they say together, and what that is worth.

    >>> one = Movement("rms_ratio", "the level of near over far", "basic_stereo", "stereo", "dB",
    ...                None, value=9.0, normal=5.0, movement=2.0, usual=1.5, adjusted=3.0)
    >>> [theme] = themes_of([one])
    >>> theme.sentence, theme.amount, theme.contribution
    ('the level of near over far rose', 1.5, 9.0)
    """

    sentence: str
    contribution: float  # to d²; of all themes they sum to it
    amount: float  # how far it is from the normal clips' mean, in their standard deviations
    band: Band | None  # Hz, where it is told; None: of all frequencies
    features: tuple[str, ...]  # that of the largest contribution first
    unit: Literal["sd"] = "sd"  # of the amount


def themes_of(movements: Sequence[Movement]) -> list[Theme]:
    """The movements, each in one theme, the largest contribution first."""
    groups: dict[str, list[Movement]] = {}
    for one in movements:
        groups.setdefault(one.family if one.family in _KINDS else one.feature, []).append(one)
    return sorted(map(_theme, groups.values()), key=lambda theme: -theme.contribution)


def _theme(group: Sequence[Movement]) -> Theme:
    ranked = sorted(group, key=lambda one: -one.contribution)
    first, contribution = ranked[0], sum(one.contribution for one in ranked)
    features = tuple(one.feature for one in ranked)
    if len(ranked) > 1 and first.family in _SHAPES:
        amount, band = _shape(ranked)
        sentence = f"{_SHAPES[first.family]} {_verb(amount)} {hertz(*band)}"
        return Theme(sentence, contribution, amount, band, features)
    if len(ranked) > 1 and first.family in _CHANGES:
        # Most of what they are worth says which way; one alone may go the other.
        way = sum(one.contribution * np.sign(one.usual) for one in ranked)
        same = (one for one in ranked if one.usual * way > 0)
        amount = next(same, first).usual
        sentence = f"{_CHANGES[first.family]} {_verb(amount)}"
        return Theme(sentence, contribution, amount, None, features)
    if first.band:
        first = ranked[_leading(np.array([one.usual for one in ranked]))]
    sentence = f"{first.words} {_verb(first.usual)}"
    return Theme(sentence, contribution, first.usual, first.band, features)


def _verb(amount: float) -> str:
    return "rose" if amount > 0 else "fell" if amount < 0 else "stayed"


def _leading(moved: NDArray[np.float64]) -> int:
    """The place of the largest rise; of the largest fall where that is more than twice as large.

    What is added in one place takes from the share of all others, so a fall may be no more than
    the other side of a rise.
    """
    fell = -moved.min() > 2 * max(moved.max(), 0.0)
    return int(np.argmin(moved) if fell else np.argmax(moved))


def _shape(cepstra: Sequence[Movement]) -> tuple[float, Band]:
    """Where a spectrum is farthest from the normal ones, sd, and the band of at least half that.

    The cosines weigh the log spectrum over mel; summed up with how far each is from its mean, in
    its own spread, they give back where. The amount takes them for independent.
    """
    places = [int(one.feature.rsplit("_", 1)[-1]) for one in cepstra]
    cosines = dct(N_MELS, N_MELS)[places].astype(np.float64)  # (coefficients, mel bands)
    moved = np.array([one.usual for one in cepstra]) @ cosines
    moved /= np.sqrt((cosines**2).sum(axis=0))
    peak = _leading(moved)
    much = moved * np.sign(moved[peak]) >= abs(moved[peak]) / 2
    first = last = peak
    while first > 0 and much[first - 1]:
        first -= 1
    while last < N_MELS - 1 and much[last + 1]:
        last += 1
    # Filters are triangles: n of them have n + 2 edges, equal in mel.
    edges = np.array([first + 0.5, last + 1.5]) / (N_MELS + 1) * float(mel_scale(np.array(TOP)))
    # As fine as so few cosines can tell.
    low, high = (round(hz, -2 if hz >= 1000 else -1) for hz in mel_scale_inverse(edges).tolist())
    return float(moved[peak]), (low if first else 0.0, high if last < N_MELS - 1 else TOP)
