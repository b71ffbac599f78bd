"""Toy cars on a roller stand: ToyCar and ToyCarEmu.

A brushed DC motor drives the axle through one gear stage. Heard are the motor's revolution and
its commutation (three segments, two brushes: order 6), the tooth mesh with sidebands at axle
speed, brush noise, and wheels that roll with a noise modulated by each turn of the axle.
Knob: `motor` = motor speed in Hz.
"""

from __future__ import annotations

import numpy as np

from nearfar.sim.kit import Kit, Signal, Turns, swing
from nearfar.sim.machine import (
    Condition,
    Fault,
    Machine,
    Stems,
    amount,
    jitter,
    own_colour,
    own_modes,
    stems,
)

_TEETH = 9  # of the motor's pinion: mesh at 810 Hz with a motor at 90 Hz
_RATIO = 3.5  # motor turns per axle turn
_ROLLING = ((40, -14), (200, -4), (700, 0), (2000, -4), (5000, -16), (8000, -28))  # Hz, dB
_BRUSHES = ((40, -60), (1500, -18), (3500, 0), (6000, -2), (8000, -10))
_GEAR_MODES = ((1900.0, 0.006, 1.0), (3300.0, 0.004, 0.8), (5200.0, 0.002, 0.5))
_GRIT_MODES = ((900.0, 0.010, 1.0), (2600.0, 0.003, 0.6))


def render(
    kit: Kit, condition: Condition, fault: str | None, severity: float, unit: np.random.Generator
) -> Stems:
    """One clip of a toy car; see `Machine.render`."""
    flat = amount(fault, "voltage_low", severity)
    speed, mesh, rolling = jitter(unit, 3)
    # a motor's speed follows its voltage
    hertz = condition.value("motor") * speed * kit.vary(0.012) * (1 - 0.12 * flat)
    motor = kit.turns(hertz, 0.006)
    load = np.float32(1.0) + kit.curve(0.12, 0.5)
    bent = amount(fault, "shaft_bent", severity)
    gears = mesh * kit.gain(0.8) * (1 - 0.5 * flat) * _mesh(kit, motor, bent)
    road = kit.noise(own_colour(unit, _ROLLING)) * swing(motor, 1 / _RATIO, 0.25)
    brushes = (0.30 - 0.2 * flat) * kit.gain(0.8) * kit.noise(own_colour(unit, _BRUSHES))
    broken = _faults(kit, motor, fault, severity, unit)
    axle = (1 - 0.3 * bent) * swing(motor, 1 / _RATIO, 0.6 * bent)
    body = load * (brushes + _drive(kit, motor)) + 0.5 * load * axle * gears
    return stems(kit, body, load * axle * (0.5 * gears + 0.8 * rolling * road) + broken)


def _drive(kit: Kit, motor: Turns) -> Signal:
    """Revolution and commutation of the motor."""
    return kit.tones(motor, {1: 0.20, 2: 0.12, 6: 0.35, 12: 0.16, 18: 0.10, 24: 0.05})


def _mesh(kit: Kit, motor: Turns, bent: float) -> Signal:
    """Tooth mesh with sidebands at axle speed, in orders of the axle."""
    axle = motor * (1 / _RATIO)
    teeth = round(_TEETH * _RATIO)  # 32 for 31.5: a wavetable has whole orders
    levels = {}
    for harmonic, level in enumerate((0.6, 0.4, 0.22, 0.14, 0.08), 1):
        levels[harmonic * teeth] = level
        for side, share in ((1, 0.15), (2, 0.08)):
            for sign in (-1, 1):
                levels[harmonic * teeth + sign * side] = level * (share + 0.6 * bent / side)
    return kit.tones(axle, levels)


def _faults(
    kit: Kit, motor: Turns, fault: str | None, severity: float, unit: np.random.Generator
) -> Signal:
    """Blows of a chipped tooth (once an axle turn) or of grit under a wheel (now and then)."""
    if fault == "gear_chipped":
        times = kit.passes(motor, 1 / _RATIO, 0.01)
        modes = own_modes(unit, _GEAR_MODES)
        return kit.strikes(times, 14 * severity * np.exp(kit.rng.normal(0, 0.2, len(times))), modes)
    if fault == "wheel_debris":
        times = kit.passes(motor, 1 / _RATIO, 0.15)
        hit = kit.rng.random(len(times)) < 0.4  # a wheel does not roll over it at every turn
        strengths = 15 * severity * hit * np.exp(kit.rng.normal(0, 0.5, len(times)))
        return kit.strikes(times, strengths, own_modes(unit, _GRIT_MODES))
    return np.zeros(kit.samples, np.float32)


_FAULTS = (
    Fault("shaft_bent", "the axle wobbles: mesh and rolling are modulated once a turn"),
    Fault("gear_chipped", "a missing tooth flank: one blow per axle turn, high modes"),
    Fault("wheel_debris", "grit under a wheel: blows at axle turns, many of them missing"),
    Fault("voltage_low", "a flat battery: up to 12 % slower, weaker mesh and brushes"),
)
_REFERENCES = (
    "ToyADMOS2 (toy cars at five voltages, with bent shafts, broken gears, things on tyres); "
    "textbook orders of gear mesh and commutator noise."
)
_PHYSICS = "brushed DC motor, one gear stage, rolling wheels: " + __doc__.split("\n")[0]


def _car(tail: str, motor: float, unit: int) -> Condition:
    return Condition(tail, (("motor", motor),), unit)


def _emulated(cars: str, speeds: tuple[int, ...], first: int) -> tuple[Condition, ...]:
    """Cars (two of each letter) at speeds 1 … 5, each 2.5 % faster than the one before."""
    # With cars B to D and A, 18 and 4 tails: the 22 attributes of the real training set.
    names = [f"{letter}{number}" for letter in cars for number in (1, 2)]
    return tuple(
        _car(f"car_{name}_spd_{speed}_mic_2_mic_1", 84.0 * 1.025 ** (speed - 3), first + i)
        for i, name in enumerate(names)
        for speed in speeds
    )


TOY_CAR = Machine(
    "ToyCar",
    11,
    tuple(_car("noAttribute", 90.0 * f, u) for u in range(5) for f in (0.97, 1.0, 1.03)),
    tuple(_car("noAttribute", 90.0 * f, u) for u in range(5, 8) for f in (0.985, 1.015)),
    _FAULTS,
    _PHYSICS,
    _REFERENCES,
    render,
)
TOY_CAR_EMU = Machine(
    "ToyCarEmu",
    12,
    _emulated("BCD", (2, 3, 5), 0),
    _emulated("A", (1, 4), 6),
    _FAULTS,
    _PHYSICS,
    _REFERENCES,
    render,
)
