"""bearingEmu: a deep-groove ball bearing on a driven shaft.

Rolling noise excites the housing's resonances; the shaft and the drive add low tones; the cage
modulates everything slightly. A spalled surface is struck at the classical rates (orders of the
shaft for 9 balls of 0.2 pitch diameters: outer race 3.6, inner race 5.4, ball 4.8, cage 0.4)
and each blow rings in the housing's modes. Knob: `shaft` = shaft speed in Hz.
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

# Orders of the shaft, of n balls of d pitch diameters: n(1 − d)/2, n(1 + d)/2, (1 − d²)/2d twice
# (a ball strikes both races in a turn of its own), (1 − d)/2.
_OUTER, _INNER, _BALL, _CAGE = 3.6, 5.4, 4.8, 0.4
_ROLLING = (
    (40, -20), (150, -12), (500, -4), (1100, 0), (1700, -7), (2700, -1), (4200, -9), (8000, -24),
)  # Hz, dB  # fmt: skip
_FRICTION = ((40, -60), (1500, -14), (3800, 0), (5500, -1), (8000, -8))
_MODES = ((1150.0, 0.005, 0.6), (2750.0, 0.003, 1.0), (4600.0, 0.002, 0.8))


def render(
    kit: Kit, condition: Condition, fault: str | None, severity: float, unit: np.random.Generator
) -> Stems:
    """One clip of a bearing; see `Machine.render`."""
    dry = amount(fault, "lubrication_lost", severity)
    speed, drive = jitter(unit, 2)
    shaft = kit.turns(condition.value("shaft") * speed * kit.vary(0.012), 0.005)
    rolling = kit.noise(own_colour(unit, _ROLLING)) * swing(shaft, _CAGE, 0.10)
    tones = kit.tones(shaft, {1: 0.25, 2: 0.18, 3: 0.08, 4: 0.10, 12: 0.16, 24: 0.12, 36: 0.05})
    body = 0.5 * drive * kit.gain(1.0) * tones + 0.35 * rolling
    friction = kit.noise(own_colour(unit, _FRICTION))
    rough = np.float32(0.16) + np.float32(0.38 * dry) * np.exp(kit.curve(0.9 * dry, 0.12))
    blows = _spall(kit, shaft, fault, severity, own_modes(unit, _MODES))
    return stems(kit, body, 0.75 * rolling + rough * friction + blows)


def _spall(
    kit: Kit,
    shaft: Turns,
    fault: str | None,
    severity: float,
    modes: tuple[tuple[float, float, float], ...],
) -> Signal:
    """Blows of a spalled surface; one that turns passes in and out of the loaded zone."""
    rates = {
        # order, turn of its load, depth of that, strength
        "outer_race": (_OUTER, 0.0, 0.0, 9.0),  # stands still, so always under the same load
        "inner_race": (_INNER, 1.0, 0.9, 6.5),
        "ball": (_BALL, _CAGE, 0.9, 6.5),
    }
    if fault not in rates:
        return np.zeros(kit.samples, np.float32)
    per_turn, zone, depth, strength = rates[fault]
    times = kit.passes(shaft, per_turn, 0.02)  # balls slip: lines of high order are smeared
    at = np.clip(np.round(times * kit.rate).astype(np.int64), 0, kit.samples - 1)
    loaded = 1 + depth * np.cos(2 * np.pi * zone * shaft[at])
    uneven = np.exp(kit.rng.normal(0, 0.25, len(times)))
    return kit.strikes(times, strength * severity * loaded * uneven, modes)


def _run(shaft: float, unit: int) -> Condition:
    return Condition("noAttribute", (("shaft", shaft),), unit)


BEARING = Machine(
    "bearingEmu",
    10,
    # 1,200 turns a minute ± 4 %; the target's other bearings run between these speeds
    tuple(_run(20.0 * f, u) for u in range(5) for f in (0.96, 1.0, 1.04)),
    tuple(_run(20.0 * f, u) for u in range(5, 8) for f in (0.98, 1.02)),
    (
        Fault("outer_race", "spall on the outer race: even blows at order 3.6"),
        Fault("inner_race", "spall on the inner race: blows at order 5.4, loaded once a turn"),
        Fault("ball", "spall on a ball: blows at order 4.8, loaded once a turn of the cage"),
        Fault("lubrication_lost", "dry friction: bursts of high noise, no fixed rate"),
    ),
    "ball bearing: rolling noise through housing modes, defect rates of its geometry",
    "MIMII DG (bearings at several speeds); textbook defect frequencies of rolling bearings "
    "and the cyclostationary blow model of envelope analysis.",
    render,
)
