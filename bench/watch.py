"""`nearfar watch`: pace through all of it, latency, 20,000 clips in a row, and what a commit costs.

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
        said = self._json.loads(message.payload)
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
    return clip(seed, seconds)


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


def latencies(detector: Path, folder: Path, port: int) -> list[float]:
    """Seconds from a file's rename to its message, each file alone."""
    watched, counted, renamed = folder / "late", Counted(port), {}
    watched.mkdir()
    files = prepared(folder, "late", 1 + LATE, 70_000)
    with watching(detector, watched, folder / "late.db", port):
        for n, file in enumerate(files):
            renamed[file.name] = time.perf_counter()
            os.rename(file, watched / file.name)
            counted.until(1 + n)
            time.sleep(APART)
    counted.close()
    # The first waits for the start of the process.
    return [counted.at[file.name] - renamed[file.name] for file in files[1:]]


def soaked(detector: Path, folder: Path, port: int) -> tuple[list[int], float, float]:
    """Resident bytes after each tenth of the long run, bytes of history a clip, clips a second."""
    watched, counted, history = folder / "soak", Counted(port), folder / "soak.db"
    grown: list[int] = []
    with watching(detector, made_folders(watched), history, port) as process:
        writer = threading.Thread(target=fill, args=(watched,), daemon=True)
        writer.start()
        counted.until(1)
        start = time.perf_counter()
        for tenth in range(1, 11):
            counted.until(tenth * SOAK // 10)
            grown.append(resident(process.pid))
        clock = time.perf_counter() - start
        writer.join()
    counted.close()
    size = sum(f.stat().st_size for f in folder.glob("soak.db*") if f.is_file())
    return grown, size / SOAK, SOAK / clock


def made_folders(watched: Path) -> Path:
    for m in range(MACHINES):
        (watched / f"m{m:02d}").mkdir(parents=True)
    return watched


def fill(watched: Path) -> None:
    """The clips of the long run, of all machines in turn, as fast as they can be written."""
    rng, base = np.random.default_rng(5), made(5, SHORT)
    for n in range(SOAK):
        audio = base + 1e-3 * rng.standard_normal(base.shape, dtype=np.float32)
        temporary = watched / f".{n}.part"
        soundfile.write(temporary, audio.T, RATE, subtype="PCM_16", format="WAV")
        os.rename(temporary, watched / f"m{n % MACHINES:02d}" / f"{n:06d}.wav")


def resident(process: int) -> int:
    """Bytes of memory that a process holds now."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def committed(folder: Path) -> dict[str, tuple[float, float]]:
    """Processor and clock seconds of a row and its file kept, on disk and in memory."""
    found = {}
    for name, where in (("on disk", str(folder / "commits.db")), ("in memory", "")):
        store, seen = HistoryStore.open(where), row()
        changes = [
            Change(replace(seen, digest=f"{n:064x}"), (Stamp(f"/data/hall/{n}.wav", 640_044, n),),
                   station=(("m00", "00"), f'{{"n":{n},"levels":[0,0,0,0,0]}}'))
            for n in range(COMMITS)
        ]  # fmt: skip
        busy, start = time.process_time(), time.perf_counter()
        for change in changes:
            store.keep(change)
        found[name] = tuple(
            (end - begin) / COMMITS
            for end, begin in ((time.process_time(), busy), (time.perf_counter(), start))
        )
        store.close()
    return found


def row() -> Observation:
    return Observation(
        source="hall", name="hall/m00/000000.wav", path="/data/hall/m00/000000.wav", machine="m00",
        section="00", time=None, arrived=now(), seconds=10.0, digest="", status="judged", score=1.0,
        percentile=0.5, p_value=0.5, threshold=2.0, anomalous=False, nearest="m00/0001.wav",
        near_level=-30.0, far_level=-36.0, ratio=6.0, coherence=0.4, detector="0123456789ab",
    )  # fmt: skip


def run() -> str:
    if not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        raise SystemExit("bench of the watch needs a broker: apt-get install mosquitto")
    with tempfile.TemporaryDirectory() as place, broker(Path(place)) as port:
        folder = Path(place)
        detector = fitted(folder / "one", 1, NORMALS, 10.0)
        files = prepared(folder, "loop", CLIPS, 20_000)
        start = start_alone(detector, folder, port)
        loops, watches = [], []
        for turn in range(3):  # in turn, so that a busy moment strikes both
            loops.append(loop(detector, files[0].parent))
            busy, clock = through(detector, folder, port, f"all{turn}")
            watches.append(((busy - start) / CLIPS, clock))
        late = latencies(detector, folder, port)
        commits = committed(folder)
        many = fitted(folder / "many", MACHINES, 20, SHORT)
        memory, growth, pace = soaked(many, folder, port)
    return told(loops, watches, late, commits, (memory, growth, pace))


def told(
    loops: list[tuple[float, float]], watches: list[tuple[float, float]], late: list[float],
    commits: dict[str, tuple[float, float]], soak: tuple[list[int], float, float],
) -> str:  # fmt: skip
    """The section as a page has it."""
    (busy, clock), (watched, through_all) = (
        tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for rows in (loops, watches)
    )
    memory, growth, pace = soak
    middle, worst = statistics.median(late), sorted(late)[int(0.95 * len(late))]
    lines = [
        "## Watch",
        "",
        "`nearfar watch` with a history on disk and a broker, System 4, clips of 10 s, two "
        f"channels, 16-bit WAV at 16 kHz; {CLIPS} files renamed into the folder at once, the watch "
        "alone on one core, broker, writer and subscriber on another; medians of 3 runs, each "
        "beside a loop that only reads, computes the features and scores. Times of the watch are "
        "until the subscriber has a clip's message.",
        "",
        "| | CPU ms a clip | clips/s by the clock | of the loop's pace |",
        "|---|--:|--:|--:|",
        f"| read + features + score alone | {1e3 * busy:.2f} | {1 / clock:.0f} | 1 |",
        f"| the whole watch | {1e3 * watched:.2f} | {1 / through_all:.0f} | "
        f"{clock / through_all:.2f} (by CPU {busy / watched:.2f}) |",
        "",
        f"So one core serves {int(10 / through_all)} machines of one clip each 10 s.",
        "",
        f"From a file's rename to its message, {len(late)} files one by one: median "
        f"{1e3 * middle:.0f} ms, 95 % within {1e3 * worst:.0f} ms; the loop takes "
        f"{1e3 * clock:.1f} ms for a clip.",
        "",
        "What a row kept exactly once costs (row, file and the machine's state, one transaction): "
        + "; ".join(
            f"{name} {1e3 * cpu:.2f} ms of CPU, {1e3 * wall:.2f} ms by the clock"
            for name, (cpu, wall) in commits.items()
        )
        + ".",
        "",
        f"{SOAK:,} clips of {SHORT:g} s of {MACHINES} machines, as fast as they are written: "
        f"{pace:.0f} clips/s; memory {memory[1] / 2**20:.0f} MiB after the second tenth, "
        f"{memory[-1] / 2**20:.0f} MiB at the end ({memory[-1] / memory[1]:.3f} ×); history "
        f"{growth:.0f} bytes a clip, its files' names included.",
    ]
    return "\n".join(lines) + "\n"
