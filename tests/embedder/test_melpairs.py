"""Pairs of mel bands: unit sums, and where they lie."""

import numpy as np
import pytest

from nearfar.embedder.melpairs import pair_edges, unit_sum
from nearfar.sound.spectral import SAMPLE_RATE, mel_scale


@pytest.mark.parametrize(("n_mels", "n_fft"), [(32, 400), (128, 1024)])
def test_bands_have_sum_one_and_a_pair_peaks_between_its_edges(n_mels, n_fft):
    filters = unit_sum(n_mels, n_fft)
    np.testing.assert_allclose(filters.sum(axis=1), 1, rtol=1e-12)
    hz = np.arange(n_fft // 2 + 1) * SAMPLE_RATE / n_fft
    for pair, (low, high) in zip(
        filters.reshape(n_mels // 2, 2, -1), pair_edges(n_mels), strict=True
    ):
        middle = (pair.mean(axis=0) * hz).sum()  # its centre of mass
        assert low < middle < high


def test_edges_are_equal_in_mel_but_the_outer_ones():
    edges = np.array([low for low, _ in pair_edges(128)][1:], float)
    steps = np.diff(mel_scale(edges))
    np.testing.assert_allclose(steps, steps.mean(), atol=0.02)  # whole Hz
