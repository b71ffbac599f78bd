"""Every machine is described."""

from nearfar import sim
from nearfar.sim.plan import PRESETS


def test_every_machine_is_described():
    for machine in PRESETS["dev"].machines:
        text = sim.describe(machine)
        for word in ("conditions", "faults", "scene", "sources"):
            assert word in text
