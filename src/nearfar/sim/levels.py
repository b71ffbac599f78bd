"""Near/far statistics of one clip: level ratio, mask (report Eq. 1), correlation, coherence.

Kept apart from `nearfar.frontend` on purpose: a data set must not be set up by the system that it
is made for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.sound.audio import Audio

_FFT, _HOP, _KEEP = 400, 160, 0.9  # 25 ms, 10 ms; α of the smoothing
_BETA, _WEIGHT, _FLOOR = 5.0, 0.7, 0.2  # β, w and δ of Eq. 1
_TINY = 1e-20  # below any power of a 16-bit file; silence has a logarithm


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

    # (2, frames, samples): whole frames only, so no padding has a say in the statistics
    frames = np.lib.stride_tricks.sliding_window_view(audio, _FFT, axis=1)[:, ::_HOP]
    spectra = rfft(frames * hann(_FFT, sym=False).astype(np.float32), axis=2)
    power: NDArray[np.float32] = np.abs(spectra) ** 2  # (2, frames, bins)
    cross = np.abs(np.mean(spectra[0] * np.conj(spectra[1]), axis=0)) ** 2
    # All three means are over the clip: bounded by 1 and close to 0 for unrelated channels, as the
    # report's values of 0.004 to 0.056 are; smoothed ones are 1/19 already.
    gamma = cross / (power[0].mean(axis=0) * power[1].mean(axis=0) + _TINY)
    start = _KEEP * power[:, :1]  # the first frame as if it had always been there
    smooth, _ = lfilter([1 - _KEEP], [1, -_KEEP], power, axis=1, zi=start)
    near, far = (np.log(channel + _TINY) for channel in smooth)
    log_ratio = near - far
    # At ±60 the sigmoid is 0 or 1 for all that counts; from 89 on float32's exp overflows.
    mask = (1 - _WEIGHT * gamma) / (1 + np.exp(np.clip(-_BETA * log_ratio, -60, 60)))
    decibels = 10 / np.log(10) * log_ratio
    return {
        "ratio_db": float(decibels.mean()),
        "spread_db": float(decibels.std()),
        "mask": float(np.maximum(mask, _FLOOR).mean()),
        "floor": float(np.mean(mask <= _FLOOR)),
        # zero-lag, of the waveforms: of the readings tried, the only one with three tiers
        "lr": float(np.asarray(np.corrcoef(audio))[0, 1]),
        "gamma": float(gamma.mean()),
        "peak_db": float(20 * np.log10(np.abs(audio).max() + _TINY)),
    }
