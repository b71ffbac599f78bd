"""A watch for tests: a small detector, sources that give what they are told, and who listens."""

import threading
from pathlib import Path

import numpy as np

import nearfar as nf
from conftest import PATIENCE, machine_sound, write, write_machine
from nearfar.clips.clip import Clip
from nearfar.service.equipment import equip
from nearfar.service.incoming import Incoming, Notice, Stamp
from nearfar.service.news import OutputHealth
from nearfar.service.plant import DetectorSettings, MachineSettings, PlantSettings, SourceSettings
from nearfar.service.watch import Watch

_made = {}  # folder of a test process → detector


def detector_in(folder):
    """The folder of a small detector of one pump, made once a test process."""
    if "pump" not in _made:
        write_machine(folder, "pump", seed=3, source=12, test=0)
        fitted = nf.fit(nf.s4(), nf.Clips.open(folder, split="train"))
        _made["pump"] = fitted.with_false_alarm_rate(0.1)
    return _made["pump"].save(folder / "det")


def sound(seed, **kind):
    """A clip of the pump: (2, samples)."""
    return machine_sound(np.random.default_rng(1000 + seed), **kind)


def stamped(path):
    """How a file is known again."""
    found = path.stat()
    return Stamp(str(path), found.st_size, found.st_mtime_ns)


class GivenSource:
    """Gives what it is made with, and then says that there is no more."""

    def __init__(self, items=(), name="hall", ends=True):
        self.name, self.items, self.ends = name, list(items), ends
        self.put = None

    def start(self, put):
        self.put = put
        for item in self.items:
            put(item)
        if self.ends:
            put(Notice(self.name, "ended", f"{self.name}: no more"))

    def close(self):
        self.put = None


def incoming(path, **of):
    """A file that is whole."""
    of.setdefault("machine", "pump")
    return Incoming("hall", Clip(Path(path), **of), files=(stamped(Path(path)),))


class Listener:
    """An output that remembers."""

    name = "listener"

    def __init__(self):
        self.bulletins, self.events = [], []
        self.heard = threading.Event()

    def start(self):
        pass

    def tell(self, bulletin):
        self.bulletins.append(bulletin)
        self.events += bulletin.events
        self.heard.set()

    @property
    def observations(self):
        return [b.observation for b in self.bulletins if b.observation is not None]

    @property
    def health(self):
        return OutputHealth(self.name, up=True)

    @property
    def said(self):
        return max((event.id for event in self.events), default=0)

    def close(self, patience=5.0):
        pass


class Lines:
    """A log that remembers."""

    def __init__(self):
        self.lines = []

    def __call__(self, event, message, level="info", **facts):
        self.lines.append((event, message, level))

    def of(self, event):
        return [message for name, message, _ in self.lines if name == event]


def plant_of(detector, **said):
    """Settings of one pump, heard in a hall."""
    pump = MachineSettings("pump", "00", DetectorSettings(detector), said.pop("alarm", {}))
    hall = said.pop("source", SourceSettings("hall", "folder", str(detector.parent)))
    return PlantSettings((pump,), (hall,), **said)


def watched(plant, source, *, clock=None):
    """Run a watch of these settings until its source ends: (equipment, listener, log)."""
    listener, log, watch = Listener(), Lines(), []
    have = equip(plant, lambda: watch[0].now, [listener], {source.name: source})
    watch.append(Watch(have, log) if clock is None else Watch(have, log, clock))
    watch[0]()
    return have, listener, log


class Running:
    """A watch in a thread, for tests that do something meanwhile."""

    def __init__(self, plant, source=None):
        self.listener, self.log = Listener(), Lines()
        sources = None if source is None else {source.name: source}
        self.have = equip(plant, lambda: self.watch.now, [self.listener], sources)
        self.watch = Watch(self.have, self.log)
        self._thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        self.until(lambda: self.watch.now.ready or not self._thread.is_alive())
        return self

    def __exit__(self, *_):
        self.watch.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def until(self, holds):
        """Wait for something to hold; it is asked again after each bulletin, and each tenth."""
        for _ in range(10 * PATIENCE):
            if holds():
                return
            self.listener.heard.wait(0.1)
            self.listener.heard.clear()
        raise AssertionError(f"{holds}: never")


def write_new(folder, name, seed, **kind):
    """A new clip of the pump in a folder."""
    return write(folder / name, sound(seed, **kind))
