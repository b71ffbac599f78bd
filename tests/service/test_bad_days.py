"""Bad days of a whole watch: files, folders, disks, clocks and streams that are not as they should.

Where the issue's other bad days are:

===================================  =============================================================
kill -9 at 100 moments               test_killed_watch.py (the command); history/test_killed.py
half-written, never finished         here; sources/test_folder.py, test_settling.py
deleted between event and read       here; sources/test_folder.py
10,000 files at once                 here (1,200 of them); sources/test_folder.py
newlines, bytes that are no text     test_bad_servers.py (all outputs); here (history)
a folder vanishes and returns        here; sources/test_folder.py
full or read-only disk               here; history/test_keeper.py, test_kept_audio.py
locked by another                    here; history/test_keeper.py
PostgreSQL killed and restarted      test_bad_servers.py; history/test_keeper.py
broker killed and restarted          test_bad_servers.py; outputs/test_mqtt.py
wrong password                       test_bad_servers.py; outputs/test_mqtt.py
odd byte count, 200 ppm              here; sources/test_pcm.py, test_feed.py
two watchers                         here; cli/test_watch_command.py
clock set back                       here; alarms/test_station.py, sources/test_feed.py
another machine's detector           test_watch.py; cli/test_watch_command.py; test_holding.py
SIGTERM, SIGHUP                      here (within an hour); cli/test_watch_command.py
===================================  =============================================================
"""

import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from command import nearfar
from conftest import PATIENCE, finish, stop, write
from made_history import seen
from nearfar.clips.clip import Clip
from nearfar.service import watch as watch_module
from nearfar.service.alarms.wishes import AlarmRule
from nearfar.service.equipment import reequip
from nearfar.service.history.changes import Action
from nearfar.service.history.questions import Wanted
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import now
from nearfar.service.intake import MOST, Intake
from nearfar.service.plant import HistorySettings, SourceSettings
from nearfar.service.sources.pcm import PcmSource
from tiny_disk import tiny_disk  # noqa: F401
from watches import (
    GivenSource,
    Running,
    detector_in,
    incoming,
    plant_of,
    sound,
    stamped,
    watched,
    write_new,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detector_in(tmp_path_factory.mktemp("bad"))


@pytest.fixture
def plant(detector, tmp_path):
    (tmp_path / "in" / "pump").mkdir(parents=True)
    hall = SourceSettings("hall", "folder", str(tmp_path / "in"), settle=0.1, patience=1.0)
    return plant_of(detector, source=hall, history=HistorySettings(str(tmp_path / "plant.db")))


@pytest.fixture
def new(tmp_path):
    return tmp_path / "in" / "pump"


@pytest.fixture(autouse=True)
def nothing_left(tmp_path, monkeypatch):
    """After each of these days no thread, child process or temporary file is left."""
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    monkeypatch.setenv("TMPDIR", str(own))
    threads, processes = set(threading.enumerate()), children()
    yield
    end = time.monotonic() + PATIENCE
    while left := set(threading.enumerate()) - threads:
        assert time.monotonic() < end, left
        time.sleep(0.01)
    assert children() <= processes
    assert not list(own.iterdir())


def children():
    """Processes of this one, as far as the system tells."""
    try:
        tasks = os.listdir("/proc/self/task")
        found = [Path(f"/proc/self/task/{task}/children").read_text() for task in tasks]
        return set(" ".join(found).split())
    except OSError:
        return set()


def rows(plant):
    store = HistoryStore.open(plant.history.place, make=False)
    found = list(store.rows(Wanted()))
    store.close()
    return [row.observation for row in found]


def names(observations):
    return [o.name.rpartition("/")[2] for o in observations]


# ---- files and folders ---------------------------------------------------------------------------
def test_a_file_is_heard_when_it_is_whole_and_never_before(plant, new):
    patient = replace(plant, sources=(replace(plant.sources[0], patience=600.0),))
    whole = write(new.parents[1] / "whole.wav", sound(1)).read_bytes()
    with Running(patient) as running, (new / "a.wav").open("wb", buffering=0) as growing:
        running.until(lambda: running.watch.now.ready)
        growing.write(whole[: len(whole) // 2])
        for i in range(5):  # each settles in its turn, and the half one could have
            write_new(new, f"b{i}.wav", 2 + i)
            running.until(lambda count=i + 1: len(running.listener.observations) == count)
        growing.write(whole[len(whole) // 2 :])
        growing.close()
        running.until(lambda: len(running.listener.observations) == 6)
    assert [o.status for o in rows(plant)] == ["judged"] * 6
    assert names(rows(plant))[-1] == "a.wav"


def test_what_is_never_finished_is_a_row_with_its_reason(plant, new):
    whole = write(new.parents[1] / "whole.wav", sound(1)).read_bytes()
    (new / "empty.wav").touch()
    (new / "half.wav").write_bytes(whole[:30])
    with Running(plant) as running:
        running.until(lambda: len(running.listener.observations) == 2)
        write_new(new, "good.wav", 2)
        running.until(lambda: len(running.listener.observations) == 3)
    found = {name: o for name, o in zip(names(rows(plant)), rows(plant), strict=True)}
    assert {name: o.status for name, o in found.items()} == {
        "empty.wav": "unjudged", "half.wav": "unjudged", "good.wav": "judged",
    }  # fmt: skip
    assert "empty" in found["empty.wav"].warning
    assert found["half.wav"].warning
    assert {o.machine for o in found.values()} == {"pump"}
    assert {b.machine.machine for b in running.listener.bulletins} == {"pump"}
    # Nobody asks for them again, and nothing is told twice.
    with Running(plant) as running:
        running.until(lambda: running.watch.now.ready)
        write_new(new, "later.wav", 3)
        running.until(lambda: running.listener.observations)
    assert names(running.listener.observations) == ["later.wav"]


def test_a_file_deleted_before_it_is_read_is_a_row_that_says_so(plant, tmp_path):
    files = [write_new(tmp_path / "new", f"{i}.wav", i) for i in range(3)]
    running = Running(plant, GivenSource([incoming(f) for f in files], ends=False))
    told = running.listener.tell

    def delete(bulletin):
        told(bulletin)
        files[1].unlink(missing_ok=True)

    running.listener.tell = delete
    with running:
        running.until(lambda: len(running.listener.observations) == 3)
    assert [o.status for o in rows(plant)] == ["judged", "unjudged", "judged"]
    assert "no such file" in rows(plant)[1].warning


def test_a_deleted_file_that_is_to_be_cut(plant, tmp_path):
    """Its length is asked for before it is read."""
    cut = replace(plant, sources=(replace(plant.sources[0], clip_seconds=1.5),))
    file = write_new(tmp_path / "new", "0.wav", 0)
    given = incoming(file)
    file.unlink()
    _, listener, _ = watched(cut, GivenSource([given]))
    assert [o.status for o in listener.observations] == ["unjudged"]


def test_thousands_of_files_at_once(plant, new):
    """Of 300 sounds; what is there four times is heard once. All that is silent costs little.

    More than the queue between folder and watch takes; 10,000 are in sources/test_folder.py.
    """
    assert MOST < 1_200
    for i in range(300):
        level = 1.0 if i < 100 else 0.01  # the machine stands
        first = write(new / f"{i:04}.wav", level * sound(i, seconds=1.0))
        for copy in range(1, 4):
            os.link(first, new / f"{i:04}.{copy}.wav")
    with Running(plant) as running:
        running.until(lambda: running.watch.now.clips + running.watch.now.duplicates == 1_200)
        assert running.watch.now.clips == 300
        assert running.watch.now.queued == 0
    found = rows(plant)
    assert len({o.digest for o in found}) == len(found) == 300
    assert sum(o.status == "judged" for o in found) == 100


def test_stopped_and_changed_while_the_queue_is_full(plant, new):
    """Neither end nor other settings wait for who waits to put something; nothing is lost by it."""
    first = write_new(new, "0000.wav", 0)
    for i in range(1, 150):
        os.link(first, new / f"{i:04}.wav")

    def full(then):
        """A watch that does something while it hears its first clip, and 20 others wait."""
        running = Running(plant)
        running.watch._intake = Intake(20)
        told = running.listener.tell

        def tell(bulletin):
            told(bulletin)
            if bulletin.observation is not None:
                while running.watch.now.queued < 20:
                    time.sleep(0.01)
                then(running)

        running.listener.tell = tell
        return running

    with full(lambda running: running.watch.stop()) as running:
        running.until(lambda: running.listener.observations)
    assert running.watch.now.queued == 20
    os.utime(first, (1_700_000_000, 1_700_000_000))  # all are other files now, of the same sound
    rest = write_new(new, "0000_new.wav", 5)
    os.utime(rest, (1_600_000_000, 1_600_000_000))
    slower = replace(plant, sources=(replace(plant.sources[0], settle=0.2),))

    def change(running):
        running.watch.change(lambda old: reequip(slower, old, lambda: running.watch.now))
        running.listener.tell = lambda bulletin: type(running.listener).tell(
            running.listener, bulletin
        )

    with full(change) as running:
        running.until(lambda: running.log.of("reload") == ["taken over"])
        write_new(new, "late.wav", 1)
        running.until(lambda: running.listener.observations)
        running.until(lambda: len(running.listener.observations) == 2)
    assert names(running.listener.observations) == ["0000_new.wav", "late.wav"]
    assert names(rows(plant)) == ["0000.wav", "0000_new.wav", "late.wav"]


def test_a_folder_that_vanishes_and_returns(plant, new, tmp_path):
    write_new(new, "a.wav", 1)
    with Running(plant) as running:
        running.until(lambda: running.listener.observations)
        (tmp_path / "in").rename(tmp_path / "away")
        running.until(lambda: running.listener.events)
        assert "gone" in running.watch.now.sources["hall"]
        write_new(tmp_path / "away" / "pump", "b.wav", 2)
        (tmp_path / "away").rename(tmp_path / "in")
        running.until(lambda: len(running.listener.observations) == 2)
        running.until(lambda: len(running.listener.events) == 2)
        assert running.watch.now.sources == {"hall": ""}
    assert [(e.condition, e.verb) for e in running.listener.events] == [
        ("stream lost", "raised"), ("stream lost", "cleared"),
    ]  # fmt: skip
    assert names(rows(plant)) == ["a.wav", "b.wav"]


# ---- disks and databases -------------------------------------------------------------------------
def test_on_a_full_disk_scoring_goes_on_and_all_is_kept_later(plant, new, tiny_disk):  # noqa: F811
    history = HistorySettings(str(tiny_disk / "plant.db"), keep_audio="all")
    plant = replace(plant, history=history)
    for i in range(60):
        write_new(new, f"{i:02}.wav", i, anomaly=i > 50)
    stone = tiny_disk / "stone"
    running = Running(plant)
    with stone.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    with running:
        running.until(lambda: len(running.listener.observations) == 60)
        running.until(lambda: running.log.of("trouble"))
        health = running.watch.now
        assert health.unkept
        assert "not kept yet" in health.history
        assert "free some space" in health.history
        assert running.log.of("audio")
        assert [e.verb for e in running.listener.events if e.kind == "machine"] == ["raised"]
        stone.unlink()
        running.until(lambda: not running.watch.now.unkept)
        running.until(lambda: running.log.of("works again"))
        assert running.watch.now.history == ""
    assert [o.name for o in rows(plant)] == [o.name for o in running.listener.observations]
    store = HistoryStore.open(plant.history.place, make=False)
    assert [e.id for e in store.events()] == [e.id for e in running.listener.events]
    store.close()


def test_a_disk_that_cannot_be_written_to_is_one_line_at_the_start(plant, tiny_disk):  # noqa: F811
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    process = nearfar(
        "watch", plant.machines[0].detector.folder, plant.sources[0].place, "--history",
        tiny_disk / "plant.db",
    )  # fmt: skip
    _, err = finish(process)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert "Read-only file system" in err


def test_a_database_that_another_locks_stops_no_clip(plant, new):
    with Running(plant) as running:
        running.until(lambda: running.watch.now.ready)
        other = sqlite3.connect(plant.history.place, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for i in range(12):
            write_new(new, f"{i:02}.wav", i, anomaly=i > 5)
        running.until(lambda: len(running.listener.observations) == 12)
        assert all(b.row is None for b in running.listener.bulletins)
        assert running.listener.events
        assert "end that one's transaction" in running.watch.now.history
        other.execute("ROLLBACK")
        other.close()
        running.until(lambda: not running.watch.now.unkept)
    assert [o.name for o in rows(plant)] == [o.name for o in running.listener.observations]
    # None is heard again, for all were kept with their files.
    with Running(plant) as running:
        running.until(lambda: running.watch.now.ready)
        write_new(new, "late.wav", 99)
        running.until(lambda: running.listener.observations)
        assert running.watch.now.duplicates == 0
    assert names(running.listener.observations) == ["late.wav"]


def test_of_two_watches_the_second_is_refused_and_the_first_goes_on(plant, new):
    with Running(plant) as running:
        running.until(lambda: running.watch.now.ready)
        process = nearfar(
            "watch", plant.machines[0].detector.folder, new, "--history", plant.history.place
        )
        out, err = finish(process)
        assert (process.returncode, out, err.count("\n")) == (2, "", 1)
        assert str(os.getpid()) in err
        write_new(new, "a.wav", 1)
        running.until(lambda: running.listener.observations)
    assert names(rows(plant)) == ["a.wav"]


# ---- clocks --------------------------------------------------------------------------------------
def test_a_clock_set_back_one_hour(plant, tmp_path, monkeypatch):
    """Rows stay in the order of arrival, no clip is missing for it, and a shelf stands."""
    machine = replace(plant.machines[0], alarm={"every": 2.0, "rule": AlarmRule(2, 3)})
    plant = replace(plant, machines=(machine,))
    back = timedelta(0)
    monkeypatch.setattr(watch_module, "now", lambda: now() + back)
    files = [write_new(tmp_path / "new", f"{i}.wav", i, anomaly=True) for i in range(6)]
    source = GivenSource(ends=False)
    with Running(plant, source) as running:

        def hear(file, count):
            source.put(replace(incoming(file), arrived=now() + back))
            running.until(lambda: len(running.listener.observations) == count)

        for count, file in enumerate(files[:3], 1):
            hear(file, count)
        [alarm] = running.have.posts["pump", "00"].station.alarms
        beside = HistoryStore.open(plant.history.place)
        beside.act(Action(0, alarm.id, "shelved", now(), until=now() + timedelta(minutes=30)))
        running.until(lambda: running.listener.events[-1].verb == "shelved")
        back = -timedelta(hours=1)
        for count, file in enumerate(files[3:], 4):
            hear(file, count)
        # Its clock goes on from there, and the shelf still stands.
        seen = len(running.listener.bulletins)
        running.watch._next = 0.0
        hear(write_new(tmp_path / "new", "late.wav", 50, anomaly=True), 7)
        assert len(running.listener.bulletins) > seen
        beside.act(Action(0, alarm.id, "unshelved", now()))
        running.until(lambda: running.listener.events[-1].verb == "unshelved")
        beside.close()
    assert [(e.kind, e.verb) for e in running.listener.events] == [
        ("machine", "raised"), ("machine", "shelved"), ("machine", "unshelved"),
    ]  # fmt: skip
    by_number = sorted((b.row, b.observation.name) for b in running.listener.bulletins if b.row)
    assert [name for _, name in by_number] == [o.name for o in running.listener.observations]


def test_two_hundred_ppm_are_no_fault(plant, tmp_path):
    """Recorders' clocks: files and streams that are a little long, an hour of them too."""
    long = sound(1)
    long = np.concatenate([long, long[:, :5]], axis=1)  # 200 ppm of 24,000
    files = [write(tmp_path / "new" / "a.wav", long)]
    whole = np.concatenate([sound(10 + i) for i in range(20)], axis=1)
    files.append(write(tmp_path / "new" / "hour.wav", np.concatenate([whole, long[:, :96]], 1)))
    _, listener, log = watched(plant, GivenSource([incoming(f) for f in files]))
    assert [o.status for o in listener.observations] == ["judged"] * 21
    assert not any(o.faults for o in listener.observations)
    stream = np.concatenate([sound(40 + i) for i in range(20)] + [long[:, :96]], axis=1)
    raw = (stream.T * 32767).astype("<i2").tobytes()
    source = PcmSource("hall", io.BytesIO(raw), rate=16_000, seconds=1.5, machine="pump")
    _, listener, log = watched(plant, source)
    assert [o.status for o in listener.observations] == ["judged"] * 20
    assert not any(o.faults for o in listener.observations)
    assert not log.of("format")


# ---- processes -----------------------------------------------------------------------------------
def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_raw_sound_that_ends_within_a_sample(plant):
    raw = (np.concatenate([sound(i) for i in range(3)], axis=1).T * 32767).astype("<i2").tobytes()
    done = subprocess.run(
        [sys.executable, "-m", "nearfar", "watch", plant.machines[0].detector.folder, "-",
         "--machine", "pump", "--rate", "16000", "--json", "-", "--log", "json"],
        input=raw + b"\x01\x02\x03", capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    found = [line["observation"] for line in lines(done.stdout.decode()) if line["observation"]]
    assert [o["status"] for o in found] == ["judged"] * 3
    [told] = [line for line in lines(done.stderr.decode()) if line["event"] == "format"]
    assert "3 bytes at the end are no whole sample" in told["message"]


@pytest.fixture
def hour(plant, new):
    """The command on a folder with one long recording: 100 clips of it."""
    part = np.concatenate([sound(i) for i in range(10)], axis=1)
    level = np.repeat(np.linspace(0.5, 1.0, 10), part.shape[1])
    write(new / "long.wav", np.tile(part, 10) * level)
    os.utime(new / "long.wav", (1_700_000_000, 1_700_000_000))

    def begin(*more):
        return nearfar(
            "watch", plant.machines[0].detector.folder, new.parent, "--history",
            plant.history.place, "--settle", "0s", "--json", "-", *more,
        )  # fmt: skip

    return begin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_within_an_hour_it_goes_on_behind_the_clip_at_hand(plant, hour, number):
    process = hour()
    try:
        assert process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        stop([process])
    assert (process.returncode, "Traceback" in err) == (0, False)
    first = rows(plant)
    assert 1 <= len(first) < 100
    process = hour("--once")
    out, err = finish(process)
    assert process.returncode == 0, err
    assert sum(line["observation"] is not None for line in lines(out)) == 100 - len(first)
    found = rows(plant)
    assert found[: len(first)] == first
    assert len({o.name for o in found}) == len({o.digest for o in found}) == 100


def test_begun_again_it_reads_nothing_of_what_it_knows(plant, new, run, monkeypatch, capsys):
    """A thousand files that are known and 20,000 rows: no sound is read, and little is done."""
    first = write_new(new, "0000.wav", 0)
    for i in range(1, 1_000):
        os.link(first, new / f"{i:04}.wav")
    os.utime(first, (1_700_000_000, 1_700_000_000))
    fill(plant.history.place, 20_000, tuple(map(stamped, new.iterdir())))
    arguments = [
        "watch", plant.machines[0].detector.folder, new.parent, "--once", "--settle", "0s",
        "--history", plant.history.place, "--quiet",
    ]  # fmt: skip
    reads = []
    monkeypatch.setattr(Clip, "read_recorded", lambda *_: reads.append(1))
    assert run(*arguments)[0] == 0
    assert not reads
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = nearfar(*arguments)
    _, err = finish(process)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (process.returncode, err) == (0, "")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with capsys.disabled():
        print(f"\nrestart with 1,000 known files and 20,000 rows: {spent:.2f} s of CPU")
    assert len(rows(plant)) == 20_000


def fill(place, count, files):
    """Rows of other clips, and files that are done."""
    store = HistoryStore.open(place, watching=True)
    with store._access.writing() as connection:  # in one transaction: a commit for each takes long
        for i in range(count):
            store._row(connection, seen(i))
        store._mark(connection, files, now())
    store.close()
