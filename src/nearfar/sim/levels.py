"""Near/far statistics of one clip: level ratio, mask (report Eq. 1), correlation, coherence.

Kept apart from `nearfar.frontend` on purpose: a data set must not be set up by the system that it
is made for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.sound.audio import Audio

_FFT, _HOP, _KEEP = 400, 160, 0.9
_BETA, _WEIGHT, _FLOOR = 5.0, 0.7, 0.2
_TINY = 1e-20


def clip_statistics(audio: Audio) -> dict[str, float]:
    """Near/far statistics of one clip, (2, samples).

    Returns:
        ratio_db and spread_db (mean and standard deviation over bins of the near/far ratio),
        mask (mean of Eq. 1), floor (share of bins at its floor), lr (zero-lag correlation),
        gamma (mean clip-level coherence), peak_db (over full scale).
    """
    from scipy.fft import rfft
    from scipy.signal import lfilter
    from scipy.signal.windows import hann

    frames = np.lib.stride_tricks.sliding_window_view(audio, _FFT, axis=1)[:, ::_HOP]
    spectra = rfft(frames * hann(_FFT, sym=False).astype(np.float32), axis=2)
    power: NDArray[np.float32] = np.abs(spectra) ** 2
    cross = np.abs(np.mean(spectra[0] * np.conj(spectra[1]), axis=0)) ** 2
    gamma = cross / (power[0].mean(axis=0) * power[1].mean(axis=0) + _TINY)
    start = _KEEP * power[:, :1]  # the first frame as if it had always been there
    smooth, _ = lfilter([1 - _KEEP], [1, -_KEEP], power, axis=1, zi=start)
    near, far = (np.log(channel + _TINY) for channel in smooth)
    log_ratio = near - far
    mask = (1 - _WEIGHT * gamma) / (1 + np.exp(np.clip(-_BETA * log_ratio, -60, 60)))
    decibels = 10 / np.log(10) * log_ratio
    return {
        "ratio_db": float(decibels.mean()),
        "spread_db": float(decibels.std()),
        "mask": float(np.maximum(mask, _FLOOR).mean()),
        "floor": float(np.mean(mask <= _FLOOR)),
        "lr": float(np.asarray(np.corrcoef(audio))[0, 1]),
        "gamma": float(gamma.mean()),
        "peak_db": float(20 * np.log10(np.abs(audio).max() + _TINY)),
    }
