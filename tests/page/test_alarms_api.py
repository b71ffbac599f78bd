"""Alarms as they are asked for and answered: shapes, bounds, and who may."""

import json

import pytest

from desks import AlarmsDesk, as_reader


@pytest.fixture
def desk(tmp_path):
    made = AlarmsDesk(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("hours", [0, -1, 721, "soon", None, 1e999])
def test_a_shelf_lasts_up_to_thirty_days_and_more_than_nothing(desk, hours):
    body = '{"hours": 1e999}' if hours == 1e999 else json.dumps({"hours": hours})
    headers = {"Content-Type": "application/json"}
    reply = desk.client.post("/api/alarms/1/shelve", content=body, headers=headers)
    assert reply.status_code == 422
    assert reply.json()["error"].startswith("hours: ")
    assert desk.store.actions() == []
    assert desk.say("1/shelve", {"hours": 720})["state"] == "shelved"


@pytest.mark.parametrize("body", [{"who": "x" * 81}, {"note": "x" * 2001}, {"note": 7}, []])
def test_what_is_too_long_or_no_text_is_refused(desk, body):
    reply = desk.client.post("/api/alarms/1/acknowledge", json=body)
    assert reply.status_code == 422
    assert "\n" not in reply.json()["error"]


def test_who_may_only_look_changes_nothing(desk):
    as_reader(desk)
    for verb in ("acknowledge", "shelve", "unshelve", "note"):
        reply = desk.client.post(f"/api/alarms/1/{verb}", json={"hours": 1})
        assert reply.status_code == 403
    assert desk.client.get("/api/audit").status_code == 403
    assert desk.client.get("/api/alarms").status_code == 200
    assert (desk.store.actions(), desk.store.audit()) == ([], [])
