"""What Home Assistant is told, held to its documentation of device discovery."""

import json
import re

import jinja2
import pytest

from bulletins import NAMES, seen, standing
from nearfar.service.incoming import now
from nearfar.service.news import MachineNow
from nearfar.service.outputs.discovery import discovery_json
from nearfar.service.outputs.said import state_json
from nearfar.service.outputs.topics import identifier


def made(machine="pump", section="00"):
    identity = identifier("nearfar", machine, section)
    return json.loads(discovery_json(identity, "n/state", "n/status", (machine, section)))


def test_the_parts_that_the_documentation_asks_for():
    told = made()
    assert {"device", "origin", "components"} <= set(told)  # mandatory
    assert told["device"]["identifiers"]
    assert told["origin"]["name"] == "nearfar"
    assert told["availability_topic"] == "n/status"
    assert told["state_topic"] == "n/state"
    for name, part in told["components"].items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", name)
        assert part["platform"] in ("sensor", "binary_sensor")
        assert part["unique_id"].startswith(told["device"]["identifiers"][0])
        # Words are no measurements: Home Assistant refuses an enum that says it is one.
        assert part.get("device_class") != "enum" or (part["options"] and "state_class" not in part)


def test_ids_are_unique_over_all_machines_and_names_are_never_empty():
    told = [made(name, section) for name in NAMES for section in ("00", "01")]
    ids = [part["unique_id"] for one in told for part in one["components"].values()]
    assert len(set(ids)) == len(ids)
    assert all(one["device"]["name"] for one in told)


def values(machine):
    """What Home Assistant makes of a state: it renders the templates with Jinja."""
    state = json.loads(state_json(machine))
    return {
        name: (part, jinja2.Template(part["value_template"]).render(value_json=state))
        for name, part in made()["components"].items()
    }


@pytest.mark.parametrize(
    "machine",
    [
        MachineNow("pump", "00", 0),
        MachineNow("pump", "00", 2, True, (), seen(2), seen(2), (standing(),)),
        MachineNow("pump", "00", 2, False, ("dead",), seen(2), seen(2), (standing(kind="sensor"),)),
        MachineNow("pump", "00", 2, True, (), seen(2), None, (standing(shelved_until=now()),)),
    ],
)
def test_every_value_is_one_that_its_sensor_takes(machine):
    found = values(machine)
    for name, (part, value) in found.items():
        if part["platform"] == "binary_sensor":
            assert value in ("ON", "OFF", "None"), name
        elif "options" in part:
            assert value in part["options"], name
        elif part.get("state_class"):
            assert value == "None" or float(value) is not None, name
    standing_kinds = {a.kind for a in machine.alarms if a.word == "active"}
    assert (found["problem"][1] == "ON") == ("machine" in standing_kinds)
    assert (found["sensor_problem"][1] == "ON") == ("sensor" in standing_kinds)
    assert found["running"][1] == {None: "None", True: "ON", False: "OFF"}[machine.running]
