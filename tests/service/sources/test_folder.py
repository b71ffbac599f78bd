"""A watched folder, on this machine's own disk and with its own events."""

import os
import shutil
import threading
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from conftest import RATE, refused, write
from listening import Ear, listening, moved_in
from nearfar.clips import Clips
from nearfar.clips.pairs import pairing
from nearfar.errors import DatasetError, SettingError
from nearfar.service.sources.folder import FolderSource

SETTLE = 0.1
WAYS = [pytest.param(None, id="events"), pytest.param(0.05, id="polling", marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The folder itself is looked after more often than it need be."""
    monkeypatch.setattr("nearfar.service.sources.folder._CHECK", 0.05)


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    """A second of stereo sound, as bytes of a file."""
    sound = np.random.default_rng(0).normal(0, 0.1, (2, RATE))
    return write(tmp_path_factory.mktemp("wav") / "a.wav", sound).read_bytes()


@pytest.fixture(scope="module")
def mono(tmp_path_factory):
    sound = np.random.default_rng(0).normal(0, 0.1, (1, RATE))
    return write(tmp_path_factory.mktemp("mono") / "a.wav", sound).read_bytes()


def source_of(folder, **how):
    how = {"settle": SETTLE, "knows": lambda files: False} | how
    return FolderSource("hall", folder, **how)


def placed(path, content, modified=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if modified is not None:
        os.utime(path, (modified, modified))
    return path


@pytest.mark.parametrize("poll", WAYS)
def test_files_are_given_once_however_they_come(tmp_path, wav, poll):
    placed(tmp_path / "fan" / "there.wav", wav)
    with listening(source_of(tmp_path, poll=poll)) as ear:
        placed(tmp_path / "fan" / "written.wav", wav)
        moved_in(tmp_path / "new" / "renamed.wav", wav)
        outside = placed(tmp_path.parent / f"{tmp_path.name}-out.wav", wav)
        outside.rename(tmp_path / "fan" / "moved.wav")
        ear.wait_for("there.wav", "written.wav", "renamed.wav", "moved.wav")
        (tmp_path / "fan" / "notes.txt").write_text("no sound")
        placed(tmp_path / "fan" / "last.wav", wav)
        ear.wait_for("last.wav")
    assert len(ear.names) == len(set(ear.names)) == 5
    assert not ear.notices
    assert {given.clip.machine for given in ear.clips} == {"fan", "new"}
    for given in ear.clips:
        (stamp,), facts = given.files, given.clip.path.stat()
        assert (stamp.size, stamp.modified) == (facts.st_size, facts.st_mtime_ns)


def test_machine_section_and_time_are_those_that_score_finds(tmp_path, wav):
    for name in (
        "fan/1.wav", "pump/2024-11-04/ZOOM0001/SITE_20260615_083000.wav", "a b/240615-083000.wav",
        "valve/section_02_target_test_normal_0003_v1.wav", "slide/id_03/abnormal/1.wav",
    ):  # fmt: skip
        placed(tmp_path / "data" / name, wav)
    listed = {clip.path: clip for clip in Clips.open(tmp_path / "data")}
    with listening(source_of(tmp_path / "data")) as ear:
        ear.wait(lambda ear: len(ear.clips) == len(listed))
    assert {given.clip.path: given.clip for given in ear.clips} == listed


def test_all_may_be_said_to_be_one_machines(tmp_path, wav):
    placed(tmp_path / "fan" / "1.wav", wav)
    with listening(source_of(tmp_path, machine="pump", section="07")) as ear:
        ear.wait_for("1.wav")
    assert (ear.clips[0].clip.machine, ear.clips[0].clip.section) == ("pump", "07")


def test_what_is_there_at_the_start_comes_oldest_first(tmp_path, wav):
    told = {f"run {n}.wav": 1_780_000_000 for n in (9, 10, 100)}  # alike: as people count
    named = {"SITE_20250101_000000.wav": 1_790_000_000, "20301231_235959.wav": 1_000_000_000}
    for name, modified in (told | named).items():
        placed(tmp_path / name, wav, modified)
    with listening(source_of(tmp_path)) as ear:
        ear.wait(lambda ear: len(ear.clips) == 5)
    assert ear.names == ["SITE_20250101_000000.wav", "run 9.wav", "run 10.wav", "run 100.wav",
                         "20301231_235959.wav"]  # fmt: skip


def test_what_comes_meanwhile_is_given_after_what_was_there(tmp_path, wav):
    there = [f"20260703_{hour:02}0000.wav" for hour in range(5)]
    for name in reversed(there):  # this moment: nobody knows yet that they are complete
        placed(tmp_path / name, wav)
    source = source_of(tmp_path, settle=0.5)
    with listening(source) as ear:
        ear.wait(lambda ear: source.listed)
        moved_in(tmp_path / "20260703_110000.wav", wav)
        ear.wait_for("20260703_110000.wav")
    assert ear.names == [*there, "20260703_110000.wav"]


@pytest.mark.parametrize("poll", WAYS)
def test_a_recorders_clock_set_back_changes_times_and_not_the_order(tmp_path, wav, poll):
    names = ["20260615_083000.wav", "20260615_084000.wav", "20260615_074000.wav"]
    with listening(source_of(tmp_path, poll=poll)) as ear:
        for n, name in enumerate(names):
            moved_in(tmp_path / name, wav)
            ear.wait(lambda ear, n=n: len(ear.clips) == n + 1)
    assert ear.names == names
    assert [g.clip.time.hour for g in ear.clips] == [8, 8, 7]
    assert ear.clips[2].clip.time == datetime(2026, 6, 15, 7, 40)


def test_what_is_known_is_not_given_and_what_is_there_may_be_left_alone(tmp_path, wav):
    placed(tmp_path / "known.wav", wav)
    placed(tmp_path / "new.wav", wav)
    knows = lambda files: files[0].path.endswith("known.wav")  # noqa: E731
    with listening(source_of(tmp_path, knows=knows)) as ear:
        ear.wait_for("new.wav")
    assert ear.names == ["new.wav"]
    with listening(source_of(tmp_path, existing=False)) as ear:
        assert "2 files" in ear.wait_told("left").text
        moved_in(tmp_path / "later.wav", wav)
        ear.wait_for("later.wav")
    assert ear.names == ["later.wav"]


@pytest.mark.parametrize("poll", WAYS)
def test_half_a_file_waits_for_the_rest_of_it(tmp_path, wav, poll):
    with listening(source_of(tmp_path, poll=poll, settle=0.05)) as ear:
        placed(tmp_path / "slow.wav", wav[: len(wav) // 2])
        moved_in(tmp_path / "other.wav", wav)
        ear.wait_for("other.wav")
        for n in range(3):  # as long as others come in, and beyond `settle`
            moved_in(tmp_path / f"{n}.wav", wav)
            ear.wait_for(f"{n}.wav")
        assert "slow.wav" not in ear.names
        with (tmp_path / "slow.wav").open("ab") as file:
            file.write(wav[len(wav) // 2 :])
        ear.wait_for("slow.wav")
    assert ear.names.count("slow.wav") == 1
    assert ear.clips[-1].files[0].size == len(wav)


def test_files_that_are_never_finished_are_told_of_or_given_as_they_are(tmp_path, wav):
    with listening(source_of(tmp_path, settle=0.02, patience=0.3)) as ear:
        placed(tmp_path / "half.wav", wav[:1000])
        placed(tmp_path / "empty.wav", b"")
        told = ear.wait_told("unfinished")
        ear.wait_for("half.wav")  # whoever reads it says what is wrong
        moved_in(tmp_path / "empty.wav", wav)
        ear.wait_for("empty.wav")
    assert told.files[0].path.endswith("empty.wav")
    # Whose it is, and when it was, as of a whole one of that name.
    assert told.clip == replace(ear.clips[-1].clip, path=told.clip.path)
    assert ear.kinds == ["unfinished"]
    assert sorted(ear.names) == ["empty.wav", "half.wav"]


def test_a_file_gone_before_it_is_given_is_no_clip(tmp_path, wav):
    source = source_of(tmp_path, settle=0.05)
    held = threading.Event()
    ear = Ear()

    def slow(given):  # the scoring takes its time, and meanwhile somebody tidies up
        held.wait()
        ear(given)

    source.start(slow)
    try:
        for name in ("first.wav", "gone.wav", "last.wav"):
            moved_in(tmp_path / name, wav)
        (tmp_path / "gone.wav").unlink()
        held.set()
        ear.wait_for("first.wav", "last.wav")
    finally:
        held.set()
        source.close()
    assert "gone.wav" not in ear.names
    assert not ear.notices


def test_names_with_line_breaks_and_bytes_that_are_no_text(tmp_path, wav):
    names = [
        b"a\nb.wav",
        b"caf\xe9 \xff.wav",
        b"\xe2\x80\xae.wav",
        b"-rf *.wav",
        b"x" * 251 + b".wav",
    ]
    with listening(source_of(tmp_path)) as ear:
        for name in names:
            placed(tmp_path / "new.part", wav).rename(tmp_path / os.fsdecode(name))
        ear.wait_for(*map(os.fsdecode, names))
        placed(tmp_path / os.fsdecode(b"\xff\n.mp3"), b"ID3")
        ear.wait_for(os.fsdecode(b"\xff\n.mp3"))
    assert all(given.clip.path.is_file() for given in ear.clips)


@pytest.mark.parametrize("poll", WAYS)
def test_a_folder_that_vanishes_and_returns(tmp_path, wav, poll):
    folder = tmp_path / "share"
    placed(folder / "fan" / "1.wav", wav)
    with listening(source_of(folder, poll=poll)) as ear:
        ear.wait_for("1.wav")
        folder.rename(tmp_path / "away")
        ear.wait_told("gone")
        placed(tmp_path / "away" / "fan" / "2.wav", wav)
        (tmp_path / "away").rename(folder)
        ear.wait_told("back")
        ear.wait_for("2.wav")
        placed(folder / "fan" / "3.wav", wav)
        ear.wait_for("3.wav")
    assert ear.names == ["1.wav", "2.wav", "3.wav"]
    assert ear.kinds == ["gone", "back"]


def test_a_folder_made_anew_is_watched_anew(tmp_path, wav):
    folder = tmp_path / "share"
    folder.mkdir()
    with listening(source_of(folder)) as ear:
        shutil.rmtree(folder)
        placed(folder / "1.wav", wav)
        ear.wait_for("1.wav")
        placed(folder / "fan" / "2.wav", wav)
        ear.wait_for("2.wav")
    assert ear.names == ["1.wav", "2.wav"]
    # A disk may give the new folder the number of the old one: then nobody saw it go.
    assert ear.kinds in ([], ["gone", "back"])


APART = [
    ("a_near.wav", "a_far.wav"),
    ("a_Tr2.wav", "a_Tr1.wav"),
    ("near/a.wav", "far/a.wav"),
    ("a_far.WAV", "a_near.wav"),
]


@pytest.mark.parametrize("names", APART)
def test_near_and_far_that_arrive_apart_are_one_recording(tmp_path, mono, names):
    (tmp_path / "fan").mkdir()
    with listening(source_of(tmp_path, patience=0.2, settle=0.02)) as ear:
        moved_in(tmp_path / "fan" / names[0], mono)
        told = ear.wait_told("half")
        moved_in(tmp_path / "fan" / names[1], mono)  # late, and welcome
        ear.wait(lambda ear: ear.clips)
    (given,) = ear.clips
    assert {p.name for p in (given.clip.path, given.clip.far)} == {
        n[-len(n.split("/")[-1]) :] for n in names
    }
    assert {stamp.path for stamp in given.files} == {str(tmp_path / "fan" / n) for n in names}
    assert given.clip.machine == "fan"
    assert given.clip.read().shape[0] == 2
    assert str(tmp_path / "fan" / names[1]).lower() in told.text.lower()
    assert told.files[0].path == str(tmp_path / "fan" / names[0])
    assert (given.clip,) == tuple(Clips.open(tmp_path))


def test_pairs_that_were_done_with_are_not_given_again(tmp_path, mono):
    for side in ("near", "far"):
        placed(tmp_path / f"done_{side}.wav", mono)
        placed(tmp_path / f"half_{side}.wav", mono)
    done = {"done_near.wav", "done_far.wav", "half_near.wav"}
    knows = lambda files: os.path.basename(files[0].path) in done  # noqa: E731
    with listening(source_of(tmp_path, knows=knows)) as ear:
        ear.wait_for("half_near.wav")
    assert ear.names == ["half_near.wav"]


def test_pairs_by_names_that_somebody_says(tmp_path, mono):
    pair = pairing("NEAR=*_1.wav,FAR=*_2.wav")
    with listening(source_of(tmp_path, pair=pair)) as ear:
        for name in ("x_1.wav", "neither.wav", "x_2.wav"):
            moved_in(tmp_path / name, mono)
        ear.wait_for("x_1.wav")
        assert "neither.wav" in ear.wait_told("left").text
    assert ear.clips[0].clip.far.name == "x_2.wav"


def test_sound_of_other_formats_is_a_clip_with_a_fault(tmp_path):
    with listening(source_of(tmp_path)) as ear:
        placed(tmp_path / "a.mp3", b"ID3")
        ear.wait_for("a.mp3")
    assert "mp3 is not read" in ear.clips[0].clip.fault


def test_links_are_followed_and_a_circle_of_them_ends(tmp_path, wav):
    folder, disk = tmp_path / "in", tmp_path / "disk"
    placed(folder / "fan" / "1.wav", wav)
    placed(disk / "pump" / "2.wav", wav)
    (folder / "above").symlink_to(folder)
    (folder / "disk").symlink_to(disk)
    (disk / "back").symlink_to(folder)
    (tmp_path / "link").symlink_to(folder)
    with listening(source_of(tmp_path / "link")) as ear:
        ear.wait_for("1.wav", "2.wav")
        placed(disk / "pump" / "3.wav", wav)
        placed(folder / "fan" / "4.wav", wav)
        ear.wait_for("3.wav", "4.wav")
    assert len(ear.names) == 4
    assert ear.clips[-1].clip.path.is_relative_to(tmp_path / "link")


def test_a_link_to_a_folder_above_makes_no_recording_two(tmp_path, wav):
    placed(tmp_path / "hall" / "fan" / "1.wav", wav)
    (tmp_path / "hall" / "above").symlink_to(tmp_path)
    with listening(source_of(tmp_path / "hall")) as ear:
        ear.wait_for("1.wav")
        moved_in(tmp_path / "hall" / "fan" / "2.wav", wav)
        ear.wait_for("2.wav")
        moved_in(tmp_path / "3.wav", wav)
        ear.wait_for("3.wav")
    assert ear.names == ["1.wav", "2.wav", "3.wav"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/root"), reason="/proc is of Linux")
def test_a_link_to_the_systems_own_folders_is_told_of_once(tmp_path, wav):
    placed(tmp_path / "1.wav", wav)
    (tmp_path / "proc").symlink_to("/proc")
    with listening(source_of(tmp_path, poll=0.05)) as ear:
        ear.wait_for("1.wav")
        moved_in(tmp_path / "2.wav", wav)  # found by a later listing
        ear.wait_for("2.wav")
    assert ear.names == ["1.wav", "2.wav"]
    assert ear.kinds == ["left"]
    assert str(tmp_path / "proc") in ear.notices[0].text


def test_pipes_and_folders_called_like_recordings_are_no_files(tmp_path, wav):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "lost.wav").symlink_to(tmp_path / "nowhere.wav")
    placed(tmp_path / ".hidden.wav", wav)
    placed(tmp_path / "supplemental" / "clean.wav", wav)
    with listening(source_of(tmp_path)) as ear:
        placed(tmp_path / "supplemental" / "more.wav", wav)
        placed(tmp_path / "1.wav", wav)
        ear.wait_for("1.wav")
    assert ear.names == ["1.wav"]


def test_an_error_inside_is_told_and_the_source_goes_on(tmp_path, wav):
    calls = []

    def knows(files):
        calls.append(files)
        if len(calls) == 1:
            raise RuntimeError("the history\nis away")
        return False

    placed(tmp_path / "1.wav", wav)
    with listening(source_of(tmp_path, knows=knows)) as ear:
        told = ear.wait_told("trouble")
        placed(tmp_path / "2.wav", wav)
        ear.wait_for("1.wav", "2.wav")
    assert "the history" in told.text
    assert "\n" not in told.text


def test_a_folder_that_cannot_be_read_is_told_of_once(tmp_path, wav, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    placed(tmp_path / "closed" / "1.wav", wav)
    placed(tmp_path / "open" / "2.wav", wav)
    monkeypatch.setattr("nearfar.service.sources.tree.os.scandir", closed)
    with listening(source_of(tmp_path, poll=0.05)) as ear:
        told = ear.wait_told("trouble")
        ear.wait_for("2.wav")
        placed(tmp_path / "open" / "3.wav", wav)
        ear.wait_for("3.wav")
    assert ear.kinds == ["trouble"]
    assert "closed: cannot be read (Permission denied)" in told.text


def test_a_file_that_cannot_be_given_is_named(tmp_path, wav):
    def clock(stem):
        if stem == "2":
            raise ValueError("no such day")

    source = source_of(tmp_path, clock=clock)
    with listening(source) as ear:
        while not source.listed:
            threading.Event().wait(0.01)
        for n in (1, 2, 3):
            moved_in(tmp_path / f"{n}.wav", wav)
        ear.wait_for("1.wav", "3.wav")
        told = ear.wait_told("trouble")
    assert "2.wav" in told.text
    assert "no such day" in told.text


def test_where_the_system_gives_no_watches_the_folder_is_listed(tmp_path, wav, monkeypatch):
    from nearfar.service.sources import folder as module

    def none_left(self, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Watcher, "add", none_left)
    monkeypatch.setattr(module, "_POLL", 0.05)
    with listening(source_of(tmp_path)) as ear:
        assert "No space left" in ear.wait_told("polling").text
        placed(tmp_path / "1.wav", wav)
        ear.wait_for("1.wav")


def test_no_such_folder_and_impossible_settings_are_one_line(tmp_path):
    refused(
        lambda: source_of(tmp_path / "no").start(print), "cannot be watched", error=DatasetError
    )
    for bad in ({"settle": -1}, {"poll": 0}, {"patience": float("nan")}):
        refused(lambda bad=bad: source_of(tmp_path, **bad), "seconds", error=SettingError)


def test_an_event_that_got_lost_is_found_by_listing(tmp_path, wav, monkeypatch):
    monkeypatch.setattr("nearfar.service.sources.folder._NET", 0.05)
    monkeypatch.setattr(FolderSource, "_told", lambda source, path, happened: None)
    with listening(source_of(tmp_path, settle=0.05)) as ear:
        placed(tmp_path / "fan" / "1.wav", wav)
        ear.wait_for("1.wav")
    assert ear.names == ["1.wav"]


def test_a_file_written_over_is_a_new_one(tmp_path, wav):
    with listening(source_of(tmp_path)) as ear:
        placed(tmp_path / "latest.wav", wav)
        ear.wait_for("latest.wav")
        moved_in(tmp_path / "latest.wav", wav)
        ear.wait(lambda ear: len(ear.clips) == 2)
    first, second = (given.files[0] for given in ear.clips)
    assert first.modified != second.modified


@pytest.mark.slow
@pytest.mark.parametrize("poll", [None, 0.5])
def test_ten_thousand_files_at_once(tmp_path, poll):
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 400))
    content = write(tmp_path / "a.wav", sound).read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    with listening(source_of(folder, poll=poll)) as ear:
        for n in range(5_000):
            placed(folder / f"m{n % 20}" / f"w{n}.wav", content)
            moved_in(folder / f"m{n % 20}" / f"r{n}.wav", content)
        ear.wait(lambda ear: len(ear.clips) >= 10_000)
        placed(folder / "last.wav", content)
        ear.wait_for("last.wav")
    assert len(ear.names) == len(set(ear.names)) == 10_001
    assert not ear.notices


@pytest.mark.parametrize("poll", WAYS)
def test_sound_that_we_kept_is_not_heard_again(tmp_path, wav, poll):
    """A history may lie in the folder that is watched; a part that is kept has another digest."""
    placed(tmp_path / "plant.db-audio" / "9f86.wav", wav)
    with listening(source_of(tmp_path, poll=poll, aside=tmp_path / "plant.db-audio")) as ear:
        placed(tmp_path / "plant.db-audio" / "ab12.wav", wav)
        placed(tmp_path / "plant.db-audio2" / "last.wav", wav)
        ear.wait_for("last.wav")
    assert ear.names == ["last.wav"]
    with listening(
        source_of(tmp_path / "plant.db-audio", aside=tmp_path / "plant.db-audio")
    ) as ear:
        ear.wait_for("9f86.wav", "ab12.wav")
