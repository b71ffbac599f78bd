"""One simulated machine alone, as long as its lines need, and where those lines stand."""

import numpy as np

from nearfar.sim.kit import Kit
from nearfar.sim.machine import unit_rng
from nearfar.sim.machines import MACHINES

RATE = 16_000


def sound(name, fault=None, severity=0.0, seconds=10, clip=0):
    """Both stems together, (samples,), of the machine's first condition."""
    machine = MACHINES[name]
    unit = unit_rng(0, name, machine.source[0].unit)
    kit = Kit(seconds * RATE, np.random.default_rng([7, clip]), RATE)
    stems = machine.render(kit, machine.source[0], fault, severity, unit)
    return stems.body.astype(float) + stems.point


def above(signal, hertz):
    """What of it lies above a frequency."""
    spectrum = np.fft.rfft(signal)
    spectrum[: round(hertz * len(signal) / RATE)] = 0
    return np.fft.irfft(spectrum, len(signal))


def envelope(signal, hertz=800.0):
    """The power above a frequency over time, without its mean: repeated blows are lines in it."""
    power = above(signal, hertz) ** 2
    return power - power.mean()


def line(signal, low, high):
    """The strongest line between two frequencies: (Hz, over the median there)."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    first, last = (round(f * len(signal) / RATE) for f in (low, high))
    part = spectrum[first:last]
    at = int(np.argmax(part))
    return (first + at) * RATE / len(signal), part[at] / np.median(part)
