"""Sounds that the tests of the features share, and what one standard deviation of a feature is."""

from __future__ import annotations

import numpy as np

import reference_dif
from nearfar.embedder.dif import CANDIDATES, DIF

RATE = 16_000
INDEX = {name: i for i, name in enumerate(CANDIDATES)}
EVERYTHING = DIF(names=CANDIDATES)


def noise(seconds=2.0, channels=2, seed=0):
    samples = round(seconds * RATE)
    return 0.05 * np.random.default_rng(seed).standard_normal((channels, samples))


def pair(near, far):
    return np.stack([near, far]).astype(np.float32)


def tone(hz, seconds=2.0, phase=0.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE + phase)


def clicks(seconds=2.0, at=(1_000, 9_000, 20_000)):
    x = np.zeros(round(seconds * RATE))
    x[list(at)] = 0.9
    return x


def brown(seed=5):
    x = np.cumsum(noise(seed=seed), axis=1)
    x -= x.mean(axis=1, keepdims=True)
    return 0.05 * x / x.std()


def gated(seed=6):
    x = noise(seed=seed)
    x[:, 10_000:22_000] = 0
    return x


N0, N1 = noise()
SOUNDS = {
    "noise": pair(N0, N1),
    "correlated noise": pair(N0, 0.2 * N0 + 0.1 * N1),
    "brown noise": brown().astype(np.float32),
    "tone": pair(0.5 * tone(1010), 0.1 * tone(1010, phase=0.3)),
    "tones in noise": pair(0.5 * tone(3010) + 0.02 * N0, 0.1 * tone(1010) + 0.02 * N1),
    "clicks in noise": pair(clicks() + 0.2 * N0, 0.3 * np.roll(clicks(), 40) + 0.2 * N1),
    "clicks": pair(clicks(), 0.3 * np.roll(clicks(), 40)),
    "click on an offset": pair(0.3 + clicks(), -0.2 + 0.1 * clicks()),
    "digital zeros": gated().astype(np.float32),
    "clipped": np.clip(40 * noise(), -1, 1).astype(np.float32),
    "very quiet": (2e-5 * noise()).astype(np.float32),
    "very unequal": pair(N0, 1e-3 * N1),
    "far above near": pair(1e-3 * N0, N1),
    "identical": pair(N0, N0),
    "opposite": pair(N0, -N0),
    "delayed": pair(N0, 0.5 * np.roll(N0, 16)),
    "one second": noise(1.0).astype(np.float32),
    "odd length": noise(1.37).astype(np.float32)[:, :-1],
    "far constant but for one sample": pair(N0, 0.25 + 0.5 * clicks(at=(777,))),
}
# Made so that float32 cannot know better: a spectrum that is equal everywhere has no largest bin,
# and 0.3 plus silence has lost in rounding what the features look at.
LOOSE = {"clicks": {"dominant_frequency"}, "click on an offset": set(CANDIDATES)}


def spread():
    """What one standard deviation of a feature is, over sounds that a machine could make."""
    natural = ("noise", "correlated noise", "brown noise", "tones in noise", "clicks in noise",
               "digital zeros", "very unequal", "delayed")  # fmt: skip
    rows = [reference_dif.names_and_values(SOUNDS[name]) for name in natural]
    return np.array([[row[name] for name in CANDIDATES] for row in rows]).std(axis=0)


SPREAD = spread()
