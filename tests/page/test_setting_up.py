"""From no detector to the first one: what is asked at any moment is done, or refused in a line."""

import json
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

import nearfar as nf
from conftest import PATIENCE, machine_sound, refused
from nearfar.errors import SettingError, StorageError
from nearfar.page.refusal import Refusal
from nearfar.page.sent.sent_names import place_for
from nearfar.page.setup import setting_up
from setups import a_setup, bad_files, pump_files, settled, wait_for, wav, whole
from tiny_disk import tiny_disk  # noqa: F401 - a fixture


def put(setup, files):
    with setup.receiving(0) as folder:
        for name, data in files.items():
            coming = folder.begin(place_for(name))
            coming.write(data)
            coming.commit()
            coming.drop()


@pytest.fixture
def held(monkeypatch):
    """A fit that goes on until it is let go, or its progress ends it."""
    let_go, begun = threading.Event(), threading.Event()
    real = setting_up.fit_first

    def held_fit(wish, progress):
        begun.set()
        while not let_go.wait(0.005):
            progress("listening", 1, 2)
        return real(wish, progress)

    monkeypatch.setattr(setting_up, "fit_first", held_fit)
    yield begun, let_go
    let_go.set()


def test_the_way_from_recordings_to_a_detector_that_scores(tmp_path):
    with a_setup(tmp_path, settles=0.05) as desk:
        setup = desk.setup
        assert setup.state["stage"] == "none"
        put(setup, pump_files(12))
        # Nobody asks: what is sent is looked at once nothing more comes.
        state = wait_for(lambda: (s := setup.state)["checked"] and s)
        assert (state["stage"], state["recordings"], state["clips"]) == ("recordings", 12, 12)
        assert state["seconds"] == pytest.approx(18)
        assert state["can_fit"]
        setup.fit(setup.wish("pump 7", 0.1))
        state = settled(setup, "fitted", "failed")
        assert state["line"] == "pump 7: fitted on 12 clips"
        assert setup.fitted.is_set()
        refused(lambda: put(setup, {}), "detector already", error=Refusal)
        refused(lambda: setup.fit(setup.wish()), "detector already", error=Refusal)
        refused(setup.remove, "detector already", error=Refusal)
    detector = nf.load(tmp_path / "pump.detector")
    assert list(detector.sections) == [("pump 7", "00")]
    assert detector.false_alarm_rate == 0.1
    # What was sent stays: it is what is heard beside a clip.
    assert len(whole(tmp_path / "pump.normals")) == 12


@pytest.mark.slow
def test_messages_come_at_most_four_times_a_second_and_the_last_is_the_last(tmp_path):
    with a_setup(tmp_path) as desk:
        setup, heard = desk.setup, []
        desk.hub.send = lambda m: heard.append((time.monotonic(), m))
        begun = time.monotonic()
        for i in range(8):
            put(setup, pump_files(1, seed=i, folder=f"d{i}"))
            time.sleep(0.1)
        wait_for(lambda: json.loads(heard[-1][1].data)["recordings"] == 8)
        took = heard[-1][0] - begun
        assert 2 <= len(heard) <= took / 0.25 + 2
        assert {m.event for _, m in heard} == {"setup"}
        assert all(json.loads(m.data)["schema"] == 1 for _, m in heard)


def test_a_check_makes_way_for_what_is_sent_and_for_a_fit(tmp_path, monkeypatch):
    begun = threading.Event()

    def endless(wish, progress):
        begun.set()
        while True:
            progress("listening", 0, 1)
            time.sleep(0.002)

    with a_setup(tmp_path) as desk:
        setup = desk.setup
        put(setup, pump_files(12))
        monkeypatch.setattr(setting_up, "look_first", endless)
        setup.check(setup.wish())
        assert begun.wait(PATIENCE)
        assert setup.state["stage"] == "checking"
        put(setup, pump_files(1, seed=9, folder="more"))
        assert (setup.state["stage"], setup.state["recordings"]) == ("recordings", 13)
        setup.check(setup.wish())
        setup.fit(setup.wish("pump", 0.1))
        assert "13 clips" in settled(setup, "fitted", "failed")["line"]


def test_one_fit_at_a_time_and_nothing_else_meanwhile(tmp_path, held):
    begun, let_go = held
    with a_setup(tmp_path) as desk:
        setup = desk.setup
        put(setup, pump_files(12))
        wish = setup.wish()
        asked = []

        def ask():
            try:
                setup.fit(wish)
                asked.append("begun")
            except Refusal as error:
                asked.append(error.status)

        both = [threading.Thread(target=ask) for _ in range(4)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert sorted(asked, key=str) == [409, 409, 409, "begun"]
        assert begun.wait(PATIENCE)
        for late in (lambda: put(setup, {}), setup.remove, lambda: setup.choose([]),
                     lambda: setup.check(wish)):  # fmt: skip
            refused(late, "being fitted", error=Refusal)
        let_go.set()
        settled(setup, "fitted")


def test_closed_in_mid_fit_there_is_no_half_detector(tmp_path, held):
    begun, _ = held
    with a_setup(tmp_path) as desk:
        put(desk.setup, pump_files(12))
        desk.setup.fit(desk.setup.wish())
        assert begun.wait(PATIENCE)
    assert not (tmp_path / "pump.detector").exists()
    assert not desk.setup.fitted.is_set()
    assert not desk.setup._work.is_alive()
    with a_setup(tmp_path) as desk:  # what was sent is still there
        assert desk.setup.state["recordings"] == 12
        assert desk.setup.remove() == 12
        assert desk.setup.state["stage"] == "none"
    assert not (tmp_path / "pump.normals").exists()


def test_a_fit_that_fails_says_why_and_can_be_tried_again(tmp_path):
    with a_setup(tmp_path) as desk:
        setup = desk.setup
        put(setup, bad_files())
        setup.fit(setup.wish())
        line = settled(setup, "failed")["line"]
        assert "none of its clips can be used" in line
        assert any("none of its clips can be used" in told for told in setup.log)
        assert not (tmp_path / "pump.detector").exists()
        put(setup, pump_files(12))
        assert setup.state["stage"] == "recordings"
        setup.fit(setup.wish())
        state = settled(setup, "fitted", "failed")
        assert state["stage"] == "fitted"
        assert sum("mono.wav" in line for line in state["problems"]) == 1


def test_a_full_disk_is_a_failure_in_words_and_leaves_nothing(tiny_disk):  # noqa: F811
    with a_setup(tiny_disk) as desk:
        put(desk.setup, pump_files(12))
        with suppress(OSError), (tiny_disk / "full").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        desk.setup.fit(desk.setup.wish())
        assert "cannot be written" in settled(desk.setup, "failed")["line"]
        assert not (tiny_disk / "pump.detector").exists()
        (tiny_disk / "full").unlink()
        desk.setup.fit(desk.setup.wish())
        assert settled(desk.setup, "fitted", "failed")["stage"] == "fitted"


def test_a_fault_of_ours_is_told_and_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(setting_up, "fit_first", lambda wish, progress: 1 / 0)
    with a_setup(tmp_path) as desk:
        put(desk.setup, pump_files(1))
        desk.setup.fit(desk.setup.wish())
        assert "ZeroDivisionError" in settled(desk.setup, "failed")["line"]


def test_a_detector_that_somebody_else_fitted_meanwhile_stays(tmp_path, held, detector_folder):
    begun, let_go = held
    with a_setup(tmp_path) as desk:
        put(desk.setup, pump_files(12))
        desk.setup.fit(desk.setup.wish())
        assert begun.wait(PATIENCE)
        nf.load(detector_folder).save(tmp_path / "pump.detector")
        before = (tmp_path / "pump.detector/detector.json").read_bytes()
        let_go.set()
        assert "meanwhile" in settled(desk.setup, "failed", "fitted")["line"]
        assert (tmp_path / "pump.detector/detector.json").read_bytes() == before
        refused(lambda: desk.setup.fit(desk.setup.wish()), "already", error=Refusal)


def test_folders_that_were_offered_are_used_by_name_and_never_removed(tmp_path):
    for folder, seed in (("a/normal", 1), ("b/normal", 2)):
        (tmp_path / folder).mkdir(parents=True)
        for name, data in pump_files(6, seed, folder).items():
            (tmp_path / name).write_bytes(data)
    with a_setup(tmp_path, offered=[tmp_path / "a/normal", tmp_path / "b/normal"]) as desk:
        setup = desk.setup
        assert setup.state["offered"] == ["normal", "normal (2)"]
        assert setup.state["recordings"] == 0
        for name in (str(tmp_path / "a"), "../a", "0"):
            refused(lambda name=name: setup.choose([name]), "offered", error=Refusal)
        setup.choose(["normal", "normal (2)"])
        put(setup, pump_files(3, seed=3))
        state = setup.state
        assert (state["recordings"], state["chosen"]) == (15, ["normal", "normal (2)"])
        assert setup.remove() == 3
        assert setup.state["recordings"] == 12
        setup.fit(setup.wish("pump", 0.1))
        assert "12 clips" in settled(setup, "fitted", "failed")["line"]
    assert len(whole(tmp_path / "a/normal")) == 6


def test_while_some_are_being_sent_nothing_is_removed_or_fitted(tmp_path):
    with a_setup(tmp_path) as desk:
        setup = desk.setup
        put(setup, pump_files(1))
        with setup.receiving(0):
            assert setup.state["sending"]
            for early in (setup.remove, lambda: setup.fit(setup.wish())):
                refused(early, "still being sent", error=Refusal)
        assert not setup.state["sending"]
        assert setup.remove() == 1


def test_names_of_detectors_beside_which_nothing_can_be_kept(tmp_path):
    with pytest.raises(SettingError), a_setup(tmp_path, name="faults.detector"):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").touch()
    with pytest.raises(StorageError), a_setup(tmp_path, name="mine"):
        pass


def test_without_recordings_nothing_is_begun(tmp_path):
    with a_setup(tmp_path) as desk:
        refused(desk.setup.wish, "send a folder", error=Refusal)
        put(desk.setup, {"a.wav": wav(machine_sound(np.random.default_rng(0)))})
        refused(lambda: desk.setup.wish("a/b"), "'a/b'", error=SettingError)
        refused(lambda: desk.setup.wish("a", 2), "2", error=SettingError)


def test_another_machine_than_the_one_that_is_wanted_is_refused_before_the_fit(tmp_path):
    with a_setup(tmp_path, machine="pump 7") as desk:
        setup = desk.setup
        put(setup, pump_files(12))
        assert setup.state["machine"] == "pump 7"
        refused(lambda: setup.wish("fan"), "called 'fan': only 'pump 7' is asked for")
        assert setup.wish().machine == setup.wish(" pump 7 ").machine == "pump 7"
    with a_setup(tmp_path) as desk:
        assert desk.setup.wish("fan").machine == "fan"
