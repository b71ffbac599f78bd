"""What people say of alarms on the page, alone and two at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from desks import AlarmsDesk
from nearfar.page.said.shelving import alarms_now, alarms_said
from nearfar.service.history.changes import Action, Change
from nearfar.service.incoming import now


@pytest.fixture
def desk(tmp_path):
    made = AlarmsDesk(tmp_path)
    yield made
    made.close()


def clear(desk, number):
    """As a watch does when the machine sounds as it should again."""
    (alarm,) = [a for a in desk.store.alarms() if a.id == number]
    desk.store.keep(Change(None, alarms=(replace(alarm, cleared=now()),)))


def test_an_alarm_is_acknowledged_shelved_noted_and_all_is_in_the_audit(desk):
    alarm = desk.say("1/acknowledge", {"note": "greased", "who": "kim"})
    assert (alarm["state"], alarm["note"]) == ("acknowledged", "greased")
    alarm = desk.say("1/shelve", {"hours": 1.5, "note": "until Monday", "who": "lee"})
    assert alarm["state"] == "shelved"
    assert desk.say("1/unshelve", {"who": "lee"})["shelved_until"] is None
    assert desk.say("2/note", {"note": "a new one is ordered", "who": "kim"})["state"] == "active"
    rows = desk.client.get("/api/audit").json()["rows"]
    assert [(row["verb"], row["about"], row["who"], row["outcome"]) for row in rows] == [
        ("note", "alarm 2 of pump; note: a new one is ordered", "kim", "done"),
        ("unshelve", "alarm 1 of pump", "lee", "done"),
        ("shelve", "alarm 1 of pump; note: until Monday", "lee", "done"),
        ("acknowledge", "alarm 1 of pump; note: greased", "kim", "done"),
    ]
    # What one said another's words do not replace.
    one, two = desk.client.get("/api/alarms").json()["alarms"]
    assert [(d["verb"], d["who"], d["note"]) for d in one["said"]] == [
        ("acknowledged", "kim", "greased"), ("shelved", "lee", "until Monday"),
        ("unshelved", "lee", ""),
    ]  # fmt: skip
    assert one["said"][0]["at"] == one["acknowledged"]
    assert [d["note"] for d in two["said"]] == ["a new one is ordered"]
    # The watch takes these up, by whoever said them.
    assert [(a.verb, a.who) for a in desk.store.actions()] == [
        ("acknowledged", "kim"), ("shelved", "lee"), ("unshelved", "lee"), ("noted", "kim"),
    ]  # fmt: skip


def test_of_two_who_acknowledge_at_once_the_first_stands(desk):
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda n: desk.say("1/acknowledge", {"note": str(n)}), range(8)))
    assert len({(alarm["acknowledged"], alarm["note"]) for alarm in said}) == 1
    # What each had to say is kept, and the audit says whose it was.
    alarm = next(a for a in alarms_said(desk.store) if a["id"] == 1)
    assert sorted(d["note"] for d in alarm["said"]) == [str(n) for n in range(8)]
    outcomes = [row.outcome for row in desk.store.audit()]
    assert sorted(outcomes) == ["done"] + ["done: was acknowledged already"] * 7


def test_every_note_is_kept_and_the_newest_is_shown(desk):
    desk.say("1/acknowledge", {"note": "mine", "who": "kim"})
    desk.say("1/note", {"note": "bearing", "who": "lee"})
    alarm = desk.say("1/note", {"note": "ordered", "who": "kim"})
    assert alarm["note"] == "ordered"
    assert [d["note"] for d in alarm["said"]] == ["mine", "bearing", "ordered"]
    clear(desk, 1)
    assert [a["id"] for a in alarms_said(desk.store)] == [2]
    closed = alarms_said(desk.store, closed=True)
    assert [[d["note"] for d in a["said"]] for a in closed] == [["mine", "bearing", "ordered"], []]


def test_of_a_closed_alarm_what_was_done_is_done_and_the_rest_cannot_be_meant(desk):
    desk.say("1/acknowledge", {"note": "first"})
    clear(desk, 1)
    for verb, more in (("shelve", {"hours": 1}), ("note", {"note": "x"})):
        assert "alarm 1 is closed" in desk.say(f"1/{verb}", more, 409)
    assert desk.client.get("/api/audit?limit=1").json()["rows"][0]["outcome"].startswith("refused:")
    for verb in ("acknowledge", "unshelve"):
        alarm = desk.say(f"1/{verb}", {"note": "second"} if verb == "acknowledge" else {})
        assert (alarm["state"], alarm["note"]) == ("closed", "first")
    for verb, more in (("acknowledge", {}), ("shelve", {"hours": 1}), ("unshelve", {}),
                       ("note", {"note": "x"})):  # fmt: skip
        assert "no alarm 99" in desk.say(f"99/{verb}", more, 404)


def test_who_acknowledges_what_another_closed_just_now_is_not_refused(desk, monkeypatch):
    clear(desk, 1)
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda n: desk.say("1/acknowledge", {"note": str(n)}), range(8)))
    assert {alarm["state"] for alarm in said} == {"closed"}
    assert len({(alarm["acknowledged"], alarm["note"]) for alarm in said}) == 1
    assert {deed.note for deed in desk.store.actions()} == {str(n) for n in range(8)}
    # Between a look and the deed, too.
    look, closed, looks = desk.store.alarm, [], []

    def late(number):
        found = look(number)
        looks.append(number)
        if len(looks) == 2:  # the first is for the audit
            closed.append(desk.store.act(Action(0, 2, "acknowledged", now())))
        return found

    clear(desk, 2)
    monkeypatch.setattr(desk.store, "alarm", late)
    assert desk.say("2/acknowledge", {})["state"] == "closed"


def test_a_shelf_whose_time_is_over_is_off(desk):
    at = now() - timedelta(hours=2)
    desk.store.act(Action(0, 1, "shelved", at, until=at + timedelta(hours=1)))
    assert desk.store.alarms()[0].word == "shelved"  # no watch has ended it
    assert desk.client.get("/api/alarms").json()["alarms"][0]["state"] == "active"
    # Off its shelf it may be closed, and needs nobody.
    desk.say("2/acknowledge", {})
    desk.store.act(Action(0, 2, "shelved", at, until=at + timedelta(hours=1)))
    clear(desk, 2)
    assert [alarm.id for alarm in alarms_now(desk.store)] == [1]
    assert [alarm.id for alarm in alarms_now(desk.store, closed=True)] == [1, 2]
