"""How the near and the far channel of a clip relate: two numbers, defined once."""

from __future__ import annotations

import math

import numpy as np

from nearfar.sound.audio import Audio

DC_SHARE = 0.01  # of a channel's power, up to which its mean may be subtracted afterwards


def relate(audio: Audio) -> tuple[float, float]:
    """Correlation and level ratio of a clip's channels.

    LR_corr, the correlation, is mostly a statement about low frequencies, where the energy is: a
    building's rumble reaches both microphones in phase.

    Args:
        audio: (2, samples) float32.

    Returns:
        Zero-lag Pearson correlation of the two waveforms, −1 to 1 (0 if a channel is constant),
        and the level of near over far in dB, means removed (nan if a channel is constant).

    Source:
        The report (§2.3) names LR correlation; of its readings this one gives the three tiers.
    """
    (near, *of_near), (far, *of_far) = (_sums(channel) for channel in audio)
    n = near.size
    powers, means = zip(of_near, of_far, strict=True)
    # What is left of the mean is small: subtracting it from the sums loses no digits.
    # Σ(x − m)² = Σx² − n m²: no second copy of a channel.
    near_power, far_power = (p - n * m * m for p, m in zip(powers, means, strict=True))
    if not (near_power > 0 and far_power > 0):
        return 0.0, float("nan")
    product = float(np.dot(near, far)) - n * means[0] * means[1]
    return product / math.sqrt(near_power * far_power), 10.0 * math.log10(near_power / far_power)


def _sums(channel: Audio) -> tuple[Audio, float, float]:
    """The channel, its sum of squares and its mean; centred, if the mean is no small part of it."""
    power, mean = float(np.dot(channel, channel)), float(channel.mean())
    if channel.size * mean * mean <= DC_SHARE * power:
        return channel, power, mean
    centred: Audio = channel - np.float32(mean)
    return centred, float(np.dot(centred, centred)), float(centred.mean())
