"""A watch with a page in a process of its own, which writes down what files it opens.

Arguments: watch, reader or setup; the detector; a folder for its history and sound; the file for
what it opened.
"""

import json
import logging
import mimetypes
import os
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from conftest import PATIENCE
from nearfar.page.backend import BesideWatch
from nearfar.page.desk import Desk
from nearfar.page.guard import bodies, gate, wire
from nearfar.page.serving import PageOutput
from nearfar.service.plant import HistorySettings, PageSettings
from page_server import READERS, token_file
from setups import a_setup
from watches import GivenSource, Running, incoming, plant_of, write_new

TOLD = (
    "open", "sqlite3.connect", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.rmdir",
    "os.mkdir", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect",
    "shutil.rmtree", "os.truncate", "os.link", "os.symlink", "os.chmod",
)  # fmt: skip


def heard(detector, folder):
    """A watch that has heard some clips of a pump, the last of which are no good."""
    plant = plant_of(detector, history=HistorySettings(str(folder / "plant.db"), keep_audio="all"))
    hall = folder / "hall"
    clips = [incoming(write_new(hall, f"{n}.wav", n, anomaly=n > 5)) for n in range(9)]
    return Running(plant, GivenSource(clips, ends=False))


def patient(seconds=0.3):
    """Waits as long as a test can, and lets one address do as much as it likes."""
    gate.CHANGES = 10**9
    bodies.STALL = bodies.LINGER = wire.HEAD = seconds


@contextmanager
def desk_of(stage, detector, folder):
    """What the page is of: a watch, one that readers look at, or a first run without a detector."""
    if stage == "setup":
        with a_setup(folder, offered=(folder / "hall",), settles=0.2) as desk:
            yield desk
        return
    tokens = [token_file(folder), token_file(folder, READERS, "readers")]
    with heard(detector, folder) as running:
        running.until(lambda: len(running.listener.observations) == 9)
        files = tokens if stage == "reader" else ()
        desk = Desk(PageSettings("127.0.0.1:0", *files, normals=(folder / "hall",)))
        desk.attach(BesideWatch(running.watch))
        yield desk


def main():
    stage = sys.argv[1]
    detector, folder, out = map(Path, sys.argv[2:])
    opened = []
    patient()
    with desk_of(stage, detector, folder) as desk:
        page = PageOutput(desk)
        page.start()
        mimetypes.init()  # reads lists of the system's, once
        with suppress(ImportError):  # which looks for the system's fonts, once
            import matplotlib.font_manager  # noqa: F401

        def hook(event, facts):
            if event in TOLD:
                what = os.fspath(facts[0]) if isinstance(facts[0], os.PathLike) else facts[0]
                opened.append((event, str((what,))))

        sys.addaudithook(hook)
        print(page._socket.getsockname()[1], flush=True)
        sys.stdin.read()
        threading.Thread(target=page.close, args=(PATIENCE,)).start()
        until = threading.Event()
        while page.health.up and not until.wait(0.05):
            pass
        seen = [[event, facts] for event, facts in dict.fromkeys(opened)]
    out.write_text(json.dumps(seen))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
