"""valveEmu: a solenoid valve that opens and closes to a fixed pattern.

The plunger clicks on opening and, less loudly, on closing; each click rings in the modes of
plunger and body; the coil hums and the flow hisses while it is open. Knobs: `cycle` = cycles
per second, `open` = open share of a cycle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.sim.kit import Kit, Mode, Signal, Turns
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

_HISS = ((40, -40), (800, -16), (2500, -4), (5000, 0), (8000, -4))  # Hz, dB
_LEAK = ((40, -50), (600, -10), (1800, 0), (3500, -2), (8000, -14))
_AIR = ((40, -6), (200, 0), (1000, -6), (8000, -20))  # of the supply, always there
_CLICK = ((850.0, 0.010, 0.7), (2100.0, 0.006, 1.0), (3900.0, 0.004, 0.8), (6100.0, 0.002, 0.5))
_DULL = ((420.0, 0.014, 1.0), (950.0, 0.008, 0.8), (1700.0, 0.004, 0.4))


def render(
    kit: Kit, condition: Condition, fault: str | None, severity: float, unit: np.random.Generator
) -> Stems:
    """One clip of a valve; see `Machine.render`."""
    leak = amount(fault, "leak", severity)
    pace, hiss, hum = jitter(unit, 3, 0.01)
    cycles = kit.turns(condition.value("cycle") * pace * kit.vary(0.025), 0.01)
    opened = _gate(cycles, condition.value("open"))
    flow = 0.22 * hiss * kit.gain(1.6) * kit.noise(own_colour(unit, _HISS, 0.25), 1.2) * opened
    coil = 0.30 * hum * kit.gain(1.6) * _coil(kit) * opened
    supply = 0.16 * kit.gain(1.6) * kit.noise(own_colour(unit, _AIR, 0.25), 1.2)
    clicks = _clicks(kit, cycles, condition.value("open"), fault, severity, unit)
    leaking = kit.noise(own_colour(unit, _LEAK)) * (1 - np.float32(0.8) * opened)
    return stems(kit, coil + supply + 0.4 * clicks, 0.6 * clicks + flow + 0.22 * leak * leaking)


def _gate(cycles: Turns, share: float) -> Signal:
    """1 while open, 0 while closed, with flanks of 2 % of a cycle, (samples,)."""
    at = cycles % 1.0
    gate: Signal = np.clip(np.minimum(at, share - at) / 0.02, 0, 1).astype(np.float32)
    return gate


def _coil(kit: Kit) -> Signal:
    """Hum of the coil at twice the mains (50 Hz)."""
    # Steadier than any shaft, as the grid is; the plunger's iron saturates, hence harmonics.
    return kit.tones(kit.turns(100.0, 0.0003), {1: 1.0, 2: 0.4, 3: 0.3, 4: 0.1, 6: 0.1})


def _clicks(
    kit: Kit,
    cycles: Turns,
    share: float,
    fault: str | None,
    severity: float,
    unit: np.random.Generator,
) -> Signal:
    """All clicks of the plunger, with what its faults do to them."""
    dirt = amount(fault, "contamination", severity)
    sharp, dull = own_modes(unit, _CLICK), own_modes(unit, _DULL)
    opens = kit.passes(cycles, 1.0, 0.004)
    closes = kit.passes(cycles - share, 1.0, 0.004)
    times = np.concatenate([opens, closes])
    # roots of the blows' energies; the whole stem is brought to its level afterwards
    strengths = np.repeat((42.0, 26.0), (len(opens), len(closes)))
    strengths = strengths * np.exp(kit.rng.normal(0, 0.1, len(times)))
    missed = kit.rng.random(len(times)) < 0.65 * amount(fault, "strikes_missed", severity)
    strengths = np.where(missed, 0.1 * strengths, strengths)  # it sticks: the coil's tug is heard
    clean = kit.strikes(times, strengths * (1 - 0.6 * dirt), sharp)
    late = 0.03 * dirt * (1 + kit.rng.random(len(times)))
    muffled = kit.strikes(times + late, strengths * (0.2 + 0.3 * dirt), dull)
    return clean + muffled + _bounces(kit, times, strengths, fault, severity, sharp)


def _bounces(
    kit: Kit,
    times: NDArray[np.float64],
    strengths: NDArray[np.float64],
    fault: str | None,
    severity: float,
    modes: tuple[Mode, ...],
) -> Signal:
    """A plunger with a weak spring strikes again and again, sooner each time."""
    if fault != "spring_weak":
        return np.zeros(kit.samples, np.float32)
    first = 0.045 * np.exp(kit.rng.normal(0, 0.1, len(times)))  # s; gaps of 1, 0.7, 0.5, 0.35 of it
    after = np.concatenate([times + first * x for x in (1.0, 1.7, 2.2, 2.55)])
    falling = np.concatenate([strengths * x for x in (0.45, 0.35, 0.28, 0.22)])
    return kit.strikes(after, severity * falling, modes)


def _run(cycle: float, share: float, unit: int) -> Condition:
    return Condition("noAttribute", (("cycle", cycle), ("open", share)), unit)


# Not shared with the slider, whose table has the same shape: runs and faults are data, not logic.
VALVE = Machine(
    "valveEmu",
    10,
    tuple(_run(2.0 * f, 0.4 * f, u) for u in range(5) for f in (0.97, 1.0, 1.03)),
    tuple(_run(2.0 * f, 0.4 * f, u) for u in range(5, 8) for f in (0.985, 1.015)),
    (
        Fault("contamination", "dirt: clicks weaker, later and duller"),
        Fault("spring_weak", "the plunger bounces: extra clicks after each"),
        Fault("leak", "hiss while closed"),
        Fault("strikes_missed", "the plunger sticks: many strikes almost silent"),
    ),
    "solenoid valve: clicks with ring-down, coil hum and hiss while open",
    "MIMII and MIMII DG (solenoid valves opening and closing to a pattern, contaminated ones); "
    "textbook solenoid dynamics.",
    render,
)
