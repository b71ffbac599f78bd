"""What people say of alarms on the page, alone and two at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from desks import as_reader, client_of
from heard_clips import write_history
from nearfar.page.app import make_app
from nearfar.page.desk import Desk
from nearfar.page.shelving import alarms_now
from nearfar.service.history.changes import Action, Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import now
from nearfar.service.plant import PageSettings


class StoreAlone:
    """A backend that is a history and no more."""

    watches = busy = False

    def __init__(self, place):
        self.store = HistoryStore.open(str(place))


@pytest.fixture
def desk(tmp_path):
    """Over a history with two alarms, 1 and 2."""
    made = Desk(PageSettings("127.0.0.1:0"))
    behind = StoreAlone(write_history(tmp_path / "plant.db"))
    made.attach(behind)
    made.app = make_app(made)
    made.client = client_of(made.app)
    yield made
    behind.store.close()
    made.close()


def ask(desk, path, body, status=200):
    reply = desk.client.post(f"/api/alarms/{path}", json=body)
    assert reply.status_code == status, reply.text
    return reply.json().get("alarm") or reply.json()["error"]


def clear(desk, number):
    """As a watch does when the machine sounds as it should again."""
    from dataclasses import replace

    (alarm,) = [a for a in desk.store.alarms() if a.id == number]
    desk.store.keep(Change(None, alarms=(replace(alarm, cleared=now()),)))


def test_an_alarm_is_acknowledged_shelved_noted_and_all_is_in_the_audit(desk):
    alarm = ask(desk, "1/acknowledge", {"note": "greased", "who": "kim"})
    assert (alarm["state"], alarm["note"]) == ("acknowledged", "greased")
    alarm = ask(desk, "1/shelve", {"hours": 1.5, "note": "until Monday", "who": "lee"})
    assert alarm["state"] == "shelved"
    assert ask(desk, "1/unshelve", {"who": "lee"})["shelved_until"] is None
    assert ask(desk, "2/note", {"note": "a new one is ordered", "who": "kim"})["state"] == "active"
    rows = desk.client.get("/api/audit").json()["rows"]
    assert [(row["verb"], row["about"], row["who"], row["outcome"]) for row in rows] == [
        ("note", "alarm 2", "kim", "done"),
        ("unshelve", "alarm 1", "lee", "done"),
        ("shelve", "alarm 1", "lee", "done"),
        ("acknowledge", "alarm 1", "kim", "done"),
    ]
    # The watch takes these up, by whoever said them.
    assert [(a.verb, a.who) for a in desk.store.actions()] == [
        ("acknowledged", "kim"), ("shelved", "lee"), ("unshelved", "lee"), ("noted", "kim"),
    ]  # fmt: skip


def test_of_two_who_acknowledge_at_once_the_first_stands(desk):
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda n: ask(desk, "1/acknowledge", {"note": str(n)}), range(8)))
    assert len({(alarm["acknowledged"], alarm["note"]) for alarm in said}) == 1


def test_a_closed_alarm_and_one_that_is_none_are_told(desk):
    ask(desk, "1/acknowledge", {})
    clear(desk, 1)
    for verb, more in (("acknowledge", {}), ("shelve", {"hours": 1}), ("unshelve", {}),
                       ("note", {"note": "x"})):  # fmt: skip
        assert "alarm 1 is closed" in ask(desk, f"1/{verb}", more, 409)
        assert "no alarm 99" in ask(desk, f"99/{verb}", more, 404)
    assert desk.client.get("/api/audit?limit=1").json()["rows"][0]["outcome"].startswith("refused:")


@pytest.mark.parametrize("hours", [0, -1, 721, "soon", None, 1e999])
def test_a_shelf_lasts_up_to_thirty_days_and_more_than_nothing(desk, hours):
    body = '{"hours": 1e999}' if hours == 1e999 else json.dumps({"hours": hours})
    headers = {"Content-Type": "application/json"}
    reply = desk.client.post("/api/alarms/1/shelve", content=body, headers=headers)
    assert reply.status_code == 422
    assert reply.json()["error"].startswith("hours: ")
    assert desk.store.actions() == []
    assert ask(desk, "1/shelve", {"hours": 720})["state"] == "shelved"


def test_a_shelf_whose_time_is_over_is_off(desk):
    at = now() - timedelta(hours=2)
    desk.store.act(Action(0, 1, "shelved", at, until=at + timedelta(hours=1)))
    assert desk.store.alarms()[0].word == "shelved"  # no watch has ended it
    assert desk.client.get("/api/alarms").json()["alarms"][0]["state"] == "active"
    # Off its shelf it may be closed, and needs nobody.
    ask(desk, "2/acknowledge", {})
    desk.store.act(Action(0, 2, "shelved", at, until=at + timedelta(hours=1)))
    clear(desk, 2)
    assert [alarm.id for alarm in alarms_now(desk.store)] == [1]
    assert [alarm.id for alarm in alarms_now(desk.store, closed=True)] == [1, 2]


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


def test_the_audit_is_read_page_by_page(desk):
    for n in range(5):
        ask(desk, "1/note", {"note": str(n)})
    first = desk.client.get("/api/audit?limit=3").json()
    rest = desk.client.get(f"/api/audit?limit=3&before={first['next']}").json()
    ids = [row["id"] for row in first["rows"] + rest["rows"]]
    assert (ids, rest["next"]) == (sorted(ids, reverse=True), None)
    assert len(ids) == 5
    for bad in ("limit=0", "limit=501", "before=-1", "before=x", f"before={10**30}"):
        assert desk.client.get(f"/api/audit?{bad}").status_code == 422
