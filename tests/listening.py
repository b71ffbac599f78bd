"""Somebody to whom a source gives what it has; tests wait for a condition, never for a time."""

import threading
import time
from contextlib import contextmanager
from pathlib import Path

import conftest
from nearfar.service.incoming import Incoming, Notice


class Ear:
    """All that was given, in its order."""

    def __init__(self):
        self.heard, self._news = [], threading.Condition()

    def __call__(self, given):
        with self._news:
            self.heard.append(given)
            self._news.notify_all()

    def wait(self, what):
        """Until `what(self)` is true."""
        with self._news:
            assert self._news.wait_for(lambda: what(self), conftest.PATIENCE), self.heard

    @property
    def clips(self):
        return [given for given in self.heard if isinstance(given, Incoming)]

    @property
    def notices(self):
        return [given for given in self.heard if isinstance(given, Notice)]

    @property
    def kinds(self):
        return [notice.kind for notice in self.notices]

    @property
    def names(self):
        return [given.clip.path.name for given in self.clips]

    def wait_for(self, *names):
        """Until clips of these files were given."""
        self.wait(lambda ear: set(names) <= set(ear.names))

    def wait_told(self, kind):
        self.wait(lambda ear: kind in ear.kinds)
        return next(notice for notice in self.notices if notice.kind == kind)


@contextmanager
def listening(source):
    """A source at work; behind it no thread of it is left."""
    before, ear = set(threading.enumerate()), Ear()
    source.start(ear)
    try:
        yield ear
    finally:
        source.close()
    end = time.monotonic() + conftest.PATIENCE
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < end, left
        time.sleep(0.01)


def moved_in(path, content):
    """Write a file as careful recorders do: under another name, then renamed."""
    part = Path(f"{path}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    return part.rename(path)
