"""A folder tree as it is on disk: what is a recording, what is oldest, what sends no events."""

import os
import sys
from datetime import datetime

import pytest

from nearfar.clips.moments import time_of
from nearfar.errors import DatasetError
from nearfar.runtime.urls import place
from nearfar.service.incoming import Stamp
from nearfar.service.sources.tree import by_age, stamped, tells_events, walked, watchable

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
host:/export /data nfs4 rw 0 0
/dev/sdb1 /data/local xfs rw 0 0
//nas/share /mnt/with\\040blank cifs rw 0 0
sshfs /home/me/far fuse.sshfs rw 0 0
overlay /var/over fuse.fuse-overlayfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("/hall", True), ("/data", False), ("/data/in/fan", False), ("/data/local/in", True),
        ("/database", True), ("/mnt/with blank/in", False), ("/home/me/far", False),
        ("/var/over", True),
    ],
)  # fmt: skip
def test_network_disks_send_no_events(folder, told):
    assert tells_events(folder, MOUNTS) is told


def test_this_computers_own_disk_sends_events(tmp_path):
    assert tells_events(str(tmp_path)) in (True, False)  # whatever it is, it can be asked


def test_a_walk_finds_files_counts_others_and_ends(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "z").symlink_to(tmp_path / "a")
    for name in ("a/1.wav", "a/b/2.FLAC", "a/b/3.mp3", "a/notes.txt", "a/1.wav.part", "a/.4.wav"):
        (tmp_path / name).write_bytes(b"x")
    tree = walked(str(tmp_path))
    names = sorted(os.path.relpath(stamp.path, tmp_path) for stamp in tree.files)
    assert names == ["a/1.wav", "a/b/2.FLAC", "a/b/3.mp3"]  # by their real places, once each
    assert tree.others == 2
    assert not tree.unreadable


def test_what_can_be_reached_without_a_link_is_named_without_one(tmp_path):
    for n in range(12):  # in whatever order the disk lists them
        (tmp_path / f"l{n}").symlink_to(tmp_path / f"d{n}")
        (tmp_path / f"d{n}").mkdir()
        (tmp_path / f"d{n}" / "1.wav").write_bytes(b"x")
    found = sorted(os.path.relpath(stamp.path, tmp_path) for stamp in walked(str(tmp_path)).files)
    assert found == sorted(f"d{n}/1.wav" for n in range(12))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_the_systems_own_folders_are_left_aside(tmp_path):
    (tmp_path / "hall").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder in (tmp_path / "hall", elsewhere):
        (folder / "1.wav").write_bytes(b"x")
    # Each process shows the whole disk below its folder.
    (tmp_path / "hall" / "processes").symlink_to("/proc")
    (tmp_path / "hall" / "facts").symlink_to("/sys/kernel")
    (tmp_path / "hall" / "disk").symlink_to(elsewhere)
    hall = str(tmp_path / "hall")
    tree = walked(hall)
    assert sorted(os.path.relpath(s.path, hall) for s in tree.files) == ["1.wav", "disk/1.wav"]
    assert sorted(os.path.relpath(f, hall) for f in tree.system) == ["facts", "processes"]
    assert [os.path.relpath(f, hall) for f, _ in tree.links] == ["disk"]  # nor watched
    assert not tree.unreadable


def test_a_stamp_is_of_a_file_alone(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"abc")
    assert stamped(str(path)) == Stamp(str(path), 3, path.stat().st_mtime_ns)
    assert stamped(str(tmp_path)) is stamped(str(tmp_path / "no.wav")) is stamped("a\0b") is None


def test_a_time_before_all_clocks_is_none():
    first = Stamp("0001.wav", 1, 0)
    assert by_age(first, lambda stem: datetime(1, 1, 1)) == by_age(first, None)


def test_the_time_in_a_name_counts_before_that_of_its_file():
    old = Stamp("20200101_000000.wav", 1, 1_900_000_000 * 10**9)
    new = Stamp("take.wav", 1, 1_700_000_000 * 10**9)
    assert sorted([new, old], key=lambda s: by_age(s, time_of)) == [old, new]
    assert sorted([new, old], key=lambda s: by_age(s, None)) == [new, old]


def test_what_is_not_wanted_is_in_no_list(tmp_path):
    for name in ("a.wav", "b.wav", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    asked = []
    tree = walked(str(tmp_path), lambda stamp: asked.append(stamp.path) or stamp.path[-5] == "b")
    assert sorted(map(os.path.basename, asked)) == ["a.wav", "b.wav"]
    assert [os.path.basename(stamp.path) for stamp in tree.files] == ["b.wav"]
    assert tree.others == 1


def test_a_url_is_no_folder_to_be_watched():
    with pytest.raises(DatasetError, match=r"^s3://bucket/hall: watched are folders of this mach"):
        watchable(place("s3://bucket/hall"))
