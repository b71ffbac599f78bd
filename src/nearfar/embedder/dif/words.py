"""What each feature is to a person who listens: which microphones, which band, what is heard.

Made by rule of a feature's name, whose stem is what is measured and whose numbers are a band in Hz
or a cepstral coefficient. Each phrase is a singular noun, so that it can rise and fall.
"""

from __future__ import annotations

import re

import numpy as np

from nearfar.embedder.dif.table import CANDIDATES, HF_HZ
from nearfar.errors import SettingError, did_you_mean
from nearfar.sound.spectral import SAMPLE_RATE, mel_scale, mel_scale_inverse

Band = tuple[float, float]  # Hz, lower and upper edge

TOP = SAMPLE_RATE / 2  # Hz
_NEAR = "the near sound's "
# By stem; {band} and {shape} stand for what the numbers behind it say.
PHRASES = {
    "delta_mfcc_std": _NEAR + "pace of change in {shape}",
    "delta2_mfcc_std": _NEAR + "jerkiness in {shape}",
    "mfcc_mean": _NEAR + "weight of {shape}",
    "mfcc_std": _NEAR + "variation in {shape}",
    "contrast_mean": _NEAR + "tones over noise {band}",
    "contrast_std": _NEAR + "wavering of tones {band}",
    "band_ratio": _NEAR + "share {band}",
    "band_level": _NEAR + "level {band}",
    "centroid_mean": _NEAR + "brightness",
    "centroid_std": _NEAR + "wavering of brightness",
    "bandwidth_mean": _NEAR + "breadth over frequencies",
    "bandwidth_std": _NEAR + "wavering of breadth",
    "rolloff_mean": _NEAR + "upper edge",
    "rolloff_std": _NEAR + "wavering of the upper edge",
    "flatness_mean": _NEAR + "noisiness",
    "flatness_std": _NEAR + "wavering of noisiness",
    "kurtosis": _NEAR + "spikiness",
    "crest_factor": _NEAR + "height of peaks over its power",
    "impulse_factor": _NEAR + "height of peaks over its mean",
    "shape_factor": _NEAR + "unevenness",
    "clearance_factor": _NEAR + "height of peaks over its quiet",
    "envelope_kurtosis": _NEAR + "rareness of loud moments",
    "envelope_crest_factor": _NEAR + "loudest moment over its power",
    "envelope_shape_factor": _NEAR + "ups and downs in loudness",
    "rms_level": _NEAR + "level",
    "peak_level": _NEAR + "highest peak",
    "frame_level_p10": _NEAR + "level in quiet moments",
    "frame_level_p90": _NEAR + "level in loud moments",
    "dominant_frequency": _NEAR + "dominant pitch",
    "far_rms_level": "the far sound's level",
    "lr_correlation": "the likeness of both microphones' waves",
    "rms_ratio": "the level of near over far",
    "mid_side_ratio": "the common part of both microphones",
    "centroid_difference": "the brightness of near over far",
    "hf_ratio_difference": "the share of near over far {band}",
    "log_energy_correlation": "the common loudness of both microphones",
    "log_ratio_std": "the beating between the microphones",
    "lr_level": "the level of near over far {band}",
    "mfcc_difference": "the near over far weight of {shape}",
    "coherence": "what both microphones hear alike {band}",
}
_NAME = re.compile(r"(.+?)(?:_(\d+)(?:_(\d+))?)?")  # stem, number, second number


def spoken(name: str) -> str:
    """A feature in plain words.

    Args:
        name: one of `CANDIDATES`.

    Raises:
        SettingError: no such feature.

    >>> spoken("coherence_4000_5200")
    'what both microphones hear alike at 4–5.2 kHz'
    >>> spoken("band_ratio_6400_8000"), spoken("mfcc_difference_1")
    ("the near sound's share above 6.4 kHz", 'the near over far weight of low over high tones')
    """
    stem, first, second = _parts(name)
    band = band_of(name)
    return PHRASES[stem].format(
        band="" if band is None else hertz(*band),
        shape=_shape(int(first)) if first and not second else "",
    )


def band_of(name: str) -> Band | None:
    """The band that a feature is measured in, Hz; None for one of all frequencies.

    >>> band_of("lr_level_200_400"), band_of("hf_ratio_difference"), band_of("kurtosis")
    ((200.0, 400.0), (4000.0, 8000.0), None)
    """
    stem, first, second = _parts(name)
    if stem == "hf_ratio_difference":
        return float(HF_HZ), TOP
    return (float(first), float(second)) if first and second else None


def hertz(low: float, high: float) -> str:
    """A band as people say it.

    >>> hertz(0, 200), hertz(200, 400), hertz(800, 1200), hertz(4000, 8000)
    ('below 200 Hz', 'at 200–400 Hz', 'at 0.8–1.2 kHz', 'above 4 kHz')
    """
    if low <= 0 and high >= TOP:
        return "at all frequencies"
    unit, scale = ("kHz", 1000.0) if max(low, high % TOP) >= 1000 else ("Hz", 1.0)
    # Three digits: the edges of a spectrum's bins need no more.
    edges = [f"{edge / scale:.3g}" for edge in (low, high)]
    if low <= 0:
        return f"below {edges[1]} {unit}"
    return f"above {edges[0]} {unit}" if high >= TOP else f"at {edges[0]}–{edges[1]} {unit}"


def _parts(name: str) -> tuple[str, str | None, str | None]:
    """Stem and the numbers behind it."""
    if name not in CANDIDATES:
        raise SettingError(f"DIF has no feature {name!r}; {did_you_mean(str(name), CANDIDATES)}")
    if name in PHRASES:
        return name, None, None
    found = _NAME.fullmatch(name)
    stem, first, second = found.groups() if found else (name, None, None)
    return stem, first, second


def _shape(k: int) -> str:
    """What a cepstral coefficient weighs: the log spectrum against k half waves over mel."""
    if k < 3:
        return ("loudness", "low over high tones", "outer over middle tones")[k]
    if k > 5:  # four crests and more tell nobody anything
        return f"spectral ripple {k}"
    # Crests of cos(πk·m), m from 0 to 1 over the mel scale, lie at even multiples of 1/k.
    at = np.arange(0, k + 1, 2) / k * float(mel_scale(np.array(TOP)))
    crests = [f"{hz / 1000:.1f}".removesuffix(".0") for hz in mel_scale_inverse(at)]
    return f"{', '.join(crests[:-1])} and {crests[-1]} kHz"
