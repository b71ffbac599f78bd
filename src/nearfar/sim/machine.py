"""What a simulated machine declares: conditions, faults, physics, and how it sounds."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError, did_you_mean
from nearfar.sim.kit import Colour, Kit, Mode, Signal, rms
from nearfar.sim.version import SIM_VERSION

LOUDNESS_DB = 2.0  # standard deviation from clip to clip, dB


@dataclass(frozen=True)
class Condition:
    """One way in which a machine is run, and which individual is run.

    Attributes:
        tail: end of the clip's file name, e.g. `spd_1`; `noAttribute` for none.
        values: physical knobs by name; the machine's module states their units.
        unit: number of the individual machine or part.

    >>> Condition("spd_1", (("shaft", 27.6),)).value("shaft")
    27.6
    """

    tail: str
    values: tuple[tuple[str, float], ...] = ()
    unit: int = 0

    def value(self, name: str) -> float:
        """The value of a knob.

        Raises:
            SettingError: no such knob.
        """
        known = dict(self.values)
        if name not in known:
            raise SettingError(f"condition {self.tail}: no {name!r}; {did_you_mean(name, known)}")
        return known[name]


@dataclass(frozen=True)
class Fault:
    """A defect: its name and what it does to the sound.

    >>> Fault("leak", "hiss while closed").name
    'leak'
    """

    name: str
    physics: str


@dataclass(frozen=True)
class Stems:
    """What a machine emits, float32 (samples,): at its body and at the point where faults sit.

    Two places, 6 cm apart: a fault changes the pattern of radiation a little, not only the sound.

    >>> hum = np.ones(4, np.float32)
    >>> bool(Stems(body=hum, point=0 * hum).point.any())
    False
    """

    body: Signal
    point: Signal


Render = Callable[[Kit, Condition, str | None, float, np.random.Generator], Stems]


@dataclass(frozen=True)
class Machine:
    """A type of machine.

    Attributes:
        name: as in the data set.
        seconds: native length of its clips.
        source: conditions of the source domain.
        target: conditions of the target domain.
        faults: what can be wrong with it.
        physics: what is modelled.
        references: public sources of the model, in our words.
        render: `(kit, condition, fault or None, severity 0–1, unit generator) -> Stems`; the
            healthy sum of both stems has an RMS of 1, give or take the clip's loudness.

    >>> from nearfar.sim.machines import MACHINES
    >>> [fault.name for fault in MACHINES["fan"].faults]
    ['unbalance', 'clogged', 'loose_screw', 'overvoltage']
    """

    name: str
    seconds: int
    source: tuple[Condition, ...]
    target: tuple[Condition, ...]
    faults: tuple[Fault, ...]
    physics: str
    references: str
    render: Render

    def fault(self, name: str) -> Fault:
        """The fault of that name.

        Raises:
            SettingError: this machine has none of that name.
        """
        known = {fault.name: fault for fault in self.faults}
        if name not in known:
            raise SettingError(f"{self.name}: no fault {name!r}; {did_you_mean(name, known)}")
        return known[name]


def unit_rng(seed: int, machine: str, unit: int) -> np.random.Generator:
    """Generator of an individual's constants: the same for all its clips, whatever the clip."""
    return np.random.default_rng([SIM_VERSION, seed, zlib.crc32(machine.encode()), unit])


def jitter(unit: np.random.Generator, count: int, spread: float = 0.02) -> list[float]:
    """`count` factors around 1 by which an individual differs from its type."""
    # ±10 % at most: beyond, it would be another type of machine.
    return [float(x) for x in np.exp(np.clip(unit.normal(0, spread, count), -0.1, 0.1))]


def own_modes(unit: np.random.Generator, modes: Sequence[Mode]) -> tuple[Mode, ...]:
    """An individual's modes: frequencies differ by about 1.5 %, decays and levels by about 5 %."""
    return tuple(
        (f * jitter(unit, 1, 0.015)[0], d * a_, a * b_)
        for f, d, a in modes
        for a_, b_ in [jitter(unit, 2, 0.05)]
    )


def own_colour(unit: np.random.Generator, colour: Colour, spread_db: float = 0.5) -> Colour:
    """An individual's noise: each corner of the type's colour moves a little."""
    return tuple((hz, db + float(unit.normal(0, spread_db))) for hz, db in colour)


def stems(kit: Kit, body: NDArray[np.floating], point: NDArray[np.floating]) -> Stems:
    """Both parts at a common gain: the sum's RMS is 1 times the clip's loudness.

    The sum, fault included, is what has RMS 1: how loud a clip is says nothing about its health,
    at the price that a loud fault turns the healthy sound down.
    """
    at_body, at_point = np.asarray(body, np.float32), np.asarray(point, np.float32)
    # 1e-9: a machine at rest stays silent
    gain = np.float32(kit.gain(LOUDNESS_DB) / max(rms(at_body + at_point), 1e-9))
    return Stems(at_body * gain, at_point * gain)


def amount(fault: str | None, name: str, severity: float) -> float:
    """The severity if `fault` is the one called `name`, else 0."""
    return severity if fault == name else 0.0
