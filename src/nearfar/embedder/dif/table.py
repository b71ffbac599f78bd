"""The 151 candidate features: bands, names, units, formulas. Nothing is computed here.

Symbols of the formulas. x₀, x₁: near and far waveform, each with its mean removed. P₀, P₁ (t, f):
their power spectra |X|² + ε. E(t): the sum of P over all bins. L(t, m) = 10 log10 of the power in
mel band m, dB. c(t, k): the orthonormal DCT of L over m (MFCC). ⟨·⟩: mean over the clip's frames;
sd: standard deviation over them. Σ over a band covers its lower edge, not its upper one.

ε = 10⁻⁸ · ⟨x₀²⟩ · Σ w²: white noise 80 dB below the near channel's own power is added to both
spectra. It is the floor of every logarithm and lets a digitally silent frame count as white; being
tied to the clip's own level it moves with the gain, and so no feature does (report §2.1.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

from nearfar.sound.spectral import N_FFT, SAMPLE_RATE

Row = tuple[str, str, str]  # name, unit, formula

BIN_HZ = SAMPLE_RATE / N_FFT  # 40 Hz
N_BINS = N_FFT // 2 + 1
N_MELS = 40
CEPSTRA = 13  # c0 … c12 in the deltas, c1 … c13 in the means
FLOOR = 1e-8  # power, -80 dB
ROLLOFF = 0.85  # share of the power below the roll-off frequency
HF_HZ = 4_000  # Hz; "high frequency" begins here
DELTA_WIDTH = 9  # frames, 90 ms

# Band edges in Hz; the last band of each takes half the sample rate in.
BANDS = (0, 200, 400, 800, 1200, 1600, 2400, 3200, 4000, 5200, 6400, 8000)  # 11: ratios, coherence
LR_BANDS = (0, 200, 400, 800, 1600, 2400, 3200, 4800, 6400, 8000)  # 9: near/far level difference
# Octaves, and one more bin below each but the first, so that a line at an edge is in both (as
# librosa.feature.spectral_contrast).
CONTRAST_BANDS = (0, 200, 400, 800, 1600, 3200, 6400, 8000)  # 7: spectral contrast


@dataclass(frozen=True)
class Feature:
    """One number of a clip.

    `channel` is "near" where the far microphone does not matter, else "stereo".

    >>> next(feature for feature in TABLE if feature.name == "rms_ratio").formula
    '10 log10(mean x₀² / mean x₁²)'
    """

    name: str
    family: str
    channel: Literal["near", "stereo"]
    unit: str
    formula: str


@cache
def bins(edges: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """First bin and last bin + 1 of each band.

    >>> bins((0, 200, 8000))
    ((0, 5), (5, 201))
    """
    cuts = [round(edge / BIN_HZ) for edge in edges[:-1]]
    return tuple(pairwise([*cuts, N_BINS]))


@cache
def contrast_bins() -> tuple[tuple[int, int], ...]:
    """First bin and last bin + 1 of each contrast band, its extra bin below included."""
    return tuple((max(first - 1, 0), last) for first, last in bins(CONTRAST_BANDS))


def _near(family: str, rows: Iterable[tuple[str, str, str]]) -> list[Feature]:
    return [Feature(name, family, "near", unit, formula) for name, unit, formula in rows]


def _stereo(family: str, rows: Iterable[tuple[str, str, str]]) -> list[Feature]:
    return [Feature(name, family, "stereo", unit, formula) for name, unit, formula in rows]


def _per_band(edges: tuple[int, ...], name: str, unit: str, formula: str) -> list[Row]:
    """One row a band: its edges in Hz end the name and stand for {} in the formula."""
    return [
        (f"{name}_{low}_{high}", unit, formula.format(f"{low}–{high} Hz"))
        for low, high in pairwise(edges)
    ]


def _per_cepstrum(numbers: range, name: str, unit: str, formula: str) -> list[Row]:
    """One row a coefficient: its number ends the name and stands for {} in the formula."""
    return [(f"{name}_{k}", unit, formula.format(k)) for k in numbers]


def _near_features() -> list[Feature]:
    from_0, from_1 = range(CEPSTRA), range(1, CEPSTRA + 1)
    slope = f"sd of the slope of c(t, {{}}) over {DELTA_WIDTH} frames"
    curvature = f"sd of the curvature of c(t, {{}}) over {DELTA_WIDTH} frames"
    contrast = "10 log10(max P₀ / min P₀) in {}"
    deltas = [
        *_per_cepstrum(from_0, "delta_mfcc_std", "dB/frame", slope),
        *_per_cepstrum(from_0, "delta2_mfcc_std", "dB/frame²", curvature),
    ]
    contrasts = [
        *_per_band(CONTRAST_BANDS, "contrast_mean", "dB", f"⟨{contrast}⟩"),
        *_per_band(CONTRAST_BANDS, "contrast_std", "dB", f"sd of {contrast}"),
    ]
    ratios = _per_band(BANDS, "band_ratio", "dB", "10 log10(⟨Σ P₀ in {}⟩ / ⟨E₀⟩)")
    return [
        *_near("delta_mfcc_std", deltas),
        *_near("mfcc_mean", _per_cepstrum(from_1, "mfcc_mean", "dB", "⟨c(t, {})⟩")),
        *_near("spectral_contrast", contrasts),
        *_near("band_energy_ratio", ratios),
        *_near("spectral_shape", _shapes()),
        *_near("impulsiveness", IMPULSIVENESS),
    ]


def _shapes() -> list[Row]:
    shapes = (
        ("centroid", "Hz", "Σ f P₀ / E₀"),
        ("bandwidth", "Hz", "√(Σ (f − centroid)² P₀ / E₀)"),
        ("rolloff", "Hz", f"lowest f with {ROLLOFF:g} E₀ at or below it"),
        ("flatness", "1", "geometric / arithmetic mean of P₀ over f"),
    )
    return [
        (f"{name}_{statistic}", unit, of.format(formula))
        for name, unit, formula in shapes
        for statistic, of in (("mean", "⟨{}⟩"), ("std", "sd of {}"))
    ]


IMPULSIVENESS: tuple[Row, ...] = (
    ("kurtosis", "1", "mean x₀⁴ / (mean x₀²)²"),
    ("crest_factor", "1", "max |x₀| / rms x₀"),
    ("impulse_factor", "1", "max |x₀| / mean |x₀|"),
    ("shape_factor", "1", "rms x₀ / mean |x₀|"),
    ("clearance_factor", "1", "max |x₀| / (mean √|x₀|)²"),
    ("envelope_kurtosis", "1", "⟨(e − ⟨e⟩)⁴⟩ / sd(e)⁴ with e(t) = √E₀(t)"),
    ("envelope_crest_factor", "1", "max e / √⟨e²⟩ with e(t) = √E₀(t)"),
    ("envelope_shape_factor", "1", "√⟨e²⟩ / ⟨e⟩ with e(t) = √E₀(t)"),
)
BASIC_STEREO: tuple[Row, ...] = (
    ("lr_correlation", "1", "mean x₀x₁ / √(mean x₀² · mean x₁²)"),
    ("rms_ratio", "dB", "10 log10(mean x₀² / mean x₁²)"),
    ("mid_side_ratio", "dB", "10 log10(mean (x₀ + x₁)² / mean (x₀ − x₁)²)"),
    ("centroid_difference", "Hz", "⟨centroid of P₀ − centroid of P₁⟩"),
    ("hf_ratio_difference", "1", f"⟨share of P₀ at {HF_HZ} Hz and above − that of P₁⟩"),
    ("log_energy_correlation", "1", "correlation over t of log E₀, log E₁; 0 if one is steady"),
    ("log_ratio_std", "dB", "sd of 10 log10(E₀(t) / E₁(t))"),
)
NEAR_LEVEL: tuple[Row, ...] = (
    ("mfcc_mean_0", "dB", "⟨c(t, 0)⟩"),
    ("rms_level", "dB re full scale", "10 log10(mean x₀²)"),
    ("peak_level", "dB re full scale", "20 log10(max |x₀|)"),
    ("frame_level_p10", "dB re full scale", "10th percentile of the level of frames"),
    ("frame_level_p90", "dB re full scale", "90th percentile of the level of frames"),
    ("dominant_frequency", "Hz", "f of the largest ⟨|X₀|²⟩ above 0 Hz"),
)


def _stereo_features() -> list[Feature]:
    level = "10 log10(⟨Σ P₀⟩ / ⟨Σ P₁⟩) in {}"
    cepstra = "⟨c₀(t, {0})⟩ − ⟨c₁(t, {0})⟩, near and far"
    msc = "mean over f in {} of |⟨X₀X₁*⟩|² / (⟨|X₀|²⟩⟨|X₁|²⟩)"
    numbers = range(1, CEPSTRA + 1)
    return [
        *_stereo("basic_stereo", BASIC_STEREO),
        *_stereo("band_level_difference", _per_band(LR_BANDS, "lr_level", "dB", level)),
        *_stereo("mfcc_difference", _per_cepstrum(numbers, "mfcc_difference", "dB", cepstra)),
        *_stereo("coherence", _per_band(BANDS, "coherence", "1", msc)),
    ]


def _excluded_features() -> list[Feature]:
    """What a physicist expects to move with level, distance or operating point."""
    mean_square = "10 log10 of the mean square of x₀ in {}"
    return [
        *_near("mfcc_std", _per_cepstrum(range(CEPSTRA), "mfcc_std", "dB", "sd of c(t, {})")),
        *_near("band_level", _per_band(BANDS, "band_level", "dB re full scale", mean_square)),
        *_near("near_level", NEAR_LEVEL),
        *_stereo("far_level", [("far_rms_level", "dB re full scale", "10 log10(mean x₁²)")]),
    ]


# The report's 151, the 120 it keeps first. Which 31 it left out it does not say: these are ours.
TABLE: tuple[Feature, ...] = (*_near_features(), *_stereo_features(), *_excluded_features())
CANDIDATES: tuple[str, ...] = tuple(feature.name for feature in TABLE)
NAMES: tuple[str, ...] = CANDIDATES[:120]
