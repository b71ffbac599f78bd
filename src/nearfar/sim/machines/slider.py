"""sliderEmu: a carriage that a belt drives to and fro on a linear rail.

The motor's tones and the rail's rolling noise follow the carriage's speed, which rises, holds
and falls in each half stroke; the carriage stops with a soft blow at each end.
Knobs: `stroke` = strokes (to and fro) per second, `motor` = motor speed in Hz at full speed.
"""

from __future__ import annotations

import numpy as np

from nearfar.sim.kit import Kit, Signal, Turns
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

_ROLLING = ((40, -14), (250, -4), (800, 0), (1800, -3), (4000, -10), (8000, -24))  # Hz, dB
_RUBBING = ((40, -60), (1200, -14), (2600, 0), (4200, -3), (8000, -14))
_STOP = ((180.0, 0.030, 1.0), (520.0, 0.015, 0.7), (1600.0, 0.005, 0.4))
_DENT = ((1200.0, 0.008, 0.8), (2700.0, 0.005, 1.0), (4800.0, 0.002, 0.6))
_BELT = ((420.0, 0.012, 1.0), (950.0, 0.008, 0.9), (2100.0, 0.003, 0.5))


def render(
    kit: Kit, condition: Condition, fault: str | None, severity: float, unit: np.random.Generator
) -> Stems:
    """One clip of a slide rail; see `Machine.render`."""
    slack = amount(fault, "loose_belt", severity)
    dry = amount(fault, "no_grease", severity)
    pace, speed, rail = jitter(unit, 3)
    strokes = kit.turns(condition.value("stroke") * pace * kit.vary(0.02), 0.01)
    pull = _speed(strokes)
    # turns times the rate: the motor's speed is the carriage's
    motor = np.cumsum(np.abs(pull) * (condition.value("motor") * speed * kit.vary(0.012)))
    tones = _motor(kit, motor / kit.rate)
    flutter = np.float32(1) + np.float32(0.9 * slack) * kit.tones(strokes, {13: 1.0, 17: 0.6})
    rolling = kit.noise(own_colour(unit, _ROLLING))
    rubbing = kit.noise(own_colour(unit, _RUBBING)) * np.exp(kit.curve(0.2 + 0.6 * dry, 0.06))
    motion = np.abs(pull)
    body = motion * flutter * (rail * kit.gain(0.8) * tones + 0.3 * rolling) + _ends(
        kit, strokes, unit
    )
    lame = np.float32(amount(fault, "rail_misaligned", severity))
    forth = np.maximum(pull, 0) * lame  # on the way out alone
    point = motion * (0.7 * rolling + np.float32(0.10 + 0.45 * dry) * rubbing)
    point = point + 0.5 * forth * rubbing + dry * motion * _squeal(kit, motor / kit.rate)
    return stems(kit, body, point + _blows(kit, strokes, fault, severity, unit))


def _speed(strokes: Turns) -> Signal:
    """Speed of the carriage, (samples,): −1 … 1, a trapezium with a short rest at each end."""
    # cut at 1: full speed for three fifths of a stroke
    table = np.clip(1.7 * np.sin(2 * np.pi * np.arange(4096) / 4096), -1, 1).astype(np.float32)
    speed: Signal = table[(strokes * 4096).astype(np.int64) & 4095]
    return speed


def _motor(kit: Kit, turns: Turns) -> Signal:
    """Motor orders; the belt's teeth mesh at order 14."""
    return kit.tones(turns, {1: 0.2, 2: 0.2, 6: 0.35, 12: 0.2, 14: 0.5, 28: 0.25, 42: 0.12})


def _squeal(kit: Kit, turns: Turns) -> Signal:
    """Stick-slip of a dry rail: harmonics of one high order that come and go."""
    spells = np.maximum(kit.curve(0.7, 0.15), 0)
    squeal: Signal = spells * kit.tones(turns, {58: 0.8, 63: 0.4, 116: 0.3})
    return squeal


def _ends(kit: Kit, strokes: Turns, unit: np.random.Generator) -> Signal:
    """The soft blow at each end of the stroke."""
    times = kit.passes(strokes, 2.0, 0.003)
    strengths = 6 * np.exp(kit.rng.normal(0, 0.15, len(times)))
    return kit.strikes(times, strengths, own_modes(unit, _STOP))


def _blows(
    kit: Kit, strokes: Turns, fault: str | None, severity: float, unit: np.random.Generator
) -> Signal:
    """Blows at a dent of the rail (both ways) or of a slack belt (after each turning point)."""
    if fault == "rail_damage":
        dents = kit.passes(strokes + 0.17, 2.0, 0.01)
        times = np.concatenate([dents, dents + 0.035, dents + 0.07])
        strengths = np.repeat((22.0, 15.0, 11.0), len(dents)) * severity
        return kit.strikes(times, strengths, own_modes(unit, _DENT))
    if fault == "loose_belt":
        # just after it turns, where the belt is slack
        slaps = kit.passes(strokes - 0.06, 2.0, 0.03)
        times = np.concatenate([slaps, slaps + 0.05, slaps + 0.11])
        strengths = np.repeat((18.0, 12.0, 8.0), len(slaps)) * severity
        return kit.strikes(times, strengths, own_modes(unit, _BELT))
    return np.zeros(kit.samples, np.float32)


def _run(stroke: float, motor: float, unit: int) -> Condition:
    return Condition("noAttribute", (("stroke", stroke), ("motor", motor)), unit)


# Not shared with the valve, whose table has the same shape: runs and faults are data, not logic.
SLIDER = Machine(
    "sliderEmu",
    10,
    tuple(_run(0.9 * f, 45.0 * f, u) for u in range(5) for f in (0.97, 1.0, 1.03)),
    tuple(_run(0.9 * f, 45.0 * f, u) for u in range(5, 8) for f in (0.985, 1.015)),
    (
        Fault("rail_damage", "a dent: three blows each time the carriage passes it"),
        Fault("loose_belt", "slaps after each turning point, flutter in motion"),
        Fault("no_grease", "dry rail: rubbing noise and stick-slip squeal in motion"),
        Fault("rail_misaligned", "the carriage rubs in one direction only"),
    ),
    "belt-driven slide rail: speed-following motor tones and rolling noise, end stops",
    "MIMII and MIMII DG (slide rails with rail damage, loose belts, missing grease); textbook "
    "stick-slip friction.",
    render,
)
