"""fan: an axial fan with a mains-fed motor.

Seven blades chop the air (tones at orders 7, 14, 21 … of the shaft) in broadband turbulence
that fluctuates with the flow; the motor hums at twice the mains and its harmonics and leaks a
little at 1× of the shaft. Knob: `shaft` = shaft speed in Hz.
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

_BLADES = 7
_MAINS = 50.0  # Hz
_FLOW = ((30, -3), (120, 0), (400, -3), (1200, -9), (3000, -17), (8000, -32))  # Hz, dB
_STALL = ((30, -30), (150, -12), (500, 0), (1100, -2), (2500, -12), (8000, -40))
_SCREW = ((1300.0, 0.008, 0.7), (2900.0, 0.005, 1.0), (4700.0, 0.003, 0.7))


def render(
    kit: Kit, condition: Condition, fault: str | None, severity: float, unit: np.random.Generator
) -> Stems:
    """One clip of a fan; see `Machine.render`."""
    over = amount(fault, "overvoltage", severity)
    clogged = amount(fault, "clogged", severity)
    heavy = amount(fault, "unbalance", severity)
    speed, blades, humming = jitter(unit, 3)
    hertz = condition.value("shaft") * speed * kit.vary(0.01) * (1 + 0.14 * over)
    shaft = kit.turns(hertz * (1 - 0.03 * clogged), 0.004)
    flow = kit.noise(own_colour(unit, _FLOW)) * (np.float32(1) + kit.curve(0.08, 0.4))
    stall = kit.noise(own_colour(unit, _STALL)) * np.exp(kit.curve(0.4 * clogged, 0.15))
    blade = blades * kit.gain(1.0) * (1 - 0.6 * clogged) * _blades(kit, shaft, heavy)
    body = humming * _hum(kit, over) + 0.7 * swing(shaft, 1, 0.7 * heavy) * flow
    rattle = _rattle(kit, shaft, amount(fault, "loose_screw", severity), unit)
    return stems(kit, body, 0.3 * flow + blade + 0.75 * clogged * stall + rattle)


def _blades(kit: Kit, shaft: Turns, heavy: float) -> Signal:
    """Blade passing tones with sidebands of the shaft, and the shaft's own orders."""
    levels = {1: 0.08 + 0.8 * heavy, 2: 0.05 + 0.4 * heavy, 3: 0.03 + 0.2 * heavy}
    for harmonic, level in enumerate((0.45, 0.28, 0.16, 0.10, 0.06, 0.04), 1):
        levels[harmonic * _BLADES] = level
        for side in (-1, 1):
            # no fan is balanced: even a healthy one has sidebands
            levels[harmonic * _BLADES + side] = level * (0.08 + 0.7 * heavy)
    return kit.tones(shaft, levels)


def _hum(kit: Kit, over: float) -> Signal:
    """Hum at twice the mains; an overfed core saturates, which strengthens high harmonics."""
    mains = kit.turns(2 * _MAINS, 0.0003)  # iron pulls twice a period; the grid hardly wanders
    levels = {1: 0.25, 2: 0.12, 3: 0.06, 4: 0.03, 6: 0.015}
    hum = {k: level * kit.gain(1.0) for k, level in levels.items()}
    for k in (5, 7, 8, 9, 11, 13):
        hum[k] = 0.01 + 0.35 * over / k**0.5
    return kit.tones(mains, hum)


def _rattle(kit: Kit, shaft: Turns, severity: float, unit: np.random.Generator) -> Signal:
    """A loose screw: blows near once a turn, in spells."""
    if severity == 0:
        return np.zeros(kit.samples, np.float32)
    times = kit.passes(shaft, 1.0, 0.12)  # far from regular: a screw has play
    knots = np.arange(0, kit.seconds + 1, 0.5)
    spells = np.interp(times, knots, kit.rng.random(len(knots)))
    return kit.strikes(times, 11 * severity * spells, own_modes(unit, _SCREW))


def _run(speed: int, shaft: float, unit: int) -> Condition:
    return Condition(f"spd_{speed}", (("shaft", shaft),), unit)


_SPEEDS = ((1, 27.6), (2, 29.0), (3, 30.5))  # Hz

FAN = Machine(
    "fan",
    10,
    tuple(_run(name, shaft, unit) for unit in range(5) for name, shaft in _SPEEDS),
    # The names are the same, the fans are others and 1 % faster: a shift that no name tells.
    tuple(_run(name, shaft * 1.01, unit) for unit in range(5, 8) for name, shaft in _SPEEDS),
    (
        Fault("unbalance", "mass on one blade: 1× tone, blade tones and flow modulated at it"),
        Fault("clogged", "blocked inlet: stall noise in surges, weak blade tones, a little slower"),
        Fault("loose_screw", "blows near once a turn, in spells"),
        Fault("overvoltage", "up to 14 % faster, saturated core: high hum harmonics"),
    ),
    "axial fan: blade passing tones, turbulence, mains hum",
    "MIMII and MIMII DUE (industrial fans, unbalance, clogging, voltage change); textbook "
    "blade passing and turbulence noise of axial fans.",
    render,
)
