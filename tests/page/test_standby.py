"""Detectors without a watch: whose machine is whose, what is seen, what is taken over."""

import sqlite3
import time

import pytest

from conftest import PATIENCE, refused
from made_history import seen
from nearfar.page.standby import Standby, standby_plant
from nearfar.service.history.changes import AuditRow, Change
from nearfar.service.history.database import CALM
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import now
from nearfar.service.plant import DetectorSettings, HistorySettings, PageSettings
from plants import by_hand
from watches import Lines

PAGE = PageSettings("127.0.0.1:0")


@pytest.fixture
def two(tmp_path):
    """Two detectors of two machines each, none in common."""
    by_hand().save(tmp_path / "a")
    by_hand((("saw", "00"), ("saw", "01"))).save(tmp_path / "b")
    return [DetectorSettings(tmp_path / name) for name in "ab"]


def stood_by(detectors, place="", names=()):
    lines = Lines()
    plant = standby_plant(detectors, names, HistorySettings(str(place)), PAGE)
    return Standby(plant, lines), lines


def test_machines_of_all_detectors_are_served_each_by_its_own(two):
    standby, _ = stood_by(two)
    assert list(standby.holds) == [("fan", "00"), ("pump", "00"), ("saw", "00"), ("saw", "01")]
    assert standby.holds["saw", "01"] is standby.holds["saw", "00"]
    assert standby.holds["fan", "00"].settings == two[0]
    assert list(standby.now.machines) == list(standby.holds)
    assert all(machine.last is None for machine in standby.now.machines.values())
    assert (standby.busy, standby.watches, standby.now.ready) == (False, False, True)
    standby.close()


def test_of_several_those_are_served_that_are_named(two):
    plant = standby_plant(two, ["saw", "fan"], HistorySettings(), PAGE)
    assert [m.key for m in plant.machines] == [("fan", "00"), ("saw", "00"), ("saw", "01")]
    assert plant.page is PAGE
    line = refused(lambda: standby_plant(two, ["swa"], HistorySettings(), PAGE))
    assert line == "no detector knows 'swa'; did you mean 'saw'? It has: fan, pump, saw"


def test_a_machine_that_two_detectors_know_is_one_line(two, tmp_path):
    by_hand((("pump", "00"), ("new", "00"))).save(tmp_path / "c")
    both = [*two, DetectorSettings(tmp_path / "c")]
    line = refused(lambda: standby_plant(both, (), HistorySettings(), PAGE))
    assert f"{tmp_path / 'c'}: knows pump, and so does {tmp_path / 'a'}; leave one" in line
    # What is not served is nobody's second.
    assert len(standby_plant(both, ["new"], HistorySettings(), PAGE).machines) == 1


def test_it_shows_what_another_process_writes_and_takes_nothing_from_it(two, tmp_path):
    writer = HistoryStore.open(str(tmp_path / "p.db"), watching=True)
    writer.keep(Change(seen(1, machine="pump")))
    standby, lines = stood_by(two, tmp_path / "p.db")
    assert standby.now.machines["pump", "00"].last.machine == "pump"
    shown = []
    writer.keep(Change(seen(2, machine="fan")))
    standby.look(shown.append)
    assert [b.observation.machine for b in shown] == ["fan"]
    assert standby.now.machines["fan", "00"].clips == 1
    standby.close()
    writer.keep(Change(seen(3, machine="fan")))  # its lock is its own, as it was
    writer.close()
    assert lines.lines == []


def test_a_history_that_fails_is_told_once_and_what_was_known_stays(two, tmp_path):
    writer = HistoryStore.open(str(tmp_path / "p.db"), watching=True)
    writer.keep(Change(seen(1, machine="pump")))
    writer.close()
    standby, lines = stood_by(two, tmp_path / "p.db")
    standby.store.close()
    for _ in range(3):
        standby.look(lambda bulletin: None)
    assert "is closed" in standby.now.history
    assert [name for name, _, _ in lines.lines] == ["trouble"]
    assert standby.now.machines["pump", "00"].last is not None
    standby.close()


def test_one_that_is_not_there_yet_is_made_and_a_file_of_others_is_left(two, tmp_path):
    standby, _ = stood_by(two, tmp_path / "new.db")
    standby.close()
    assert HistoryStore.open(str(tmp_path / "new.db"), make=False).machines() == []
    (tmp_path / "mine.txt").write_text("mine")
    refused(lambda: stood_by(two, tmp_path / "mine.txt"), "is no SQLite database")
    (tmp_path / "empty.db").write_text("")
    refused(lambda: stood_by(two, tmp_path / "empty.db"), "has no history in it")


def test_a_detector_that_the_page_changed_judges_at_once(two, tmp_path):
    standby, lines = stood_by(two)
    hold = standby.holds["pump", "00"]
    before = hold.identity
    by_hand(seed=1).save(tmp_path / "a")
    standby.renewed()
    assert hold.identity != before
    assert lines.of("detector") == [
        f"{tmp_path / 'a'}: replaced on disk; {hold.identity} judges from the next clip on"
    ]
    standby.close()


@pytest.mark.slow
def test_it_looks_by_itself_until_it_is_closed(two, tmp_path):
    writer = HistoryStore.open(str(tmp_path / "p.db"), watching=True)
    standby, _ = stood_by(two, tmp_path / "p.db")
    shown = []
    standby.start(shown.append)
    writer.keep(Change(seen(1, machine="pump")))
    latest = time.monotonic() + PATIENCE
    while not shown:
        assert time.monotonic() < latest
        time.sleep(0.02)
    standby.close()
    writer.close()
    assert shown[0].observation.machine == "pump"


@pytest.mark.slow
def test_a_hundred_machines_are_shown_at_once(tmp_path, monkeypatch):
    """Of many rows; a look is a handful of questions, however many machines there are."""
    keys = [(f"machine{n:02d}", "00") for n in range(100)]
    by_hand(keys).save(tmp_path / "many")
    writer = HistoryStore.open(str(tmp_path / "p.db"), watching=True)
    for n in range(200):
        writer.keep(Change(seen(n, machine=keys[n % 100][0])))
    standby, _ = stood_by([DetectorSettings(tmp_path / "many")], tmp_path / "p.db")
    asked = []
    whole = standby.store._access.reading
    monkeypatch.setattr(standby.store._access, "reading", lambda: asked.append(1) or whole())
    standby.look(lambda bulletin: None)
    assert len(standby.now.machines) == 100
    assert all(machine.last is not None for machine in standby.now.machines.values())
    assert len(asked) <= 5
    standby.close()
    writer.close()


def test_while_another_program_holds_the_history_it_refuses_soon(two, tmp_path):
    """Each waits for the one before it: with a terminal's patience the tenth would for minutes."""
    standby, _ = stood_by(two[:1], tmp_path / "plant.db")
    other = sqlite3.connect(tmp_path / "plant.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    row = AuditRow(0, now(), "kim", "operator", "127.0.0.1", "note", "alarm 1")
    begun = time.monotonic()
    for _ in range(3):
        refused(lambda: standby.store.audit_begin(row), "another program holds it")
    assert time.monotonic() - begun < CALM / 2
    other.execute("ROLLBACK")
    other.close()
    assert standby.store.audit_begin(row) == 1
    standby.close()
