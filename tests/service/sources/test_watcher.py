"""The system's own events: what happened to which file, by the name it has for the user."""

import os
import sys
import threading
import warnings

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


def test_a_file_is_told_of_by_one_name_wherever_links_lead(tmp_path):
    hall = tmp_path / "hall"
    (hall / "fan").mkdir(parents=True)
    (hall / "above").symlink_to(tmp_path)
    told, news = [], threading.Condition()

    def tell(path, happened):
        with news:
            told.append(os.path.relpath(path, hall))
            news.notify_all()

    watcher = Watcher(tell)
    watcher.add(str(hall))
    watcher.add(str(hall / "above"))
    try:
        moved_in(hall / "fan" / "1.wav", b"x")
        moved_in(tmp_path / "2.wav", b"x")
        # Behind it nothing more comes of what was before: each folder's events keep their order.
        with news:
            assert news.wait_for(lambda: {"fan/1.wav", "above/2.wav"} <= set(told), 60), told
    finally:
        watcher.close()
    assert not [path for path in told if path.startswith("above/hall")]


def test_watchdogs_own_bookkeeping_is_no_word_of_ours():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Watcher(lambda path, happened: None).close()
        warnings.warn(
            "Callback with id '1' already exists for watch <>.", RuntimeWarning, stacklevel=1
        )
        with pytest.raises(RuntimeWarning, match="else"):
            warnings.warn("something else", RuntimeWarning, stacklevel=1)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is of Linux")
def test_no_event_is_held_back_behind_a_file_that_leaves():
    """Half a second by default, for all that comes after it: more than scoring a clip takes."""
    from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

    Watcher(lambda path, happened: None).close()
    assert InotifyMoveEventGrouper().delay == 0
