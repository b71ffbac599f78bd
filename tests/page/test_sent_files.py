"""What was sent is there whole or not at all, and nothing else is ever touched."""

import hashlib
import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from conftest import refused
from nearfar.errors import DatasetError, StorageError
from nearfar.page.refusal import Refusal
from nearfar.page.sent.sent_files import SentFolder
from setups import whole
from tiny_disk import tiny_disk  # noqa: F401 - a fixture


def put(folder, place, data):
    coming = folder.begin(Path(place))
    try:
        coming.write(data)
        return coming.commit()
    finally:
        coming.drop()


def test_the_same_again_counts_once_and_another_sound_is_refused(tmp_path):
    folder = SentFolder(tmp_path / "pump.normals")
    assert put(folder, "day/a.wav", b"one")
    assert not put(folder, "day/a.wav", b"one")
    refused(lambda: put(folder, "day/a.wav", b"two"), "day/a.wav", error=DatasetError)
    assert (tmp_path / "pump.normals/day/a.wav").read_bytes() == b"one"
    assert (folder.count, folder.bytes) == (1, 3)
    assert whole(folder.folder) == ["day/a.wav"]


def test_of_what_was_given_up_nothing_stays(tmp_path):
    folder = SentFolder(tmp_path / "pump.normals")
    coming = folder.begin(Path("deep/er/a.wav"))
    coming.write(b"half")
    coming.drop()
    assert folder.count == 0
    assert not (tmp_path / "pump.normals").exists()


def test_what_a_killed_process_left_is_swept(tmp_path):
    half = tmp_path / "pump.normals/day/.a.wav.abcd1234.nearfar"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    assert SentFolder(tmp_path / "pump.normals").count == 0
    assert not half.exists()


def test_two_that_send_one_name_have_one_file(tmp_path):
    folder = SentFolder(tmp_path / "pump.normals")
    both = [folder.begin(Path("a.wav")) for _ in range(2)]
    for coming in both:
        coming.write(b"same")
    assert [coming.commit() for coming in both] == [True, False]
    one, other = (folder.begin(Path("b.wav")) for _ in range(2))
    one.write(b"one")
    other.write(b"other")
    assert one.commit()
    refused(other.commit, "b.wav", error=DatasetError)
    assert whole(folder.folder) == ["a.wav", "b.wav"]


def test_many_at_once_make_and_tidy_the_same_folders(tmp_path):
    folder = SentFolder(tmp_path / "pump.normals")
    faults = []

    def work(k):
        try:
            for i in range(20):
                coming = folder.begin(Path(f"day/{k}/{i}.wav"))
                coming.write(b"x")
                if i % 2:
                    coming.commit()
                coming.drop()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(k % 2,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert folder.count == 20
    assert len(whole(folder.folder)) == 20


def test_only_what_was_sent_is_removed(tmp_path):
    root = tmp_path / "pump.normals"
    root.mkdir()
    (root / "mine.wav").write_bytes(b"mine")
    folder = SentFolder(root)
    put(folder, "day/a.wav", b"one")
    put(folder, "b.wav", b"two")
    put(folder, "mine.wav", b"mine")  # there before: not taken over
    (root / "b.wav").write_bytes(b"written by hand since")
    assert SentFolder(root).remove() == 1  # known by another process, too
    assert whole(root) == ["b.wav", "mine.wav"]
    assert SentFolder(root).remove() == 0


def test_a_list_that_was_tampered_with_removes_nothing_outside(tmp_path):
    outside = tmp_path / "own.wav"
    outside.write_bytes(b"own")
    root = tmp_path / "pump.normals"
    root.mkdir()
    lines = ['{"file": "../own.wav", "bytes": 3}', f'{{"file": "{outside}", "bytes": 3}}', "{cut"]
    (root / ".sent.jsonl").write_text("\n".join(lines))
    assert SentFolder(root).remove() == 0
    assert outside.exists()


@pytest.mark.parametrize("make", ["folder", "link", "linked folder"])
def test_links_and_folders_in_the_way_are_not_written_through(tmp_path, make):
    root, own = tmp_path / "pump.normals", tmp_path / "own"
    root.mkdir()
    own.mkdir()
    if make == "folder":
        (root / "a.wav").mkdir()
    elif make == "link":
        (root / "a.wav").symlink_to(own / "a.wav")
    else:
        (root / "day").symlink_to(own)
    place = "day/a.wav" if make == "linked folder" else "a.wav"
    refused(lambda: put(SentFolder(root), place, b"x"), place, error=DatasetError)
    assert list(own.iterdir()) == []


def test_a_folder_called_as_a_recording_is_refused(tmp_path):
    folder = SentFolder(tmp_path / "pump.normals")
    put(folder, "a.wav", b"x")
    refused(lambda: put(folder, "a.wav/b.wav", b"x"), "a.wav/b.wav", error=DatasetError)


def test_a_full_disk_is_said_before_and_leaves_nothing_half(tiny_disk):  # noqa: F811
    folder = SentFolder(tiny_disk / "pump.normals")
    refused(lambda: folder.check_room(7_000_000), "pump.normals", error=Refusal)
    folder.check_room(5_000_000)
    refused(lambda: put(folder, "a/b.wav", bytes(9_000_000)), "b.wav", error=StorageError)
    assert folder.count == 0
    assert not (tiny_disk / "pump.normals").exists() or whole(tiny_disk / "pump.normals") == []
    assert put(folder, "c.wav", bytes(1_000_000))


def test_a_file_is_never_held_in_memory(tmp_path):
    folder = SentFolder(tmp_path / "pump.normals")
    block = os.urandom(1 << 20)
    tracemalloc.start()
    coming = folder.begin(Path("long.wav"))
    for _ in range(32):
        coming.write(block)
    coming.commit()
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    written = (folder.folder / "long.wav").read_bytes()
    assert hashlib.sha256(written).hexdigest() == coming.digest
    assert len(written) == 32 << 20
