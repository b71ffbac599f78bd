"""Which machine and section a recording is for."""

from pathlib import Path

import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector import keys
from nearfar.errors import DatasetError

KNOWN = {("fan", "00"): 1, ("fan", "01"): 2, ("pump", "00"): 3}
MACHINES = ("fan", "pump")


def clip(**more):
    return nf.Clip(Path("hall/new.wav"), **more)


def test_machines_are_each_named_once_in_their_order():
    assert keys.machines_of(KNOWN) == MACHINES


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (("fna", "00"), ("unknown machine 'fna'", "did you mean 'fan'?", "--machine NAME")),
        (("pump", "01"), ("pump has no section '01'", "00")),
    ],
)
def test_what_is_not_known_is_an_error_with_what_is(key, words):
    refused(lambda: keys.checked(KNOWN, *key), *words, error=DatasetError)
    named = clip(machine=key[0], section=key[1])
    line = refused(lambda: keys.assigned(KNOWN, MACHINES, named, None, None), *words)
    assert line.startswith("hall/new.wav: ")


def test_a_plain_recording_is_for_the_only_machine_and_one_of_a_data_set_for_its_own():
    one = {("fan", "00"): 1}
    assert keys.assigned(one, ("fan",), clip(machine="hall"), None, None).machine == "fan"
    with pytest.raises(DatasetError):
        keys.assigned(one, ("fan",), clip(machine="hall", split="test"), None, None)
    said = keys.assigned(KNOWN, MACHINES, clip(machine="pump"), "fan", "01")
    assert (said.machine, said.section) == ("fan", "01")


def test_an_array_is_for_the_only_section_that_fits():
    assert keys.array_clip(KNOWN, "pump", None).machine == "pump"
    assert keys.array_clip(KNOWN, None, "01").section == "01"
    # Of several sections the first number is meant.
    assert keys.array_clip(KNOWN, "fan", None).section == "00"
    refused(lambda: keys.array_clip(KNOWN, None, None), "which machine?", error=DatasetError)
    refused(lambda: keys.array_clip(KNOWN, "fan", "07"), "no section", error=DatasetError)
