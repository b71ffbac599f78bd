"""Synthesis kit: the few sounds that all simulated machines are made of.

Tones are wavetables read along a phase curve (one look-up however many partials), noise is
drawn on the FFT grid (one inverse FFT), strikes are an impulse train convolved with damped modes.
Everything a `Kit` draws comes from its generator, in the order of the calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfar.sound.audio import SAMPLE_RATE

Signal = NDArray[np.float32]
Turns = NDArray[np.float64]
Colour = Sequence[tuple[float, float]]  # (Hz, dB) corners, straight lines over log frequency
Mode = tuple[float, float, float]  # (Hz, decay time to 1/e in s, amplitude)

_TABLE = 8192  # points per turn: a look-up without interpolation stays 60 dB below the tone
_LOWEST = 20.0  # Hz; noise below is inaudible and would only move the level


class Kit:
    """The means to synthesise one clip.

    >>> kit = Kit(16_000, np.random.default_rng(0))
    >>> shaft = kit.turns(25.0)  # revolutions of a shaft at 25 Hz
    >>> hum = kit.tones(shaft, {1: 0.5, 2: 0.2}) + kit.noise([(20, 0), (8000, -20)])
    >>> hum.shape, hum.dtype
    ((16000,), dtype('float32'))

    Args:
        samples: length of the clip.
        rng: source of all its randomness.
        rate: sample rate in Hz.
    """

    def __init__(self, samples: int, rng: np.random.Generator, rate: int = SAMPLE_RATE) -> None:
        self.samples = samples
        self.rng = rng
        self.rate = rate
        self.seconds = samples / rate

    def vary(self, spread: float) -> float:
        """A factor around 1 for this clip, log-normal with the relative `spread`."""
        return float(np.exp(self.rng.normal(0.0, spread)))

    def gain(self, spread_db: float) -> float:
        """An amplitude factor, normal in dB with deviation `spread_db`, cut at 2.5 of it."""
        return float(10 ** (spread_db * np.clip(self.rng.normal(), -2.5, 2.5) / 20))

    def curve(self, spread: float, seconds: float = 1.0) -> Signal:
        """A slow random curve around 0, (samples,): knots of deviation `spread` every `seconds`."""
        knots = int(np.ceil(self.seconds / seconds)) + 2
        heights = self.rng.normal(0.0, spread, knots)
        at = np.arange(self.samples) / (seconds * self.rate)
        return np.interp(at, np.arange(knots), heights).astype(np.float32)

    def turns(self, hertz: float, wander: float = 0.004) -> Turns:
        """Revolutions done so far, (samples,), of a shaft at `hertz` whose speed wanders."""
        # −0.5: however it wanders, a shaft never stands still or turns back. It starts anywhere.
        steps = (hertz / self.rate) * (1.0 + np.maximum(self.curve(wander), -0.5).astype(float))
        return np.cumsum(steps) + self.rng.random()

    def tones(self, turns: Turns, levels: Mapping[int, float]) -> Signal:
        """Partials at whole orders of a shaft, (samples,); random phases, none above Nyquist.

        `levels` maps an order to its amplitude.
        """
        hertz = (turns[-1] - turns[0]) / self.seconds
        spectrum = np.zeros(_TABLE // 2 + 1, np.complex128)
        for order, level in levels.items():
            phase = self.rng.random()  # drawn in any case: the draws that follow stay the same
            if order * hertz < 0.49 * self.rate:  # above Nyquist it would fold back
                spectrum[order] += 0.5 * _TABLE * level * np.exp(2j * np.pi * phase)
        table = np.fft.irfft(spectrum, _TABLE).astype(np.float32)
        # _TABLE is a power of two: the mask is the remainder of a whole turn.
        read: Signal = table[(turns * _TABLE).astype(np.int64) & (_TABLE - 1)]
        return read

    def noise(self, colour: Colour, vary_db: float = 0.7) -> Signal:
        """Stationary noise of RMS 1, (samples,); each corner moves by `vary_db` dB per clip."""
        from scipy import fft

        bins = self.samples // 2 + 1
        shape = self._shape(colour, vary_db, bins)
        draws = self.rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64)
        # By the shape, not by what was drawn: the RMS is 1 on average, as a clip's level may vary.
        scale = self.samples / (2.0 * np.sqrt(np.sum(shape.astype(float) ** 2)))
        noise: Signal = fft.irfft(draws * (shape * np.float32(scale)), self.samples)
        return noise

    def _shape(self, colour: Colour, vary_db: float, bins: int) -> Signal:
        """Amplitude per FFT bin of a colour."""
        corners, levels = np.array(colour, float).T
        levels = levels + self.rng.normal(0.0, vary_db, len(levels))
        grid = np.geomspace(_LOWEST, self.rate / 2, 256)  # 30 an octave; a logarithm a bin is slow
        coarse = 10 ** (np.interp(np.log(grid), np.log(corners), levels) / 20)
        at = np.arange(bins) * (0.5 * self.rate / (bins - 1))
        shape: Signal = np.interp(at, grid, coarse, left=0.0).astype(np.float32)
        return shape

    def passes(self, turns: Turns, per_turn: float, slip: float = 0.0) -> NDArray[np.float64]:
        """Times in s at which something that happens `per_turn` times a turn happens.

        `slip` is the random deviation of each time, relative to the period.
        """
        count = turns * per_turn
        at = np.arange(np.ceil(count[0]), count[-1])
        times = np.interp(at, count, np.arange(self.samples) / self.rate)
        period = self.seconds / max(count[-1] - count[0], 1.0)
        return times + self.rng.normal(0.0, slip * period, len(times))

    def strikes(self, times: ArrayLike, strengths: ArrayLike, modes: Sequence[Mode]) -> Signal:
        """Blows at `times` (s) that ring in damped modes, (samples,).

        A blow of strength 1 has energy 1. What rings past the end is heard at the beginning, as
        in a clip cut from a longer recording.
        """
        from scipy import fft

        train = np.zeros(self.samples, np.float32)
        at = np.atleast_1d(np.asarray(times, float) * self.rate).astype(np.int64) % self.samples
        # add.at: two blows within one sample are both heard
        np.add.at(train, at, np.broadcast_to(np.asarray(strengths, np.float32), at.shape))
        longest = max(decay for _, decay, _ in modes)
        # 7 decay times: 61 dB down, below the noise of any scene.
        t = np.arange(min(self.samples, int(7 * longest * self.rate) + 1)) / self.rate
        ring = sum(a * np.exp(-t / d) * np.sin(2 * np.pi * f * t) for f, d, a in modes)
        ring = np.asarray(ring / np.sqrt(np.sum(np.square(ring))), np.float32)
        spectrum = fft.rfft(train) * fft.rfft(ring, self.samples)
        rung: Signal = fft.irfft(spectrum, self.samples)
        return rung


def rms(signal: Signal) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.vdot(signal, signal) / max(len(signal), 1)))


def swing(turns: Turns, order: float, depth: float, phase: float = 0.0) -> Signal:
    """An amplitude modulation 1 + depth · cos at an order of a shaft, (samples,)."""
    angle = (2 * np.pi * ((turns * order + phase) % 1.0)).astype(np.float32)
    return np.float32(1.0) + np.float32(depth) * np.cos(angle)
