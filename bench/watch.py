"""`nearfar watch`: clips a second through all of it, latency, 20,000 clips, and what a commit costs.

A real process, a real broker and files that arrive by rename; the watch has one core to itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import nearfar as nf
from bench.dif import clip
from bench.startup import of_children
from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp, now
from nearfar.service.observation import Observation

RATE = 16_000
NORMALS = 60  # clips of 10 s that the detector is fitted on
CLIPS = 300  # through the whole watch, and as many in a loop
LATE = 60  # clips that arrive one by one
APART = 0.25  # s between them
MACHINES, SOAK, SHORT = 20, 20_000, 1.0  # the long run: machines, clips, s of each
COMMITS = 2_000
PATIENCE = 900.0  # s for the slowest of all waits
CORE, OTHER = 0, 1  # the watch's; everybody else's


def pinned(core: int) -> Callable[[], None]:
    """Has a child process on one core, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[min(core, len(cores) - 1)]})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Debian's mosquitto on loopback; the port."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    port, said = free_port(), folder / "mosquitto.conf"
    # Its own bounds are not what is measured: a subscriber on a busy core may lag behind.
    said.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        "max_inflight_messages 0\n"
    )
    server = subprocess.Popen(
        [program, "-c", str(said)], stderr=subprocess.DEVNULL, preexec_fn=pinned(OTHER)
    )
    try:
        yield port
    finally:
        server.terminate()
        server.wait()


class Counted:
    """A subscriber that knows when the message of each clip was received."""

    def __init__(self, port: int) -> None:
        import json

        import paho.mqtt.client as paho

        self.at: dict[str, float] = {}
        self._json = json
        self._news = threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe("nearfar/#", qos=1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _: Any, __: Any, message: Any) -> None:
        if not message.topic.endswith("/clip"):
            return
        said = self._json.loads(message.payload)["observation"]
        with self._news:
            self.at[Path(said["path"]).name] = time.perf_counter()
            self._news.notify_all()

    def until(self, count: int) -> None:
        """Wait for so many clips."""
        end = time.monotonic() + PATIENCE
        with self._news:
            while len(self.at) < count:
                if not self._news.wait(max(0.0, end - time.monotonic())):
                    raise SystemExit(f"{len(self.at)} of {count} messages came")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def watching(detector: Path, folder: Path, history: Path, port: int) -> Iterator[Any]:
    """`nearfar watch` of a folder, on a core of its own."""
    command = [
        sys.executable, "-m", "nearfar", "watch", str(detector), str(folder), "--history",
        str(history), "--mqtt", f"mqtt://127.0.0.1:{port}", "--json", "-q",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=pinned(CORE)
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
        if process.returncode not in (0, -signal.SIGTERM):
            raise SystemExit(said.decode())


def ready(port: int, detector: Path, machine: str) -> None:
    """Wait until a watch says that it is there."""
    import paho.mqtt.subscribe as paho

    paho.simple("nearfar/status", hostname="127.0.0.1", port=port, keepalive=60)


def fitted(folder: Path, machines: int, count: int, seconds: float) -> Path:
    """A detector of some machines; their sounds are noise with another hum each."""
    for m in range(machines):
        for n in range(count):
            path = folder / "normal" / f"m{m:02d}" / f"{n:04d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, made(1000 * m + n, seconds).T, RATE, subtype="PCM_16")
    return nf.fit(nf.s4(), nf.Clips.open(folder / "normal")).save(folder / "detector")


def made(seed: int, seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(2, samples), no two alike."""
    return clip(seed)[:, : round(seconds * RATE)]


def alone(detector: Path, files: list[Path]) -> None:
    """Read, features and score of each file, in a loop; prints processor and clock time."""
    fit = nf.load(detector)
    clips = [nf.Clip(path, machine="m00") for path in files]
    fit.score(clips[:3])
    busy, start = time.process_time(), time.perf_counter()
    for one in clips:
        fit.score([one])
    print(time.process_time() - busy, time.perf_counter() - start)


def loop(detector: Path, folder: Path) -> tuple[float, float]:
    """Processor and clock seconds a clip of the loop, in a process on the watch's core."""
    script = (
        "import sys; from pathlib import Path; from bench.watch import alone; "
        "alone(Path(sys.argv[1]), sorted(Path(sys.argv[2]).iterdir()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(detector), str(folder)], capture_output=True, text=True,
        check=True, preexec_fn=pinned(CORE),
    )  # fmt: skip
    busy, clock = map(float, done.stdout.split())
    return busy / CLIPS, clock / CLIPS


def through(detector: Path, folder: Path, port: int, name: str) -> tuple[float, float]:
    """Processor and clock seconds a clip through the whole watch, beyond its start."""
    watched, counted = folder / name, Counted(port)
    watched.mkdir()
    before = of_children()
    with watching(detector, watched, folder / f"{name}.db", port):
        first = prepared(folder, "first", 1, 9_999)[0]
        os.rename(first, watched / first.name)
        counted.until(1)  # all is loaded
        files = prepared(folder, name, CLIPS, 50_000)
        start = time.perf_counter()
        for file in files:
            os.rename(file, watched / file.name)
        counted.until(1 + CLIPS)
        clock = time.perf_counter() - start
    counted.close()
    return of_children() - before, clock / CLIPS


def start_alone(detector: Path, folder: Path, port: int) -> float:
    """Processor seconds of a watch that hears one clip."""
    watched, counted = folder / "short", Counted(port)
    watched.mkdir()
    before = of_children()
    with watching(detector, watched, folder / "short.db", port):
        first = prepared(folder, "short-first", 1, 9_998)[0]
        os.rename(first, watched / first.name)
        counted.until(1)
    counted.close()
    return of_children() - before


def prepared(folder: Path, name: str, count: int, seed: int, seconds: float = 10.0) -> list[Path]:
    """Files that are whole, outside the watched folder and on its disk."""
    place = folder / f"{name}-made"
    place.mkdir(exist_ok=True)
    files = [place / f"{name}-{n:05d}.wav" for n in range(count)]
    for n, file in enumerate(files):
        soundfile.write(file, made(seed + n, seconds).T, RATE, subtype="PCM_16")
    return files
