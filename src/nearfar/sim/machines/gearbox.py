"""gearboxEmu: a motor with a one-stage spur gearbox that moves a load.

Tooth mesh harmonics with sidebands of both shafts, a motor tone, and rolling noise; the load
sets how strong the mesh is against the motor. Knobs: `input` = input shaft speed in Hz,
`load` = load relative to the rated one.
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

_TEETH = 23  # of the input gear: mesh at 23 orders of it, 575 Hz at 25 Hz
_RATIO = 2.0  # input turns per output turn
_NOISE = ((40, -8), (200, 0), (600, -3), (1500, -6), (3500, -14), (8000, -30))  # Hz, dB
_WORN = ((40, -60), (800, -12), (2200, 0), (4500, -4), (8000, -16))
_MODES = ((1400.0, 0.007, 1.0), (2500.0, 0.004, 0.9), (4300.0, 0.002, 0.5))


def render(
    kit: Kit, condition: Condition, fault: str | None, severity: float, unit: np.random.Generator
) -> Stems:
    """One clip of a gearbox; see `Machine.render`."""
    over = amount(fault, "overload", severity)
    worn = amount(fault, "wear", severity)
    speed, mesh, motor = jitter(unit, 3)
    hertz = condition.value("input") * speed * kit.vary(0.012) * (1 - 0.08 * over)
    shaft = kit.turns(hertz, 0.004)
    skew = amount(fault, "misalignment", severity)
    load = condition.value("load") * (1 + 0.5 * over) * kit.gain(1.0)
    gears = mesh * load * _mesh(kit, shaft, skew, worn)
    drive = kit.tones(shaft, {1: 0.12, 2: 0.16 + 0.25 * over, 4: 0.10 + 0.2 * over, 8: 0.05})
    noise = kit.noise(own_colour(unit, _NOISE)) * (np.float32(1) + kit.curve(0.06, 0.5))
    rough = kit.noise(own_colour(unit, _WORN)) * swing(shaft, 1 / _RATIO, 0.5)
    blows = _tooth(kit, shaft, amount(fault, "tooth_broken", severity), unit)
    body = motor * drive + 0.45 * noise + 0.5 * gears
    return stems(kit, body, 0.5 * gears + (0.05 + 0.28 * worn) * rough + blows)


def _mesh(kit: Kit, shaft: Turns, skew: float, worn: float) -> Signal:
    """Mesh harmonics and sidebands, in orders of the output shaft.

    Misaligned shafts push the even harmonics, worn flanks the high ones.
    """
    output = shaft / _RATIO  # the slower shaft: both shafts' sidebands are whole orders of it
    teeth = round(_TEETH * _RATIO)
    levels = {}
    for harmonic, level in enumerate((0.6, 0.35, 0.2, 0.12, 0.07, 0.04), 1):
        pushed = level + (0.3 * skew if harmonic in (2, 4) else 0.0) + 0.02 * harmonic * worn
        levels[harmonic * teeth] = pushed
        for side, share in ((1, 0.12), (2, 0.18), (4, 0.06)):  # 2 is the input shaft
            for sign in (-1, 1):
                extra = (0.3 * skew if side > 1 else 0.0) + (0.2 * worn if side == 1 else 0.0)
                levels[harmonic * teeth + sign * side] = pushed * (share + extra)
    return kit.tones(output, levels)


def _tooth(kit: Kit, shaft: Turns, severity: float, unit: np.random.Generator) -> Signal:
    """A broken tooth: one blow per turn of the output gear."""
    if severity == 0:
        return np.zeros(kit.samples, np.float32)
    times = kit.passes(shaft, 1 / _RATIO, 0.01)
    strengths = 8 * severity * np.exp(kit.rng.normal(0, 0.2, len(times)))
    return kit.strikes(times, strengths, own_modes(unit, _MODES))


def _run(letter: str, unit: int, speed: float, load: float) -> Condition:
    return Condition(f"pro_{letter}", (("input", speed), ("load", load)), unit)


GEARBOX = Machine(
    "gearboxEmu",
    10,
    # Nine letters over both domains, as the real set has: six here, three in the target.
    tuple(
        _run(letter, unit, speed, load)
        for unit in range(4)
        for letter, speed, load in (
            ("A", 24.0, 0.95),
            ("B", 24.4, 1.05),
            ("C", 24.8, 0.95),
            ("D", 25.2, 1.05),
            ("E", 25.6, 0.95),
            ("F", 26.0, 1.05),
        )
    ),
    tuple(
        _run(letter, unit, speed, 1.0)
        for unit in range(4, 7)
        for letter, speed in (("G", 24.6), ("H", 25.0), ("I", 25.4))
    ),
    (
        Fault("tooth_broken", "one blow per turn of the output gear"),
        Fault("wear", "rough flanks: high mesh harmonics, close sidebands, rubbing noise"),
        Fault("misalignment", "even mesh harmonics and wide sidebands grow"),
        Fault("overload", "up to 8 % slower, mesh and low orders of the motor stronger"),
    ),
    "one-stage spur gearbox: mesh harmonics, sidebands of both shafts, load",
    "MIMII DUE and MIMII DG (gearboxes at several speeds and loads); textbook gear mesh "
    "spectra and their sidebands.",
    render,
)
