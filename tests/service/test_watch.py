"""The watch: each clip once, kept, then told; and what bad days do to it."""

import os
import threading
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import PATIENCE, write
from nearfar.clips.clip import Clip
from nearfar.detector.detector import Detector
from nearfar.errors import SettingError, StorageError, warn
from nearfar.service.equipment import equip, reequip
from nearfar.service.history.changes import Action
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Incoming, Notice, now
from nearfar.service.plant import HistorySettings
from nearfar.service.watch import Watch
from watches import (
    GivenSource,
    Lines,
    Listener,
    Running,
    detector_in,
    incoming,
    plant_of,
    sound,
    watched,
    write_new,
)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detector_in(tmp_path_factory.mktemp("watched"))


@pytest.fixture
def plant(detector, tmp_path):
    return plant_of(detector, history=HistorySettings(str(tmp_path / "plant.db")))


@pytest.fixture
def new(tmp_path):
    """Files of five normal clips and five of a fault."""
    return [write_new(tmp_path / "new", f"{i}.wav", i, anomaly=i > 4) for i in range(10)]


def rows(plant):
    store = HistoryStore.open(plant.history.place)
    found = list(store.observations())
    store.close()
    return found


def test_each_clip_is_a_row_and_the_alarm_comes_with_the_third(plant, new):
    _, listener, log = watched(plant, GivenSource([incoming(p) for p in new]))
    assert [Path(o.path) for o in listener.observations] == new
    assert [o.as_dict() for o in rows(plant)] == [o.as_dict() for o in listener.observations]
    scores = nf.load(plant.machines[0].detector.folder).score(nf.Clips.open(new[0].parent))
    assert [o.score for o in listener.observations] == [v.score for v in scores]
    [event] = listener.events
    assert (event.kind, event.verb) == ("machine", "raised")
    assert [b.observation.name[-5:] for b in listener.bulletins if b.events] == ["7.wav"]
    # With the number by which people acknowledge it.
    assert log.of("alarm raised") == [f"alarm {event.alarm}: {event.told}"]


def test_what_was_heard_is_not_heard_again(plant, new):
    watched(plant, GivenSource([incoming(p) for p in new]))
    copy = write_new(new[0].parent, "copy.wav", 0)
    _, listener, log = watched(plant, GivenSource([incoming(p) for p in [*new, copy]]))
    assert not listener.observations
    assert len(log.of("duplicate")) == 11
    assert len(rows(plant)) == 10


def test_the_alarm_goes_on_where_the_watch_ended(plant, new):
    watched(plant, GivenSource([incoming(p) for p in new[3:7]]))  # two of five are above
    _, listener, _ = watched(plant, GivenSource([incoming(new[7])]))
    assert [event.verb for event in listener.events] == ["raised"]
    _, listener, _ = watched(plant, GivenSource([]))
    [alarm] = listener.bulletins[-1].machine.alarms
    assert alarm.word == "active"


def test_a_clip_of_nobody_is_a_row_that_says_so(plant, new):
    two = replace(
        plant, machines=(plant.machines[0], replace(plant.machines[0], name="pump", section="01"))
    )
    with pytest.raises(nf.NearfarError, match="pump 01"):
        watched(two, GivenSource([]))
    lathe = incoming(new[0], machine="lathe", split="test")
    _, listener, log = watched(plant, GivenSource([lathe]))
    [seen] = listener.observations
    assert (seen.machine, seen.status) == ("lathe", "unjudged")
    assert "nobody watches 'lathe'" in seen.warning
    assert len(log.of("unjudged")) == 1
    assert [row.machine for row in rows(plant)] == ["lathe"]


def test_an_hour_is_cut_and_its_file_known_with_the_last_part(plant, tmp_path):
    long = write(tmp_path / "long.wav", np.concatenate([sound(i) for i in range(4)], axis=1))
    given = incoming(long)
    _, listener, _ = watched(plant, GivenSource([given]))
    assert [o.name.rpartition("@")[2] for o in listener.observations] == [
        "00:00:00-00:00:01.5", "00:00:01.5-00:00:03", "00:00:03-00:00:04.5", "00:00:04.5-00:00:06",
    ]  # fmt: skip
    store = HistoryStore.open(plant.history.place)
    assert store.knows(given.files)
    store.close()


@pytest.mark.slow
def test_stopped_within_an_hour_it_goes_on_there(plant, tmp_path):
    long = write(tmp_path / "long.wav", np.concatenate([sound(i) for i in range(6)], axis=1))
    given = incoming(long)
    running = Running(plant, GivenSource([given], ends=False))
    told = running.listener.tell
    # Stopped by the second clip, as a signal would.
    running.listener.tell = lambda b: (
        told(b), running.watch.stop() if len(running.listener.observations) == 2 else None
    )  # fmt: skip
    with running:
        running.until(lambda: len(running.listener.observations) == 2)
    assert len(rows(plant)) == 2
    _, listener, log = watched(plant, GivenSource([given]))
    assert len(log.of("duplicate")) == 2
    assert len(listener.observations) == 4
    assert len(rows(plant)) == 6


@pytest.mark.slow
def test_a_full_disk_stops_no_clip(plant, new, monkeypatch):
    def full(*_):
        raise StorageError("plant.db: cannot be written (No space left on device)")

    monkeypatch.setattr(HistoryStore, "keep", full)
    have, listener, _ = watched(plant, GivenSource([incoming(p) for p in new]))
    assert len(listener.observations) == 10
    assert [event.verb for event in listener.events] == ["raised"]
    assert all(b.row is None for b in listener.bulletins)
    assert have.keeper.lost == 10
    monkeypatch.undo()
    # The files were not marked: whoever starts again hears them, once.
    _, listener, _ = watched(plant, GivenSource([incoming(p) for p in new]))
    assert len(rows(plant)) == len(listener.observations) == 10


@pytest.mark.slow
def test_a_second_watch_is_refused(plant):
    with (
        Running(plant, GivenSource(ends=False)),
        pytest.raises(StorageError, match=r"watch") as caught,
    ):
        watched(plant, GivenSource())
    assert "\n" not in str(caught.value)


def test_a_clock_set_back_changes_no_order(plant, new):
    late = replace(incoming(new[0]), arrived=now() + timedelta(hours=1))
    _, listener, _ = watched(plant, GivenSource([late, incoming(new[1])]))
    assert [o.name[-5:] for o in listener.observations] == ["0.wav", "1.wav"]
    # By number they are as they came; asked for by time, the clock's word counts.
    assert {b.row: b.observation.name[-5:] for b in listener.bulletins if b.row} == {
        1: "0.wav", 2: "1.wav"
    }  # fmt: skip


@pytest.mark.slow
def test_people_beside_it_are_heard(plant, new):
    with Running(plant, GivenSource([incoming(p) for p in new], ends=False)) as running:
        running.until(lambda: running.listener.events)
        [alarm] = running.have.posts["pump", "00"].station.alarms
        beside = HistoryStore.open(plant.history.place)
        beside.act(Action(0, alarm.id, "acknowledged", now(), "greased", who="kim"))
        beside.close()
        running.until(lambda: len(running.listener.events) > 1)
        beside = HistoryStore.open(plant.history.place)
        beside.act(Action(0, alarm.id, "noted", now(), "a new one is ordered", who="lee"))
        beside.close()
        # No event, and no clip: told of all the same.
        told = running.listener.bulletins
        running.until(lambda: told[-1].machine.alarms[0].note == "a new one is ordered")
    assert [event.verb for event in running.listener.events] == ["raised", "acknowledged"]
    assert [b.machine.alarms[0].note for b in told if b.machine.alarms][-2:] == [
        "greased", "a new one is ordered",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_source_that_is_lost_is_a_sensor_alarm_of_its_machine(plant, new):
    gone, back = (Notice("hall", kind, f"hall: {kind}") for kind in ("gone", "back"))
    source = GivenSource([incoming(new[0]), gone], ends=False)
    with Running(plant, source) as running:
        running.until(lambda: running.listener.events)
        assert running.watch.now.sources == {"hall": "hall: gone"}
        source.put(back)
        running.until(lambda: len(running.listener.events) == 2)
        assert running.watch.now.sources == {"hall": ""}
    assert [(e.kind, e.condition, e.verb) for e in running.listener.events] == [
        ("sensor", "stream lost", "raised"), ("sensor", "stream lost", "cleared"),
    ]  # fmt: skip


def test_a_half_that_never_came_is_a_row_and_is_not_offered_again(plant, tmp_path):
    half = write(tmp_path / "a_near.wav", sound(1)[:1])
    item = incoming(half)
    text = f"{half}: the far microphone's file did not come"
    notice = Notice("hall", "half", text, machine="pump", files=item.files)
    _, listener, _ = watched(plant, GivenSource([notice]))
    [seen] = listener.observations
    assert (seen.status, seen.warning) == ("unjudged", "the far microphone's file did not come")
    store = HistoryStore.open(plant.history.place)
    assert store.knows(item.files)
    store.close()


@pytest.mark.slow
def test_what_never_came_whole_is_of_its_machine_and_told_in_one_line(plant, new, tmp_path):
    empty = tmp_path / "rec" / "b.wav"
    empty.parent.mkdir()
    empty.touch()
    item = incoming(empty, machine="rec")
    notice = Notice("hall", "unfinished", f"{empty}: empty", files=item.files, clip=item.clip)
    _, listener, log = watched(plant, GivenSource([incoming(new[0]), notice]))
    heard, lacking = (b for b in listener.bulletins if b.observation is not None)
    assert lacking.observation.key == ("pump", "00")
    # How the machine is, is what is known of it, and not what a file lacks.
    assert lacking.machine.judged == heard.observation
    [(event, told, level)] = [line for line in log.lines if "b.wav" in line[1]]
    assert (event, level) == ("unjudged", "warning")
    assert told.endswith("rec/b.wav: empty")


@pytest.mark.slow
def test_the_log_is_silent_of_what_is_shelved(plant, new):
    source = GivenSource([incoming(p) for p in new], ends=False)
    with Running(plant, source) as running:
        running.until(lambda: running.listener.events)
        store = HistoryStore.open(plant.history.place)
        store.act(Action(0, 1, "shelved", now(), until=now() + timedelta(hours=1)))
        store.close()
        running.until(lambda: len(running.listener.events) == 2)
        for path in (
            write_new(Path(plant.sources[0].place), f"n{n}.wav", 70 + n) for n in range(5)
        ):
            source.put(incoming(path))
        running.until(lambda: len(running.listener.events) == 3)
    assert [(e.verb, e.silent) for e in running.listener.events] == [
        ("raised", False), ("shelved", False), ("cleared", True),
    ]  # fmt: skip
    alarms = [event for event, *_ in running.log.lines if event.startswith("alarm ")]
    assert alarms == ["alarm raised", "alarm shelved"]


@pytest.mark.slow
def test_a_detector_that_was_replaced_judges_the_next_clip(plant, new, detector, tmp_path):
    folder = tmp_path / "own"
    nf.load(detector).save(folder)
    plant = replace(plant, machines=plant_of(folder).machines)
    source = GivenSource([incoming(new[0])], ends=False)
    with Running(plant, source) as running:
        running.until(lambda: running.listener.observations)
        nf.load(detector).with_false_alarm_rate(0.3).save(folder)
        running.until(lambda: running.log.of("detector"))
        source.put(incoming(new[1]))
        running.until(lambda: len(running.listener.observations) == 2)
    first, second = running.listener.observations
    assert first.detector != second.detector
    assert second.threshold < first.threshold


@pytest.mark.slow
def test_another_machines_detector_is_refused_and_the_old_one_goes_on(
    plant, new, detector, tmp_path
):
    folder = tmp_path / "own"
    fitted = nf.load(detector)
    fitted.save(folder)
    plant = replace(plant, machines=plant_of(folder).machines)
    source = GivenSource([incoming(new[0])], ends=False)
    with Running(plant, source) as running:
        running.until(lambda: running.listener.observations)
        replace(fitted, sections={("lathe", "00"): fitted.sections["pump", "00"]}).save(folder)
        running.until(lambda: running.log.of("detector"))
        source.put(incoming(new[1]))
        running.until(lambda: len(running.listener.observations) == 2)
    first, second = running.listener.observations
    assert first.detector == second.detector
    assert "lathe" in running.log.of("detector")[0]


@pytest.mark.slow
def test_other_settings_are_taken_over_and_what_stood_stands(plant, new):
    source = GivenSource([incoming(p) for p in new], ends=False)
    with Running(plant, source) as running:
        running.until(lambda: len(running.listener.observations) == 10)
        slow = replace(plant.machines[0], alarm={"gate": -20.0})
        changed = replace(plant, machines=(slow,))

        def how(old):
            made = reequip(changed, old, lambda: running.watch.now)
            return replace(made, sources=old.sources)

        running.watch.change(how)
        running.until(lambda: running.log.of("reload"))
        source.put(incoming(write_new(new[0].parent, "late.wav", 77)))
        running.until(lambda: len(running.listener.observations) == 11)
    assert running.listener.observations[-1].status == "idle"
    assert running.listener.bulletins[-1].machine.alarms[0].word == "active"


@pytest.mark.slow
def test_settings_that_cannot_be_are_refused_and_the_old_ones_go_on(plant, new):
    source = GivenSource(ends=False)

    def how(_):
        raise SettingError("plant.toml:3: no")

    with Running(plant, source) as running:
        running.watch.change(how)
        running.until(lambda: running.log.of("reload"))
        source.put(incoming(new[0]))
        running.until(lambda: running.listener.observations)
    assert "plant.toml:3: no" in running.log.of("reload")[0]


def test_sound_of_a_stream_is_heard_and_can_be_kept(plant, detector):
    plant = replace(plant, history=replace(plant.history, keep_audio="all"))
    clip = Clip(Path("hall/2026-11-29T10:00:00"), machine="pump", time=now())
    given = Incoming("hall", clip, audio=sound(3), rate=16_000)
    have, listener, _ = watched(plant, GivenSource([given]))
    [seen] = listener.observations
    assert (seen.status, seen.path) == ("judged", "")
    assert have.kept.path(seen.digest).suffix == ".flac"


def test_old_rows_go(plant, new):
    old = replace(incoming(new[0]), arrived=now() - timedelta(days=100))
    plant = replace(plant, history=replace(plant.history, keep=90 * 86_400.0))
    _, _, log = watched(plant, GivenSource([old, incoming(new[1])]))
    assert [row.name[-5:] for row in rows(plant)] == ["1.wav"]
    assert log.of("prune") == ["1 row older than 90d removed"]


def test_nothing_is_left_running(plant, new):
    before = set(threading.enumerate())
    watched(plant, GivenSource([incoming(new[0])]))
    assert set(threading.enumerate()) == before
    assert PATIENCE > 0
    assert os.path.exists(plant.history.place)


def test_what_people_did_while_nothing_ran_is_taken_up(plant, new):
    _, listener, _ = watched(plant, GivenSource([incoming(p) for p in new]))
    store = HistoryStore.open(plant.history.place)
    store.act(Action(0, listener.events[0].alarm, "acknowledged", now(), "seen", who="kim"))
    store.close()
    late = incoming(write_new(new[0].parent, "late.wav", 88))
    _, listener, _ = watched(plant, GivenSource([late]))
    assert [event.verb for event in listener.events] == ["acknowledged"]
    _, listener, _ = watched(plant, GivenSource())
    assert not listener.events


def test_what_was_shelved_while_nothing_ran_is_silent_from_the_first_clip(plant, new):
    _, listener, _ = watched(plant, GivenSource([incoming(p) for p in new[3:8]]))
    [raised] = listener.events
    store = HistoryStore.open(plant.history.place)
    store.act(Action(0, raised.alarm, "shelved", now(), until=now() + timedelta(hours=1)))
    store.close()
    calm = [incoming(write_new(new[0].parent, f"calm{i}.wav", 50 + i)) for i in range(1, 6)]
    _, listener, _ = watched(plant, GivenSource(calm))
    assert [(event.verb, event.silent) for event in listener.events] == [
        ("shelved", False), ("cleared", True)
    ]  # fmt: skip


def test_a_clip_that_nobody_can_judge_for_a_fault_is_a_row_and_the_next_is_heard(
    plant, new, monkeypatch
):
    judge = Detector.judge_audio

    def broken(self, clip, *given):
        if clip.name.endswith("1.wav"):
            raise ValueError("no such axis")
        return judge(self, clip, *given)

    monkeypatch.setattr(Detector, "judge_audio", broken)
    given = [incoming(p) for p in new[:3]]
    _, listener, log = watched(plant, GivenSource(given))
    assert [o.status for o in listener.observations] == ["judged", "unjudged", "judged"]
    assert "ValueError: no such axis" in listener.observations[1].warning
    assert len(log.of("fault")) == 1
    store = HistoryStore.open(plant.history.place)
    assert all(store.knows(one.files) for one in given)
    store.close()


def test_warnings_are_lines_of_the_log_whatever_other_threads_do_to_pythons(
    plant, new, monkeypatch
):
    judge = Detector.judge_audio

    def warning(self, clip, *given):
        # As FastAPI does while it begins, in a thread of the page's.
        thread = threading.Thread(target=warnings.simplefilter, args=("ignore",))
        thread.start()
        thread.join()
        warn(f"{clip.name}: quiet")
        return judge(self, clip, *given)

    monkeypatch.setattr(Detector, "judge_audio", warning)
    _, listener, log = watched(plant, GivenSource([incoming(p) for p in new[:2]]))
    assert [o.status for o in listener.observations] == ["judged", "judged"]
    assert [line.split("/")[-1] for line in log.of("warning")] == ["0.wav: quiet", "1.wav: quiet"]


def test_an_output_that_raises_stops_no_clip(plant, new):
    class Broken(Listener):
        def tell(self, bulletin):
            raise RuntimeError("no such\nlist")

    watch, log, listener = [], Lines(), Listener()
    have = equip(plant, lambda: watch[0].now, [Broken(), listener],
                 {"hall": GivenSource([incoming(p) for p in new[:2]])})  # fmt: skip
    watch.append(Watch(have, log))
    watch[0]()
    assert len(listener.observations) == 2
    assert "RuntimeError: no such list" in log.of("fault")[0]
