"""The system's own events: what happened to which file, by the name it has for the user."""

import os
import sys
import threading

import pytest

from listening import moved_in
from nearfar.service.sources.watcher import Watcher


def test_files_closed_and_moved_are_told_by_the_users_names(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    told, news = [], threading.Condition()

    def tell(path, happened):
        with news:
            told.append((os.path.relpath(path, tmp_path), happened))
            news.notify_all()

    watcher = Watcher(tell)
    watcher.add(str(tmp_path / "link"))
    watcher.add(str(tmp_path / "link"))  # twice is once
    try:
        (tmp_path / "disk" / "a.wav").write_bytes(b"x")
        moved_in(tmp_path / "disk" / "b.wav", b"x")
        (tmp_path / "out.wav").write_bytes(b"x")
        (tmp_path / "out.wav").rename(tmp_path / "disk" / "c.wav")
        (tmp_path / "disk" / "c.wav").rename(tmp_path / "gone.wav")
        (tmp_path / "disk" / "new").mkdir()
        (tmp_path / "disk" / "d.wav").write_bytes(b"x")
        with news:
            assert news.wait_for(lambda: ("link/d.wav", "closed") in told, 60), told
    finally:
        watcher.close()
    assert not watcher.alive
    assert told.index(("link/a.wav", "closed")) < told.index(("link/b.wav", "moved"))
    assert ("link/c.wav", "moved") in told
    assert not [path for path, _ in told if not path.startswith("link/")]
    assert len(told) == len(set(told))


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is of Linux")
def test_no_event_is_held_back_behind_a_file_that_leaves():
    """Half a second by default, for all that comes after it: more than scoring a clip takes."""
    from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

    Watcher(lambda path, happened: None).close()
    assert InotifyMoveEventGrouper().delay == 0
