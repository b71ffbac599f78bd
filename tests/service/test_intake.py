"""The queue between sources and the watch."""

import threading
from pathlib import Path

import numpy as np

from conftest import PATIENCE
from nearfar.clips.clip import Clip
from nearfar.service.incoming import Incoming, Notice
from nearfar.service.intake import Intake

SOUND = np.zeros((2, 16), np.float32)


def incoming(name, audio=None):
    return Incoming("hall", Clip(Path(name)), audio=audio, rate=16_000)


def test_the_order_is_that_of_arrival():
    intake = Intake()
    given = [incoming("b.wav"), Notice("hall", "gone", "gone"), incoming("a.wav", SOUND)]
    for one in given:
        intake.put(one)
    assert len(intake) == 3
    assert [intake.take(1.0) for _ in given] == given
    assert intake.take(0.0) is None


def test_sound_waits_for_room_and_names_do_not():
    intake = Intake(most_sound=2)
    for n in range(2):
        intake.put(incoming(f"{n}.wav", SOUND))
    intake.put(incoming("name.wav"))
    waiting = threading.Thread(target=intake.put, args=(incoming("2.wav", SOUND),))
    waiting.start()
    taken = [intake.take(PATIENCE).clip.path.name for _ in range(4)]
    waiting.join(PATIENCE)
    assert taken == ["0.wav", "1.wav", "name.wav", "2.wav"]


def test_who_waits_is_let_go_when_it_is_closed():
    intake = Intake(most=1, most_sound=1)
    intake.put(incoming("0.wav", SOUND))
    waiting = [
        threading.Thread(target=intake.put, args=(incoming("1.wav", sound),))
        for sound in (SOUND, None)
    ]
    for thread in waiting:
        thread.start()
    intake.close()
    for thread in waiting:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in waiting)
    assert len(intake) == 1
