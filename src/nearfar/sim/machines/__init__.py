"""All simulated machines; `MACHINES` in the order of the data set."""

from nearfar.sim.machine import Machine
from nearfar.sim.machines.bearing import BEARING
from nearfar.sim.machines.fan import FAN
from nearfar.sim.machines.gearbox import GEARBOX
from nearfar.sim.machines.pump import PUMP
from nearfar.sim.machines.slider import SLIDER
from nearfar.sim.machines.toycar import TOY_CAR, TOY_CAR_EMU
from nearfar.sim.machines.valve import VALVE

MACHINES: dict[str, Machine] = {
    machine.name: machine
    for machine in (TOY_CAR, TOY_CAR_EMU, BEARING, FAN, GEARBOX, SLIDER, VALVE)
}
# Beside the data set, or every preset of it would have another machine.
OTHERS: dict[str, Machine] = {PUMP.name: PUMP}
