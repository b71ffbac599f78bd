"""Machines as they are asked for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desks import PUMP, judging_desk
from nearfar.page.routes.machines_api import state_of
from nearfar.service.incoming import now
from nearfar.service.news import MachineNow, StandingAlarm


@pytest.fixture
def desk(tmp_path):
    made = judging_desk(tmp_path)
    yield made
    made.close()


def test_a_machine_has_its_name_and_rate_before_it_is_heard(desk):
    (machine,) = desk.ask("GET", "/api/machines")["machines"]
    assert (machine["label"], machine["threshold_p"]) == ("pump", 0.1)
    assert machine == {k: v for k, v in desk.ask("GET", PUMP).items() if k != "schema"}


@pytest.mark.parametrize(("hours", "state"), [(-1, "active"), (1, "shelved")])
def test_a_shelf_whose_time_is_over_is_off(desk, hours, state):
    alarm = StandingAlarm(3, "machine", "sound", "pump", "00", now(), "pump: sounds wrong")
    alarm = replace(alarm, shelved_until=now() + timedelta(hours=hours))
    key = ("pump", "00")
    found = MachineNow(*key, clips=1, alarms=(alarm,))
    said = state_of({key: found}, key, desk.hold(key))
    assert [one["state"] for one in said["alarms"]] == [state]
