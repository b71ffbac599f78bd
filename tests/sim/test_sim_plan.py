"""Which clips a data set has: the classes of the real one."""

from pathlib import Path

import pytest

import nearfar as nf
from nearfar.clips import parse_name
from nearfar.clips.training import proxy_classes
from nearfar.sim.plan import PRESETS, plan


def test_the_real_class_counts():
    found = []
    for item in plan(PRESETS["dev"], 0):
        if item.key.split == "train":
            name = parse_name(item.file)
            found.append(
                nf.Clip(
                    Path(item.file), machine=item.key.machine, domain=name.domain, split="train",
                    label=name.label, attributes=name.attributes,
                )
            )  # fmt: skip
    classes = proxy_classes(nf.Clips(found))
    assert len(set(classes.values())) == 42


@pytest.mark.parametrize("machine", PRESETS["dev"].machines)
def test_names_are_numbered_as_in_the_real_set(machine):
    """Both toy cars number the test clips of all groups together; the rest each group from 0."""
    test = [x for x in plan(PRESETS["dev"], 0, [machine]) if x.key.split == "test"]
    numbers = [int(item.file.rsplit("/", 1)[1].split("_")[5]) for item in test]
    if machine in ("ToyCar", "ToyCarEmu"):
        assert sorted(numbers) == list(range(200))
        assert [numbers[i : i + 50] for i in range(0, 200, 50)] != [list(range(50))] * 4
    else:
        assert numbers == [*range(50)] * 4


def test_part_of_the_machines_is_part_of_the_plan():
    whole, fan = plan(PRESETS["small"], 3), plan(PRESETS["small"], 3, ["fan"])
    assert fan == [item for item in whole if item.key.machine == "fan"]
    assert len(whole) == len({item.file for item in whole}) == PRESETS["small"].clips()
