"""Stereo features of R = (1 − s)·y₀ + s·y₁ (report Eq. 2), without a new FFT.

The STFT is linear: X₁′ = a X₀ + b X₁ with a = 1 − s, b = s, so every power is quadratic in (a, b),

    |X₁′|² = a² |X₀|² + 2ab Re X₀X₁* + b² |X₁|²,        X₀X₁′* = a |X₀|² + b X₀X₁*,

and every stereo feature is made of powers (`nearfar.embedder.dif.table`). The sums of the three
terms over frequency and over time are kept once per clip; a row costs their mixture and the
logarithms of its mel bands.
"""

from __future__ import annotations

import numpy as np

from nearfar.embedder.dif.analysis import MEL, MOMENT, Complex128, Measured, filters
from nearfar.embedder.dif.families import DB, NearMeasures, PairMeasures, frame_terms
from nearfar.embedder.dif.table import N_MELS
from nearfar.sound.spectral import Float32, Float64

ROWS = 4  # mixed at a time; of a clip of 10 s 0.7 MB, which stay in the processor's cache


def pair_of(near: NearMeasures) -> PairMeasures:
    """The clip's own two channels, as `PairMeasures` of one row."""
    clip = near.clip
    x = clip.waves
    sums = clip.far.sums
    log_mel = np.log(sums[MEL])
    return PairMeasures(
        gain_db=x.gain_db,
        near_square=x.near_square,
        far_square=np.array([x.far_square]),
        cross=np.array([x.cross]),
        mid_square=np.array([x.mid_square]),
        side_square=np.array([x.side_square]),
        noise=clip.noise,
        near_power=clip.near.mean_power,
        far_power=clip.far.mean_power[None],
        cross_power=clip.cross_power[None],
        near_log_mel=near.log_mel,
        far_log_mel=DB * log_mel.mean(axis=1).astype(np.float64)[None],
        frame_terms=frame_terms(clip.near.sums, sums[None]),
    )


def mix(near: NearMeasures, a: Float64, b: Float64) -> PairMeasures:
    """The clip with its far channel replaced by a·near + b·far.

    Args:
        near: measured with `cross_sums=True`.
        a, b: (rows,), finite.
    """
    clip, x = near.clip, near.clip.waves
    # M′ = (1 + a − b)/2 · x₀ + b M and S′ = (1 − a − b)/2 · x₀ + b S, which stay exact where the
    # channels are alike or opposite.
    to_mid, to_side = (1 + a - b) / 2, (1 - a - b) / 2
    mid = to_mid**2 * x.near_square + to_mid * b * (x.near_square + x.cross) + b**2 * x.mid_square
    side = to_side**2 * x.near_square + to_side * b * (x.near_square - x.cross)
    side += b**2 * x.side_square
    near_power, far_power, cross = clip.near.mean_power, clip.far.mean_power, clip.cross_power
    mixed = _quadratic(a, b)[:, :3] @ np.stack([near_power, cross.real, far_power])
    log_mel, terms = _frame_rows(clip, _quadratic(a, b))
    square = a**2 * x.near_square + 2 * a * b * x.cross + b**2 * x.far_square
    return PairMeasures(
        gain_db=x.gain_db,
        near_square=x.near_square,
        far_square=np.maximum(square, 0),  # rounding: where the channels cancel
        cross=a * x.near_square + b * x.cross,
        mid_square=np.maximum(mid, 0),
        side_square=np.maximum(side, 0),
        noise=clip.noise,
        near_power=near_power,
        far_power=np.maximum(mixed, 0),
        cross_power=_linear(a, b, near_power, cross),
        near_log_mel=near.log_mel,
        far_log_mel=log_mel,
        frame_terms=terms,
    )


def _quadratic(a: Float64, b: Float64) -> Float64:
    """(rows, 4) factors of near, cross, far and noise; the sums of the channels have ε in them."""
    return np.column_stack([a**2, 2 * a * b, b**2, 1 - a**2 - b**2])


def _linear(a: Float64, b: Float64, near_power: Float64, cross: Complex128) -> Complex128:
    return a[:, None] * near_power + b[:, None] * cross


def _frame_rows(clip: Measured, factors: Float64) -> tuple[Float64, Float64]:
    """What needs every frame of every row: mean log mel (rows, 40) in dB, frame terms (rows, 4)."""
    if clip.cross_sums is None:
        raise ValueError("measured without cross_sums")  # ours to get right, not the user's
    kept = MOMENT + 1  # f² is not needed of the far channel
    frames = clip.cross_sums.shape[1]
    floor = np.float32(clip.noise) * filters().sum(axis=1)[:kept, None]
    noise = np.broadcast_to(floor, (kept, frames))
    terms = [s[:kept] for s in (clip.near.sums, clip.cross_sums, clip.far.sums)]
    basis = np.stack([*terms, noise]).reshape(4, -1)
    log_mel, compared = np.empty((len(factors), N_MELS)), np.empty((len(factors), 4))
    for first in range(0, len(factors), ROWS):
        rows = slice(first, first + ROWS)
        sums = (factors[rows].astype(np.float32) @ basis).reshape(-1, kept, frames)
        np.maximum(sums, floor, out=sums)
        compared[rows] = frame_terms(clip.near.sums, sums)
        log_mel[rows] = _mean_log(sums[:, MEL])
    return DB * log_mel, compared


def _mean_log(powers: Float32) -> Float64:
    """Mean over frames of ln: (rows, 40, frames) → (rows, 40)."""
    mean: Float64 = np.log(powers).mean(axis=-1).astype(np.float64)
    return mean
