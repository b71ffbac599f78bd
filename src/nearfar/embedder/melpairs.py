"""Mel bands of unit sum, two and two taken together: what ENV and LTAS look at."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np

from nearfar.sound.spectral import (
    SAMPLE_RATE,
    Float64,
    mel_filters,
    mel_scale,
    mel_scale_inverse,
)


@cache
def unit_sum(n_mels: int, n_fft: int) -> Float64:
    """(n_mels, bins): the triangles of `mel_filters`, each of sum 1 over bins; read-only.

    >>> unit_sum(32, 400).shape, float(unit_sum(32, 400)[5].sum())
    ((32, 201), 1.0)
    """
    filters = mel_filters(n_mels, n_fft).astype(np.float64)
    filters /= filters.sum(axis=1, keepdims=True)
    filters.flags.writeable = False
    return filters


@cache
def pair_edges(n_mels: int) -> tuple[tuple[int, int], ...]:
    """Where two neighbouring bands of `n_mels` lie, Hz: from half height to half height.

    The pairs follow each other without a gap; the first begins at 0, the last ends at 8 kHz.

    >>> pair_edges(32)[0], pair_edges(32)[-1]
    ((0, 229), (6320, 8000))
    """
    top = float(mel_scale(np.array(SAMPLE_RATE / 2)))
    # Triangle i rises from point i to its peak at i + 1, of n + 2 points that are equal in mel.
    cuts = np.arange(2, n_mels, 2) + 0.5
    inner = mel_scale_inverse(cuts / (n_mels + 1) * top)
    edges = [0, *(round(float(hz)) for hz in inner), SAMPLE_RATE // 2]
    return tuple(pairwise(edges))
