"""Which clips a simulated data set has, and what each is called: the DCASE 2026 layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from nearfar.errors import SettingError, did_you_mean
from nearfar.sim.machines import MACHINES
from nearfar.sim.scene import ClipKey, Moment, condition_of

# These number their test clips once over all four groups, shuffled; the others each from 0000.
SHUFFLED = ("ToyCar", "ToyCarEmu")
GROUPS = tuple((d, label) for d in ("source", "target") for label in ("normal", "anomaly"))


@dataclass(frozen=True)
class Size:
    """How large a simulated data set is.

    >>> PRESETS["dev"].clips()  # 7 machines of 1,000 training and 200 test clips
    8400

    Args:
        machines: names.
        source, target: training clips of each domain.
        test: test clips of each domain and label.
        seconds: length of every clip; None is the machine's native length.
        what: for people.
    """

    machines: tuple[str, ...]
    source: int
    target: int
    test: int
    seconds: float | None
    what: str

    def clips(self) -> int:
        """How many clips it has."""
        return len(self.machines) * (self.source + self.target + 4 * self.test)


PRESETS = MappingProxyType(
    {
        # Near louder, far coherent with it, far louder: one machine of each kind of pair.
        "mini": Size(("ToyCar", "fan", "valveEmu"), 24, 4, 6, 3.0, "the demo and the tests"),
        "small": Size(tuple(MACHINES), 100, 10, 20, 5.0, "statistics and trends, a minute"),
        # 990 + 10, and 50 for each domain and label: as the official development set has them.
        "dev": Size(tuple(MACHINES), 990, 10, 50, None, "the size of the real development set"),
    }
)


# Presets that are no data sets: faulty files (sim.stress), and a machine over time (sim.wear).
OTHERS = MappingProxyType({"stress": ("fan",), "wear": ("pump",)})


def machines_of(preset: str) -> tuple[str, ...]:
    """The machines of a preset; those that are no data sets have one.

    Raises:
        SettingError: unknown preset.
    """
    if preset in OTHERS:
        return OTHERS[preset]
    if preset not in PRESETS:
        raise SettingError(f"no preset {preset!r}; {did_you_mean(preset, [*PRESETS, *OTHERS])}")
    return PRESETS[preset].machines


@dataclass(frozen=True)
class Item:
    """One file to write.

    >>> print(plan(PRESETS["mini"], seed=0, machines=["fan"])[0].file)
    fan/train/section_00_source_train_normal_0000_spd_3.wav
    """

    key: ClipKey
    file: str  # below the data set's folder, with /
    moment: Moment | None = None  # of a clip that is one in a course of time


def plan(preset: Size, seed: int, machines: Sequence[str] | None = None) -> list[Item]:
    """Every clip of a data set, in the order of machines, splits, domains, labels.

    Args:
        preset: one of `PRESETS`, or your own.
        seed: of the data set.
        machines: only these of the preset's.

    Raises:
        SettingError: a machine that the preset does not have.
    """
    chosen = tuple(machines) if machines else preset.machines
    for machine in chosen:
        if machine not in preset.machines:
            raise SettingError(f"no machine {machine!r}; {did_you_mean(machine, preset.machines)}")
    return [item for m in preset.machines if m in chosen for item in _machine(preset, seed, m)]


def _machine(preset: Size, seed: int, machine: str) -> Iterator[Item]:
    seconds = preset.seconds or MACHINES[machine].seconds
    for domain, count in (("source", preset.source), ("target", preset.target)):
        for i in range(count):
            yield _item(ClipKey(machine, "train", domain, "normal", i, seconds), seed, i)
    numbers = _test_numbers(machine, preset.test)  # in names alone: the key keeps its index
    for (domain, label), row in zip(GROUPS, numbers, strict=True):
        for i, number in enumerate(row):
            yield _item(ClipKey(machine, "test", domain, label, i, seconds), seed, number)


def _test_numbers(machine: str, count: int) -> list[list[int]]:
    """(4 groups, count) clip numbers."""
    if machine not in SHUFFLED:
        return [list(range(count)) for _ in GROUPS]
    # The real set shares one shuffle between both machines and it tells nothing: so here.
    order = np.random.default_rng(2026).permutation(4 * count).reshape(4, count)
    return [sorted(row) for row in order.tolist()]


def _item(key: ClipKey, seed: int, number: int) -> Item:
    tail = condition_of(key, seed).tail
    name = f"section_00_{key.domain}_{key.split}_{key.label}_{number:04d}_{tail}.wav"
    return Item(key, f"{key.machine}/{key.split}/{name}")
