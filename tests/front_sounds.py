"""Noise in two channels: unrelated, or partly coherent."""

import numpy as np

RATE = 16_000


def white(seconds=4.0, seed=0, channels=2):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((channels, round(seconds * RATE)))).astype(np.float32)


def half_common(seconds=2.0, seed=0):
    """Coloured, pulsing, partly coherent: every part of the mask matters."""
    x, y, z = white(seconds, seed, 3)
    pulse = (1 + 0.9 * np.sin(np.arange(len(x)) / 3_000)).astype(np.float32)
    return np.stack([x * pulse + y, 0.7 * (x + np.roll(x, 1)) + 0.6 * z])
