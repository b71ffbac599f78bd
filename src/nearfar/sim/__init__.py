"""A simulated near/far data set in the DCASE layout: a pure function of (version, seed, clip).

What may be concluded from it, and what not, is said in docs/simulation.md. Every table made from it
says `SIMULATED v1 seed N`.
"""

from nearfar.sim.dataset import Written, label, simulate
from nearfar.sim.picture import describe, draw
from nearfar.sim.plan import PRESETS, machines_of
from nearfar.sim.stress import write_stress
from nearfar.sim.version import SIM_VERSION
from nearfar.sim.wear import WEAR

__all__ = [
    "PRESETS",
    "SIM_VERSION",
    "WEAR",
    "Written",
    "describe",
    "draw",
    "label",
    "machines_of",
    "simulate",
    "write_stress",
]
