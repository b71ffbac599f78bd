"""The room between the machine and the two microphones: responses, fields, microphones.

A shoebox room by image sources (Allen and Berkley, JASA 65, 1979), a diffuse field whose
magnitude-squared coherence between two microphones d apart is sinc²(2fd/c) (Cook et al., JASA 27,
1955), building rumble in phase at both, and a smooth difference of the microphones' responses.
All spectra are those of `scipy.fft.rfft` at one size; a spectrum of unit mean square power per
sample is the unit of level throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from nearfar.sim.version import SIM_VERSION
from nearfar.sound.audio import SAMPLE_RATE

Spectrum = NDArray[np.complex64]
Curve = NDArray[np.float32]

SOUND = 343.0  # m/s
TAPS = 3200  # samples, 0.2 s: the tail beyond is below the noise of every scene
OVERSAMPLING = 4  # images are placed on a finer grid, then band-limited: no comb from rounding
PLACES = 6  # 0 body, 1 fault point, then hall, plant, and the vehicle's two positions
BODY, POINT, HALL, PLANT, ROAD_IN, ROAD_OUT = range(PLACES)
POINT_OFFSET = 0.06  # m between the machine's body and the place of its fault
_SIZE = (11.0, 8.5, 4.2)  # m, give or take 15 % by seed: a workshop; our assumption


@dataclass(frozen=True)
class Geometry:
    """What of a scene shapes the room responses. Metres and seconds.

    >>> here = Geometry(near_m=0.35, far_m=3.2, rt60=0.45)
    >>> responses(0, "fan", here).shape  # microphones, places, samples
    (2, 6, 3200)
    """

    near_m: float
    far_m: float
    rt60: float  # until the sound has fallen by 60 dB


def room_rng(seed: int, machine: str, what: str) -> np.random.Generator:
    """The stream of one property of a machine's room; clips never draw from it."""
    return np.random.default_rng([SIM_VERSION, seed, crc32(machine.encode()), crc32(what.encode())])


@lru_cache(maxsize=16)
def responses(seed: int, machine: str, geometry: Geometry) -> Curve:
    """Impulse responses from every place to both microphones.

    Returns:
        float32 (2 microphones, PLACES, TAPS). Machine places are scaled by the near energy of the
        body's response, every other place by its own: level knobs then hold at the near
        microphone, and the far one keeps the room's ratio.
    """
    rng = room_rng(seed, machine, "room")
    size = np.array(_SIZE) * rng.uniform(0.85, 1.15, 3)
    places, mics = _positions(rng, size, geometry)
    absorption = 1.0 - np.exp(-_eyring(size) / geometry.rt60)
    wall = float(np.sqrt(1.0 - min(absorption, 0.95)))  # of the pressure; α is of the power
    scatter = rng.integers(2**31, size=(2, PLACES))
    scatter[:, POINT] = scatter[:, BODY]  # 6 cm apart: the same walls scatter the same way
    out = np.empty((2, PLACES, TAPS), np.float32)
    for m, p in np.ndindex(2, PLACES):
        out[m, p] = _images(places[p], mics[m], size, wall, np.random.default_rng(scatter[m, p]))
    energy = np.sum(out[0].astype(float) ** 2, axis=1)
    energy[POINT] = energy[BODY]  # one gain for both: a fault keeps its level against the body
    scaled: Curve = (out / np.sqrt(energy)[None, :, None]).astype(np.float32)
    return scaled


def _eyring(size: NDArray[np.float64]) -> float:
    """−ln(1−α) times the reverberation time, for a room of this size (Eyring's formula)."""
    area = 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    return float(0.161 * np.prod(size) / area)  # 24 ln 10 / c, s/m


def _positions(
    rng: np.random.Generator, size: NDArray[np.float64], geometry: Geometry
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places (PLACES, 3) and microphones (2, 3): machine left of the middle, hall around it."""
    # Off the planes of symmetry, where modes have their nodes; some 1.1 m above the floor.
    body = size * np.array([0.35, 0.45, 0.27]) + rng.uniform(-0.2, 0.2, 3)
    angles = rng.uniform(-0.5, 0.5, PLACES)
    near = body + geometry.near_m * _towards(angles[0], 0.3)
    far = body + geometry.far_m * _towards(angles[1], 0.15)
    point = body + POINT_OFFSET * _towards(rng.uniform(-np.pi, np.pi), 0.2)
    others = [
        body + rng.uniform(2.2, 3.4) * _towards(np.pi * turn + 0.5 * angle, 0.1)
        for turn, angle in zip((0.55, -0.6, 0.8, -0.35), angles[2:], strict=True)
    ]
    # Nothing stands in a wall, nor so near to one that its image is as loud as itself.
    places = np.clip(np.array([body, point, *others]), 0.3, size - 0.3)
    return places, np.clip(np.array([near, far]), 0.3, size - 0.3)


def _towards(azimuth: float, rise: float) -> NDArray[np.float64]:
    """Unit vector, (3,); `rise` is the sine of the elevation."""
    flat = np.sqrt(1 - rise**2)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), rise])


def _images(
    source: NDArray[np.float64],
    mic: NDArray[np.float64],
    size: NDArray[np.float64],
    wall: float,
    rng: np.random.Generator,
) -> Curve:
    """One impulse response, (TAPS,): every image that arrives in time."""
    from scipy.fft import irfft, rfft

    offsets, orders = zip(
        *(_axis(s, m, width) for s, m, width in zip(source, mic, size, strict=True)), strict=True
    )
    order = orders[0][:, None, None] + orders[1][:, None] + orders[2]
    square = offsets[0][:, None, None] ** 2 + offsets[1][:, None] ** 2 + offsets[2] ** 2
    distance = np.sqrt(square)  # (x images, y images, z images), m
    # real walls are no mirrors: late images arrive a little off and with either sign,
    # without which a shoebox rings and its bass piles up
    jitter = 1 + 0.01 * rng.standard_normal(order.shape) * (order > 1)
    sign = np.where(order > 3, rng.choice((-1.0, 1.0), order.shape), 1.0)
    slot = np.rint(distance * jitter / SOUND * SAMPLE_RATE * OVERSAMPLING).astype(int)
    inside = slot < TAPS * OVERSAMPLING
    weight = (sign * wall**order / np.maximum(distance, 0.1))[inside]  # 1/r, no singularity
    fine = np.bincount(slot[inside], weight, TAPS * OVERSAMPLING)
    band = rfft(fine)[: TAPS // 2 + 1]  # below our own Nyquist; the fine grid's rest is cut off
    short: Curve = irfft(band, TAPS).astype(np.float32)
    return short


def _axis(source: float, mic: float, width: float) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Along one axis: every image's offset from the microphone and its number of reflections."""
    reach = int(np.ceil(TAPS / SAMPLE_RATE * SOUND / (2 * width))) + 1
    n, q = (g.ravel() for g in np.meshgrid(np.arange(-reach, reach + 1), (0, 1)))
    return (1 - 2 * q) * source + 2 * n * width - mic, np.abs(n - q) + np.abs(n)


@lru_cache(maxsize=8)
def transfer(seed: int, machine: str, geometry: Geometry, size: int) -> Spectrum:
    """Spectra of `responses` at FFT size `size`: complex64 (2, PLACES, size // 2 + 1).

    A second-order high-pass at 20 Hz is in them: no machine moves the air of a hall below.
    """
    from scipy.fft import rfft

    f = frequencies(size)
    passed = f**2 / (f**2 + 20.0**2)
    out: Spectrum = (rfft(responses(seed, machine, geometry), size) * passed).astype(np.complex64)
    return out


@lru_cache(maxsize=8)
def frequencies(size: int) -> Curve:
    """Frequencies of the bins of an FFT of `size` samples, Hz: float32 (size // 2 + 1,)."""
    return np.fft.rfftfreq(size, 1 / SAMPLE_RATE).astype(np.float32)


@lru_cache(maxsize=16)
def mic_difference(seed: int, machine: str, sd_db: float, size: int) -> Curve:
    """Magnitude of the far microphone's response over the near one's, (size // 2 + 1,).

    Smooth in log frequency, standard deviation `sd_db` over 300 Hz to Nyquist, zero mean in dB
    there, and flat below 300 Hz, where two microphones of one kind agree.
    """
    rng = room_rng(seed, machine, "microphones")
    octaves = np.log2(np.maximum(frequencies(size), 300.0) / 300.0)
    span = np.log2(SAMPLE_RATE / 2 / 300.0)
    waves = np.arange(1, 6)[:, None]  # half waves over the span: none is finer than 0.9 octaves
    phases = rng.uniform(0, 2 * np.pi, 5)[:, None]
    curve = np.sum(np.cos(np.pi * waves * octaves / span + phases) / np.sqrt(waves), axis=0)
    upper = octaves > 0
    # Fades in over half an octave: rumble, far below, must stay in phase and equal (LR_corr).
    curve = (curve - curve[upper].mean()) * np.minimum(octaves / 0.5, 1.0)
    spread = float(np.sqrt(np.mean(curve[upper] ** 2)))
    out: Curve = (10 ** (sd_db / 20 * curve / spread)).astype(np.float32)
    return out


def gaussian(rng: np.random.Generator, size: int) -> Spectrum:
    """The spectrum of `size` samples of periodic white noise of RMS 1: (size // 2 + 1,)."""
    bins = size // 2 + 1
    z: Spectrum = rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64)
    z *= np.float32(np.sqrt(size / 2))  # E|z|² = size: Parseval gives an RMS of 1
    return z


@lru_cache(maxsize=16)
def field_mixing(spacing: float, size: int) -> tuple[Curve, Curve]:
    """How a second microphone's diffuse noise is made of the first's and of a fresh one."""
    shared = np.sinc(2 * frequencies(size) * spacing / SOUND)  # numpy's sinc has the π in it
    # 1 − shared²: the second microphone has the first's power at every frequency.
    return shared.astype(np.float32), np.sqrt(1 - shared**2).astype(np.float32)


def diffuse_pair(rng: np.random.Generator, spacing: float, size: int) -> tuple[Spectrum, Spectrum]:
    """White diffuse field of RMS 1 at two microphones `spacing` metres apart.

    Returns:
        two complex64 spectra (size // 2 + 1,), coherence sinc²(2 f spacing / c).
    """
    shared, fresh = field_mixing(spacing, size)
    first, second = gaussian(rng, size), gaussian(rng, size)
    return first, shared * first + fresh * second


def rumble(rng: np.random.Generator, size: int) -> Spectrum:
    """Building rumble of RMS 1, the same at both microphones: 20 to 110 Hz, nothing above 200.

    Returns:
        complex64, only the lowest bins (those below 200 Hz); the rest is zero.
    """
    f = frequencies(size)[: int(200 * size / SAMPLE_RATE)]
    centre = rng.uniform(45.0, 65.0)
    # A bell of 0.45 octaves. In phase at both microphones it raises LR_corr and,
    # in a few of 201 bins, hardly the mean coherence: the fan's 0.86 beside γ ≤ 0.056.
    shape = np.exp(-0.5 * (np.log2(np.maximum(f, 1.0) / centre) / 0.45) ** 2)
    z = rng.standard_normal(2 * f.size, dtype=np.float32).view(np.complex64)
    power = 2 * np.sum(shape**2) * 2 / size**2  # E|z|² = 2, and each bin stands for ±f
    out: Spectrum = (z * shape / np.sqrt(power)).astype(np.complex64)
    return out
