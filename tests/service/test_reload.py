"""Settings read anew while a watch goes on: what cannot be begun changes nothing."""

import socket
import threading
from dataclasses import replace

import numpy as np
import pytest

from conftest import write
from nearfar.errors import DatasetError, StorageError
from nearfar.service.equipment import equip, reequip
from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Notice
from nearfar.service.plant import HistorySettings, SourceSettings
from watches import (
    GivenSource,
    Listener,
    Running,
    detector_in,
    incoming,
    plant_of,
    sound,
    write_new,
)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detector_in(tmp_path_factory.mktemp("watched"))


@pytest.fixture
def plant(detector, tmp_path):
    (tmp_path / "in").mkdir()
    hall = SourceSettings("hall", "folder", str(tmp_path / "in"), settle=0.0)
    return plant_of(detector, source=hall, history=HistorySettings(str(tmp_path / "plant.db")))


def change(running, plant, sources=None):
    """Have other settings taken over; the line that is said of it."""
    before = len(running.log.of("reload"))

    def how(old):
        new = reequip(plant, old, lambda: running.watch.now)
        return new if sources is None else replace(new, sources=sources)

    running.watch.change(how)
    running.until(lambda: len(running.log.of("reload")) > before)
    return running.log.of("reload")[-1]


def test_sources_know_what_waits_to_be_kept(plant, tmp_path, monkeypatch):
    def full(*_):
        raise StorageError("plant.db: cannot be written (No space left on device)")

    have = equip(plant, lambda: None)
    files = incoming(write_new(tmp_path / "in", "a.wav", 1)).files
    assert not have.sources["hall"]._knows(files)
    monkeypatch.setattr(HistoryStore, "keep", full)
    have.keeper.keep(Change(None, files))
    assert have.sources["hall"]._knows(files)
    have.store.close()


@pytest.mark.slow
def test_a_folder_that_is_not_there_is_refused_and_the_old_one_goes_on(plant, tmp_path):
    other = replace(plant.sources[0], place=str(tmp_path / "gone"))
    with Running(plant) as running:
        running.until(lambda: running.watch.now.ready)
        before = threading.active_count()
        line = change(running, replace(plant, sources=(other,)))
        assert line.startswith("not taken over, the old one goes on: ")
        assert str(tmp_path / "gone") in line
        assert threading.active_count() == before
        write_new(tmp_path / "in" / "pump", "a.wav", 1)
        running.until(lambda: running.listener.observations)
        # Mended, it is taken over, and what is in it is heard.
        write_new(tmp_path / "gone" / "pump", "b.wav", 2)
        assert change(running, replace(plant, sources=(other,))) == "taken over"
        running.until(lambda: len(running.listener.observations) == 2)


@pytest.mark.slow
def test_an_address_that_is_taken_is_refused_and_all_goes_on(plant, tmp_path):
    with Running(plant) as running, socket.socket() as taken:
        running.until(lambda: running.watch.now.ready)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert address in change(running, replace(plant, metrics=address))
        assert not running.watch.now.outputs[1:]
        write_new(tmp_path / "in" / "pump", "a.wav", 1)
        running.until(lambda: running.listener.observations)


@pytest.mark.slow
def test_what_waits_of_a_source_that_is_taken_out_harms_nobody(plant, tmp_path):
    new = [incoming(write_new(tmp_path / "new", f"{i}.wav", i)) for i in range(3)]
    old = GivenSource(new[:1], ends=False)
    other = SourceSettings("shed", "folder", str(tmp_path / "in"), settle=0.0)
    shed = GivenSource(name="shed", ends=False)
    with Running(plant, old) as running:
        running.until(lambda: running.listener.observations)
        told, put = running.listener.tell, old.put

        def late(bulletin):
            told(bulletin)
            if len(running.listener.bulletins) == count + 1:  # while settings change
                put(new[1])
                put(Notice("hall", "ended", "hall: no more"))

        count, running.listener.tell = len(running.listener.bulletins), late
        changed = replace(plant, sources=(other,))
        assert change(running, changed, {"shed": shed}) == "taken over"
        shed.put(replace(new[2], source="shed"))
        running.until(lambda: len(running.listener.observations) == 2)
        assert running.watch.now.sources == {"shed": ""}
    assert [o.source for o in running.listener.observations] == ["hall", "shed"]


@pytest.mark.slow
def test_a_machine_that_is_taken_out_within_an_hour_of_it(plant, tmp_path):
    long = write(tmp_path / "long.wav", np.concatenate([sound(i) for i in range(6)], axis=1))
    source = GivenSource([incoming(long)], ends=False)
    lathe = replace(plant, machines=(replace(plant.machines[0], name="pump", section="00"),))
    with Running(plant, source) as running:
        told, said = running.listener.tell, []

        def second(bulletin):
            told(bulletin)
            if len(running.listener.observations) == 2 and not said:
                said.append(True)
                running.watch._next = 0.0  # what a second later would be

                def how(old):
                    new = reequip(lathe, old, lambda: running.watch.now)
                    new.posts._posts.clear()
                    return replace(new, sources=old.sources)

                running.watch.change(how)

        running.listener.tell = second
        running.until(lambda: running.log.of("reload"))
        running.until(lambda: running.watch.now.queued == 0)
    assert len(running.listener.observations) == 2


class Deaf(Listener):
    """An output of the settings that says nothing."""

    said = 0

    def tell(self, bulletin):
        pass


@pytest.mark.slow
def test_an_output_in_the_place_of_one_that_said_nothing_says_all(plant, tmp_path):
    new = [incoming(write_new(tmp_path / "new", f"{i}.wav", i, anomaly=True)) for i in range(3)]
    source, spoken = GivenSource(new, ends=False), Listener()
    running = Running(plant, source)
    running.watch._with = running.have = replace(running.have, own={"dead": Deaf()})
    with running:
        running.until(lambda: running.listener.events)
        running.watch.change(lambda old: replace(old, own={"living": spoken}))
        running.until(lambda: running.log.of("reload"))
    assert [event.verb for event in spoken.events] == ["raised"]
    # And how machines are, though none was heard since.
    assert spoken.bulletins[-1].machine.clips == 3


def test_a_folder_that_is_not_there_at_the_start_ends_it_with_a_line(plant, tmp_path):
    (tmp_path / "in").rmdir()
    running, before = Running(plant), set(threading.enumerate())
    with pytest.raises(DatasetError, match="cannot be watched"):
        running.watch()
    assert set(threading.enumerate()) == before
    equip(plant, lambda: None).store.close()  # nothing holds the history
