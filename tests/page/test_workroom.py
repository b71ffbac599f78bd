"""What requests put aside is nobody else's, and gone with the page."""

import os
import stat
import subprocess
import sys
from contextlib import suppress

import pytest

from nearfar.page.refusal import Refusal
from nearfar.page.workroom import LOCK, PREFIX, ROOM, Workroom


def test_folders_are_this_users_alone_and_gone_with_the_page():
    room = Workroom(100)
    one, two = room.new(), room.new()
    assert one != two
    (one / "1.wav").write_bytes(b"abc")
    assert stat.S_IMODE(one.parent.stat().st_mode) == 0o700
    room.close()
    assert not one.parent.exists()
    with pytest.raises(Refusal, match="the page ends"):
        room.new()
    room.close()


def test_a_place_is_gone_after_an_error_too():
    room = Workroom(100)
    with suppress(ZeroDivisionError), room.place() as folder:
        (folder / "1.wav").write_bytes(b"abc")
        raise ZeroDivisionError
    assert not folder.exists()
    room.close()


def test_room_is_taken_and_given_back():
    room = Workroom(100)
    room.take(100 * ROOM)
    with pytest.raises(Refusal, match="at once"):
        room.take(1)
    room.give_back(1)
    room.take(1)
    room.close()


def test_nothing_is_made_before_it_is_needed():
    room = Workroom(100)
    assert room._folder is None
    room.close()


def test_there_is_one_of_a_kind():
    room = Workroom(100)
    made = []

    def kind(place):
        made.append(place)
        return object()

    assert room.one(kind) is room.one(kind)
    assert made == [room.new]
    room.close()


def test_what_a_killed_page_left_is_removed_by_the_next(tmp_path, monkeypatch):
    """And nothing of one that is alive, of somebody else, or that only is called so."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import os, sys; from nearfar.page.workroom import Workroom\n"
        "(Workroom(9).new() / '1.wav').write_bytes(b'abc'); os._exit(9)"
    )
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=False)
    (left,) = tmp_path.glob(f"{PREFIX}*")
    assert list(left.rglob("1.wav"))
    stranger, elsewhere = tmp_path / f"{PREFIX}mine", tmp_path / "elsewhere"
    stranger.mkdir()
    elsewhere.mkdir()
    (elsewhere / LOCK).write_bytes(b"")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    alive = Workroom(100)
    kept = alive.new()
    assert not left.exists()
    other = Workroom(100)
    other.new()
    assert kept.is_dir()
    assert stranger.is_dir()
    assert elsewhere.is_dir()
    other.close()
    alive.close()
    assert not kept.exists()
