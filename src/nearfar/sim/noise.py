"""Factory noise: what else sounds in the hall while a machine is recorded.

Every clip has the hall's diffuse background and a steady line of machines; most have one kind of
event besides. A steady kind is drawn as a spectrum at once. A kind with a course in time is white
noise times an envelope (1 ms steps), coloured afterwards: one FFT, never two. Kinds and their
ranges are our assumptions, chosen to sound like the factory noise that the MIMII recordings
describe; the real set's mixture is not published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nearfar.sim.acoustics import PLANT, ROAD_IN, ROAD_OUT, Curve, Spectrum, frequencies
from nearfar.sound.audio import SAMPLE_RATE

Envelope = NDArray[np.float32]  # (steps,) amplitude every millisecond
Course = Callable[[np.random.Generator, int], tuple[Envelope, ...]]

STEP = SAMPLE_RATE // 1000  # samples per envelope value
EVENT_SHARE = 0.5  # of the point-source noise power, where a clip has an event kind; assumed


@dataclass(frozen=True)
class Colour:
    """Noise band: corner frequencies in Hz and slope in dB per octave between them.

    >>> pink = Colour(low_hz=50.0, high_hz=6000.0, slope=-3.0)
    >>> shape(pink, 0.0, 1024).shape  # the bins of an FFT of 1024
    (513,)
    """

    low_hz: float
    high_hz: float
    slope: float


@dataclass(frozen=True)
class Kind:
    """One kind of noise: its colour, its course in time (None: steady), where it stands.

    >>> KINDS["hall"].course is None
    True
    >>> len(KINDS["vehicle"].places)  # it comes in and goes out
    2
    """

    name: str
    colour: Colour
    course: Course | None
    places: tuple[int, ...]


def _compressor(rng: np.random.Generator, steps: int) -> tuple[Envelope, ...]:
    """On and off for seconds, pulsating with its pistons while on."""
    on, at = np.zeros(steps, np.float32), -int(rng.integers(0, 3000))  # ms; already running
    while at < steps:
        length = int(rng.integers(2500, 7000))
        on[max(at, 0) : max(at + length, 0)] = 1.0
        at += length + int(rng.integers(800, 2500))
    t = np.arange(steps) / 1000.0
    pulse = 1 + 0.4 * np.sin(2 * np.pi * rng.uniform(8, 14) * t + rng.uniform(0, 2 * np.pi))
    # 0.02 = 1 − 0.98: rises to 1 with 50 ms; 0.1 is heard while it rests, so no clip lacks it.
    return ((0.1 + _decay(on * 0.02, 0.98) * pulse).astype(np.float32),)


def _conveyor(rng: np.random.Generator, steps: int) -> tuple[Envelope, ...]:
    """Rattle of rollers: strikes at an irregular beat, each a few hundredths of a second."""
    strikes = np.zeros(steps, np.float32)
    # 4 to 9 strikes a second, ±40 %; a gap is never under 66 ms, so these gaps fill any clip.
    gaps = 1000 / rng.uniform(4.0, 9.0) * rng.uniform(0.6, 1.4, size=10 + steps // 60)
    at = np.cumsum(gaps).astype(int)
    at = at[at < steps]
    strikes[at] = rng.uniform(0.4, 1.0, at.size)
    return (0.12 + _decay(strikes, float(np.exp(-1 / rng.uniform(20, 45)))),)  # ms to 1/e


def _air_gun(rng: np.random.Generator, steps: int) -> tuple[Envelope, ...]:
    """Blows of compressed air, some tenths of a second each."""
    valve = np.zeros(steps, np.float32)
    for _ in range(max(1, round(steps / 1000 * rng.uniform(0.25, 0.5)))):
        at = int(rng.integers(0, steps))
        valve[at : at + int(rng.integers(250, 900))] = 1.0
    return (0.1 + _decay(valve * 0.05, 0.95),)


def _vehicle(rng: np.random.Generator, steps: int) -> tuple[Envelope, ...]:
    """A fork-lift truck goes by: swells, moves from one place to the other, fades."""
    t = np.arange(steps) / steps  # shares of the clip: it passes within every one
    passing = (t - rng.uniform(0.25, 0.75)) / rng.uniform(0.15, 0.3)
    swell = 0.15 + np.exp(-0.5 * passing**2)
    along = 0.5 + 0.5 * np.tanh(1.5 * passing)
    return (
        (swell * np.sqrt(1 - along)).astype(np.float32),
        (swell * np.sqrt(along)).astype(np.float32),
    )


def _decay(x: Envelope, keep: float) -> Envelope:
    """y[i] = x[i] + keep · y[i−1]."""
    from scipy.signal import lfilter

    y: Envelope = lfilter([1.0], [1.0, -keep], x).astype(np.float32)
    return y


HALL_COLOUR = Colour(80.0, 5000.0, -3.0)
BACKGROUND_COLOUR = Colour(60.0, 4000.0, -3.0)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("hall", HALL_COLOUR, None, (PLANT,)),
        Kind("compressor", Colour(70.0, 2500.0, -4.0), _compressor, (PLANT,)),
        Kind("conveyor", Colour(500.0, 5000.0, -1.5), _conveyor, (PLANT,)),
        Kind("air gun", Colour(1200.0, 7000.0, 0.0), _air_gun, (PLANT,)),
        Kind("vehicle", Colour(50.0, 1500.0, -4.0), _vehicle, (ROAD_IN, ROAD_OUT)),
    )
}

# How often each kind occurs; the target domain has the same kinds, in other proportions: kinds
# of its own would tell the domain by the noise alone.
SOURCE_MIX = {"hall": 0.35, "compressor": 0.25, "conveyor": 0.20, "air gun": 0.10, "vehicle": 0.10}
TARGET_MIX = {"hall": 0.25, "compressor": 0.15, "conveyor": 0.25, "air gun": 0.15, "vehicle": 0.20}


def draw_kind(rng: np.random.Generator, target_weight: float) -> Kind:
    """A kind of noise, from the source mix moved towards the target mix by `target_weight`."""
    weights = [
        (1 - target_weight) * SOURCE_MIX[name] + target_weight * TARGET_MIX[name] for name in KINDS
    ]
    return KINDS[str(rng.choice(list(KINDS), p=np.array(weights) / sum(weights)))]


@lru_cache(maxsize=8)
def _log_frequencies(size: int) -> Curve:
    """Octaves from 1 kHz, where slopes turn; as at 10 Hz below, lest 0 Hz be infinite."""
    return np.log2(np.maximum(frequencies(size), 10.0) / 1000.0).astype(np.float32)


@lru_cache(maxsize=32)
def _band(colour: Colour, size: int) -> Curve:
    f = np.maximum(frequencies(size).astype(float), 10.0)
    edges = 1 / (1 + (colour.low_hz / f) ** 2) / np.sqrt(1 + (f / colour.high_hz) ** 2)
    out: Curve = (edges * 10 ** (colour.slope / 20 * _log_frequencies(size))).astype(np.float32)
    return out


def shape(colour: Colour, tilt: float, size: int) -> Curve:
    """Magnitude over the bins of an FFT of `size`, of unit mean square.

    Args:
        colour: band and slope.
        tilt: this clip's own addition to the slope, dB per octave.
        size: FFT size in samples.
    """
    turn = np.exp(np.float32(tilt * np.log(10) / 20) * _log_frequencies(size))
    curve: Curve = _band(colour, size) * turn
    curve /= np.sqrt(np.dot(curve, curve) / curve.size)  # white noise keeps its RMS of 1
    return curve


def events(rng: np.random.Generator, kind: Kind, samples: int, size: int) -> list[Spectrum]:
    """White noise under the kind's envelopes, one spectrum per place, total RMS 1 over the clip.

    Raises:
        ValueError: the kind is steady; it has no course to follow.
    """
    from scipy.fft import rfft

    if kind.course is None:
        raise ValueError(f"noise kind {kind.name!r} is steady; draw its spectrum with `gaussian`")
    steps = -(-samples // STEP)  # rounded up: the last millisecond may be cut short
    courses = kind.course(rng, steps)
    level = np.sqrt(sum(float(np.mean(c * c)) for c in courses))
    white = rng.standard_normal(steps * STEP, dtype=np.float32).reshape(steps, STEP)
    return [
        rfft((white * (c / np.float32(level))[:, None]).ravel()[:samples], size) for c in courses
    ]
