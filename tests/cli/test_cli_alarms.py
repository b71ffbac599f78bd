"""The command alarms: what needs a person is listed, acknowledged and shelved by number."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from heard_clips import station, write_history
from nearfar.service.history.changes import Action, Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import now


@pytest.fixture
def history(tmp_path):
    return write_history(tmp_path / "plant.db")


def listed(run, *words):
    code, out, err = run("alarms", *words)
    assert code == 0, err
    return out


def test_what_needs_a_person_is_listed(run, history):
    out = listed(run, history)
    assert "1 active: pump, machine (sound), since 2026-11-29" in out
    assert "3 of the last 3 clips above the threshold" in out
    assert "2 active: pump, sensor (far dead)" in out
    assert "2 alarms to acknowledge, as with --ack 1" in out


def test_an_alarm_is_acknowledged_with_a_note_and_by_whom(run, history):
    out = listed(run, history, "--ack", 1, "--note", "bearing ordered")
    assert "1 acknowledged: pump" in out
    assert "bearing ordered" in out
    store = HistoryStore.open(str(history))
    [action] = store.actions(0)
    store.close()
    assert (action.alarm, action.verb, action.note) == (1, "acknowledged", "bearing ordered")


def test_what_was_said_reaches_the_station(run, history):
    listed(run, history, "--ack", 1, "--shelve", 2, "--for", "2h")
    store = HistoryStore.open(str(history))
    here = station(state=store.stations()["pump", "00"])
    told = [event for action in store.actions(0) for event in here.act(action)]
    store.close()
    assert [event.verb for event in told] == ["acknowledged", "shelved"]
    assert [alarm.word for alarm in here.alarms] == ["acknowledged", "shelved"]


def test_a_shelf_is_put_up_for_a_time_and_ended(run, history):
    assert "2 shelved: pump" in listed(run, history, "--shelve", 2, "--for", "2h")
    assert "2 active: pump" in listed(run, history, "--unshelve", 2)


def test_a_shelf_whose_time_is_over_is_none_though_no_watch_runs(run, history):
    store = HistoryStore.open(str(history))
    over = now() - timedelta(minutes=1)
    store.act(Action(0, 2, "shelved", over - timedelta(hours=2), until=over))
    store.close()
    out = listed(run, history)
    assert "2 active: pump" in out
    assert "2 alarms to acknowledge" in out


def becomes(history, **how):
    """As the watch keeps the first alarm."""
    store = HistoryStore.open(str(history))
    one = store.alarms()[0]
    store.keep(Change(None, alarms=(replace(one, **how),)))
    store.close()


@pytest.mark.parametrize("words", [("--shelve", 1, "--for", "2h"), ("--ack", 1), ("--unshelve", 1)])
def test_of_a_closed_alarm_nothing_is_said_nor_else_of_the_command_done(run, history, words):
    becomes(history, cleared=now(), acknowledged=now())
    code, out, err = run("alarms", history, "--ack", 2, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "alarm 1 is closed" in err
    assert "2 active" in listed(run, history)


def test_an_alarm_that_is_closed_by_its_acknowledgement_is_shown_once(run, history):
    listed(run, history, "--shelve", 1, "--for", "2h")
    becomes(history, cleared=now())
    assert "1 shelved" in listed(run, history)  # it waits for somebody, so its shelf is in sight
    listed(run, history, "--ack", 2)
    assert "1 closed: pump" in listed(run, history, "--ack", 1)
    assert "1 closed" not in listed(run, history)


def test_what_cleared_is_closed_by_an_acknowledgement_and_no_half_of_a_command_is_done(
    run, history
):
    becomes(history, cleared=now())
    code, out, err = run("alarms", history, "--ack", 1, "--shelve", 1, "--for", "2h")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--ack closes it" in err
    assert "1 cleared" in listed(run, history)


def test_what_changes_nothing_is_said(run, history):
    listed(run, history, "--ack", 1, "--note", "ordered")
    code, out, err = run("alarms", history, "--ack", 1, "--unshelve", 2)
    assert code == 0
    assert "ordered" in out
    told = err.splitlines()
    assert [line.split(" since")[0] for line in told] == [
        "alarm 1 is acknowledged", "alarm 2 is not shelved"
    ]  # fmt: skip


def test_a_program_gets_json(run, history):
    found = json.loads(listed(run, history, "--json", "-"))
    assert found["schema"] == 1
    assert [(a["id"], a["state"], a["condition"]) for a in found["alarms"]] == [
        (1, "active", "sound"), (2, "active", "far dead")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--ack", 9], "no alarm 9"),
        (["--shelve", 1], "--shelve and --for go together"),
        (["--for", "2h"], "--shelve and --for go together"),
        (["--note", "why"], "--note goes with"),
        (["--shelve", 1, "--for", "soon"], '--for "soon"; it is a duration'),
        (["--shelve", 1, "--for", "90d"], "a shelf lasts up to 30d"),
        (["--shelve", 1, "--for", "0s"], "a shelf lasts up to 30d"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_changes_nothing(run, history, words, says):
    code, out, err = run("alarms", history, *words)
    assert code == 2
    assert says in err
    assert len(err.splitlines()) == 1
    assert not out
    assert "2 alarms to acknowledge" in listed(run, history)


def test_half_of_a_command_is_not_done(run, history):
    run("alarms", history, "--ack", 1, "--ack", 9)
    assert "1 active" in listed(run, history)


def test_a_history_that_is_not_there_is_not_made(run, tmp_path):
    code, _, err = run("alarms", tmp_path / "none.db")
    assert code == 2
    assert "none.db" in err
    assert not (tmp_path / "none.db").exists()


def test_the_history_is_never_written_over_by_json(run, history):
    before = history.read_bytes()
    code, _, _ = run("alarms", history, "--json", history)
    assert code == 2
    assert history.read_bytes() == before


def test_nothing_to_do_is_said(run, tmp_path):
    HistoryStore.open(str(tmp_path / "new.db")).close()
    assert listed(run, tmp_path / "new.db") == "no alarm needs anybody\n"
    assert listed(run, tmp_path / "new.db", "--all") == "no alarm\n"
