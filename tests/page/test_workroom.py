"""What requests put aside is nobody else's, and gone with the page."""

import stat
from contextlib import suppress

import pytest

from nearfar.page.refusal import Refusal
from nearfar.page.workroom import ROOM, Workroom


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
