"""pump: a centrifugal pump on a four-pole motor, whose driven-end bearing may wear out.

Six vanes pass the tongue of the casing (tones at orders 6, 12, 18), the flow hisses, the motor hums
at twice the mains, sound bearings roll. A spall on the inner race is struck 5.4 times a turn (9
balls of 0.2 pitch diameters, contact angle 0: 9 · (1 + 0.2)/2), gives way a little at random, is
loaded once a turn of the shaft as it passes under the load, and each blow rings in the housing.
No machine of the data set: it is what `--preset wear` watches. Knobs: `shaft` = shaft speed in Hz,
`flow` = of the best efficiency point, 1.
"""

from __future__ import annotations

import numpy as np

from nearfar.sim.kit import Kit, Signal, Turns, rms, swing
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

FAINTEST_DB, LOUDEST_DB = -30.0, 6.0  # fault over healthy pump, RMS, at severities 0+ and 1
_VANES = 6
_INNER = 5.4  # blows a turn
_MAINS = 50.0  # Hz
_FLOW = ((30, -8), (150, 0), (600, -3), (1800, -8), (4000, -14), (8000, -26))  # Hz, dB
_ROLLING = ((40, -30), (500, -12), (1200, -3), (2400, 0), (3600, -5), (5200, -8), (8000, -24))
_MODES = ((1450.0, 0.005, 0.4), (2600.0, 0.004, 1.0), (3900.0, 0.003, 0.9), (5600.0, 0.002, 0.5))


def fault_db(severity: float) -> float:
    """Level of the blows over that of the healthy pump, dB of the RMS of the whole clip.

    Linear in decibels: a spall that spreads by a share of itself each hour. Minus infinity at 0.

    >>> fault_db(1.0), fault_db(0.5), fault_db(0.0)
    (6.0, -12.0, -inf)
    """
    if severity <= 0:
        return -np.inf
    return FAINTEST_DB + (LOUDEST_DB - FAINTEST_DB) * severity


def render(
    kit: Kit, condition: Condition, fault: str | None, severity: float, unit: np.random.Generator
) -> Stems:
    """One clip of a pump; see `Machine.render`.

    Other than with the data set's machines the fault is added to the healthy sound, which it
    neither changes nor turns down: both levels are what they are said to be.
    """
    speed, vanes, humming = jitter(unit, 3)
    flow = condition.value("flow") * kit.vary(0.04)
    shaft = kit.turns(condition.value("shaft") * speed * kit.vary(0.003), 0.002)
    hiss = kit.noise(own_colour(unit, _FLOW)) * (np.float32(1) + kit.curve(0.08, 0.4))
    rolling = kit.noise(own_colour(unit, _ROLLING)) * swing(shaft, 1, 0.08)
    hum = kit.tones(kit.turns(2 * _MAINS, 0.0003), {1: 0.22, 2: 0.10, 3: 0.05, 4: 0.03, 6: 0.02})
    # Away from its best flow a pump hisses more: the vanes meet the water at a wrong angle.
    rough = 0.55 * (1 + 1.5 * abs(flow - 1))
    body = humming * kit.gain(0.7) * hum + rough * hiss
    healthy = stems(kit, body, vanes * kit.gain(0.7) * _tones(kit, shaft) + 0.25 * rolling)
    spalled = amount(fault, "inner_race", severity)
    if spalled <= 0:
        return healthy
    # Last of all draws, so that the healthy sound beneath has the same bits at any severity.
    blows = _spall(kit, shaft, own_modes(unit, _MODES))
    loud = rms(healthy.body + healthy.point) * 10 ** (fault_db(spalled) / 20)
    return Stems(healthy.body, healthy.point + np.float32(loud / max(rms(blows), 1e-9)) * blows)


def _tones(kit: Kit, shaft: Turns) -> Signal:
    """Vane passing tones, and the shaft's own orders."""
    levels = {1: 0.06, 2: 0.05, 3: 0.02}
    for harmonic, level in enumerate((0.40, 0.22, 0.10, 0.05), 1):
        levels[harmonic * _VANES] = level
        for side in (-1, 1):
            levels[harmonic * _VANES + side] = 0.08 * level  # no impeller is quite round
    return kit.tones(shaft, levels)


def _spall(kit: Kit, shaft: Turns, modes: tuple[tuple[float, float, float], ...]) -> Signal:
    """Blows of balls on a spalled inner race, which turns with the shaft through its load."""
    times = kit.passes(shaft, _INNER, 0.015)  # balls slip by 1–2 %: lines of high order smear
    at = np.clip(np.round(times * kit.rate).astype(np.int64), 0, kit.samples - 1)
    # Stribeck's distribution for a bearing without clearance: half of a turn bears the load.
    loaded = (0.5 + 0.5 * np.cos(2 * np.pi * shaft[at])) ** 1.5
    uneven = np.exp(kit.rng.normal(0, 0.2, len(times)))
    return kit.strikes(times, (0.1 + loaded) * uneven, modes)


def _run(duty: int, shaft: float, flow: float) -> Condition:
    return Condition(f"duty_{duty}", (("shaft", shaft), ("flow", flow)))


# The more it delivers the more it slips, of 25 Hz of a four-pole motor.
_DUTIES = (_run(1, 24.7, 0.85), _run(2, 24.6, 1.0), _run(3, 24.45, 1.15))

PUMP = Machine(
    "pump",
    4,
    _DUTIES,
    _DUTIES,  # a pump that is watched where it stands: no other domain
    (Fault("inner_race", "spall on the inner race: blows at order 5.4, loaded once a turn"),),
    "centrifugal pump: vane passing tones, flow noise, mains hum, a bearing",
    "R. B. Randall and J. Antoni, Rolling element bearing diagnostics – a tutorial, Mechanical "
    "Systems and Signal Processing 25 (2011): blows, slip, load and ringing; ISO 15243: spalling "
    "by fatigue; MIMII (pumps).",
    render,
)
