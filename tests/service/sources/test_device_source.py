"""A sound card's logic, against a stand-in for PortAudio; no real microphone is heard here."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import refused
from listening import listening
from nearfar.errors import NearfarError, SettingError
from nearfar.service.sources import device as module
from nearfar.service.sources.device import DeviceSource, devices

RATE = 1000


class Card:
    """What sounddevice is to us: inputs, and streams that call back."""

    def __init__(self, *inputs):
        # (name, channels)
        self.inputs, self.plugged, self.streams, self.made = inputs, True, [], threading.Event()
        self.default = SimpleNamespace(device=[1, -1])
        self.renewed = 0

    def query_devices(self):
        out = {"index": 0, "name": "Loudspeaker", "max_input_channels": 0}
        found = [
            {"index": n, "name": name, "max_input_channels": channels, "default_samplerate": 1000.0}
            for n, (name, channels) in enumerate(self.inputs, 1)
        ]
        return [out, *(found if self.plugged else [])]

    def _terminate(self):
        self.renewed += 1

    def _initialize(self):
        pass

    def InputStream(self, *, device, samplerate, channels, dtype, callback):
        if not self.plugged:
            raise RuntimeError("Error opening InputStream: Invalid device")
        card = self

        class Stream:
            active = False

            def start(self):
                self.active = True
                card.streams.append(self)
                card.made.set()

            def close(self):
                self.active = False

            def send(self, block, overflow=False):
                assert block.shape[1] == channels
                assert dtype == "float32"
                callback(block, len(block), None, SimpleNamespace(input_overflow=overflow))

        return Stream()


def source_of(card, device="", **how):
    how = {"rate": None, "seconds": 1.0} | how
    return DeviceSource("mic", device, library=card, **how)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_AGAIN", 0.02)
    monkeypatch.setattr(module, "_WAIT", 0.02)


def test_blocks_become_clips_of_the_chosen_inputs():
    card = Card(("USB", 4))
    sound = np.random.default_rng(0).normal(0, 0.1, (2 * RATE, 3)).astype(np.float32)
    with listening(source_of(card, chosen=(3, 1), machine="fan")) as ear:
        for block in np.array_split(sound, 7):
            card.streams[0].send(block)
        ear.wait(lambda ear: len(ear.clips) == 2)
    heard = np.concatenate([clip.audio for clip in ear.clips], axis=1)
    np.testing.assert_array_equal(heard, sound[:, [2, 0]].T)
    assert {(clip.rate, clip.clip.machine) for clip in ear.clips} == {(RATE, "fan")}
    assert not card.streams[0].active  # let go of
    assert not ear.notices


def test_a_callers_block_is_its_own_again_when_it_returns():
    card, block = Card(("USB", 2)), np.ones((RATE, 2), np.float32)
    with listening(source_of(card)) as ear:
        card.streams[0].send(block)
        block[:] = 0
        ear.wait(lambda ear: ear.clips)
    assert ear.clips[0].audio.all()


def test_what_comes_faster_than_it_is_taken_is_counted_and_the_caller_never_waits(monkeypatch):
    monkeypatch.setattr(module, "_HELD", 2.0)
    card, busy, first = Card(("USB", 2)), threading.Event(), threading.Event()
    source, heard = source_of(card), []

    def slow(given):
        heard.append(given)
        first.set()
        busy.wait()

    source.start(slow)
    try:
        stream = card.streams[0]
        stream.send(np.zeros((RATE, 2), np.float32))
        first.wait()
        for _ in range(5):  # of these three find room
            stream.send(np.zeros((RATE, 2), np.float32))
        busy.set()
        while source._came > source._taken:  # all that was held is heard
            threading.Event().wait(0.01)
        stream.send(np.zeros((RATE, 2), np.float32))
        while len(heard) < 6:
            threading.Event().wait(0.01)
    finally:
        busy.set()
        source.close()
    told = [given for given in heard if not hasattr(given, "audio")]
    assert [notice.kind for notice in told] == ["overrun"]
    assert "2 s of sound" in told[0].text
    assert source.lost == 2 * RATE


def test_a_gap_begins_a_new_clip():
    card = Card(("USB", 2))
    with listening(source_of(card, seconds=4.0)) as ear:
        card.streams[0].send(np.zeros((3 * RATE, 2), np.float32))
        card.streams[0].send(np.ones((RATE // 2, 2), np.float32), overflow=True)
        card.streams[0].send(np.ones((4 * RATE, 2), np.float32))
        ear.wait(lambda ear: len(ear.clips) == 2)
        ear.wait_told("overrun")
    assert [clip.audio.shape[1] for clip in ear.clips] == [3 * RATE, 4 * RATE]
    assert ear.clips[1].audio.all()


@pytest.mark.parametrize("how", ["inactive", "silent"])
def test_an_unplugged_device_is_lost_and_comes_back(how):
    card, time = Card(("USB", 2)), [0.0]
    with listening(source_of(card, ticks=lambda: time[0])) as ear:
        card.streams[0].send(np.zeros((RATE, 2), np.float32))
        ear.wait(lambda ear: ear.clips)
        card.plugged, card.streams[0].active = False, how == "silent"
        while "lost" not in ear.kinds:
            time[0] += 1.0
            threading.Event().wait(0.02)
        for _ in range(5):  # still away: nothing more is said
            time[0] += 1.0
            threading.Event().wait(0.03)
        assert ear.kinds == ["lost"]
        card.plugged = True
        while "back" not in ear.kinds:
            time[0] += 0.1
            threading.Event().wait(0.02)
        card.streams[-1].send(np.zeros((RATE, 2), np.float32))
        ear.wait(lambda ear: len(ear.clips) == 2)
    assert ear.kinds == ["lost", "back"]
    assert card.renewed  # else PortAudio would not see it


def test_names_that_fit_none_or_several_are_one_line_with_those_there_are():
    card = Card(("USB Audio CODEC", 2), ("USB Interface", 2), ("Built-in", 1))
    for device, words in (
        ("USB", ("USB Audio CODEC", "USB Interface", "mic:1")),
        ("Bilt-in", ("Built-in", "mic:?")),
        ("7", ("mic:?",)),
        ("0", ("mic:?",)),
        ("Built-in", ("1 channel",)),
    ):
        refused(lambda d=device: source_of(card, d).start(print), *words, error=SettingError)
    refused(lambda: source_of(Card()).start(print), "no sound input", error=SettingError)
    for device in ("codec", "1", ""):
        with listening(source_of(card, device)):
            pass


def test_a_device_that_does_not_open_is_one_line():
    card = Card(("USB", 2))
    card.InputStream = lambda **how: (_ for _ in ()).throw(RuntimeError("Device\nunavailable"))
    refused(lambda: source_of(card).start(print), "mic:USB", "Device")


def test_impossible_settings_are_one_line():
    for bad in ({"rate": 3}, {"seconds": 0}, {"chosen": (1, 1)}, {"chosen": (0, 1)}):
        refused(lambda b=bad: source_of(Card(), **b), error=SettingError)


def test_inputs_are_listed():
    assert devices(Card(("USB", 2), ("Mono", 1))) == [
        "1: USB (2 channels, 1000 Hz)",
        "2: Mono (1 channel, 1000 Hz)",
    ]


def test_a_missing_library_is_told_with_its_package(monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    refused(devices, "apt-get install libportaudio2")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    refused(devices, "nearfar[live]")


def test_the_real_library_lists_this_computers_inputs():
    pytest.importorskip("sounddevice", exc_type=OSError)
    try:
        found = devices()
    except NearfarError as error:  # a bare machine has no PortAudio
        pytest.skip(str(error))
    assert all(line[0].isdigit() for line in found)
