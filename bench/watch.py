"""`nearfar watch`: its pace, its latency, 20,000 clips in a row, commits and a restart.

A real process, a real broker and files that arrive by rename; the watch has one core to itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import soundfile

import nearfar as nf
from bench.dif import clip
from bench.startup import of_children
from nearfar.errors import NearfarWarning
from nearfar.service.history.changes import Change
from nearfar.service.history.cost import CommitCost, commit_cost
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp, now
from nearfar.service.observation import Observation

RATE = 16_000
NORMALS = 60  # clips of 10 s that the detector is fitted on
CLIPS, TURNS = 300, 3  # through the whole watch and in a loop; how often, in turn
LATE, APART = 60, 0.25  # clips that arrive one by one, and s between them
MACHINES, SOAK, SHORT = 20, 20_000, 1.0  # the long run: machines, clips, s of each
AHEAD = 250  # clips of the long run that are written in one go; so many wait beside them
COMMITS = 2_000
ROWS = 200_000  # of a big history
SILENCE = 60.0  # s without a message, after which a watch hangs
GOODBYE = 30.0  # s that it may take to end
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"  # not on every path
CORES = sorted(os.sched_getaffinity(0))
WATCH, OTHERS = CORES[0], CORES[-1]  # the watch's core; everybody else's
Child: TypeAlias = "subprocess.Popen[bytes]"


@dataclass(frozen=True)
class Pace:
    """Seconds a clip, of a processor and of the clock."""

    cpu: float
    clock: float


@dataclass(frozen=True)
class Soak:
    """The long run."""

    memory: Sequence[int]  # resident bytes after each tenth
    growth: float  # bytes of history a clip
    pace: float  # clips a second


# ---- who takes part ------------------------------------------------------------------------------


def pinned(core: int) -> Callable[[], None]:
    """Has a child process on one core."""
    return lambda: os.sched_setaffinity(0, {core})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Debian's mosquitto on loopback; the port."""
    port, settings = free_port(), folder / "mosquitto.conf"
    # Its own bounds are not what is measured: a subscriber on a busy core may lag behind.
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        "max_inflight_messages 0\n"
    )
    server = subprocess.Popen(
        [MOSQUITTO, "-c", str(settings)], stderr=subprocess.DEVNULL, preexec_fn=pinned(OTHERS)
    )
    try:
        until_open(port, server)
        yield port
    finally:
        server.terminate()
        server.wait()


def until_open(port: int, server: Child) -> None:
    for _ in range(200):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit("bench: mosquitto did not begin")


class Counted:
    """A subscriber that knows when the message of each clip was received."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as paho

        self.begin()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe("nearfar/+/+/clip", qos=1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def begin(self) -> None:
        self.at: dict[str, float] = {}  # name of a file → seconds of the clock
        self._news = threading.Condition()

    def _take(self, _: Any, __: Any, message: Any) -> None:
        at = time.perf_counter()
        said = json.loads(message.payload)
        if said["status"] != "judged":
            said["path"] = f"{said['path']} ({said['status']}: {said['warning']})"
        with self._news:
            self.at[Path(said["path"]).name] = at
            self._news.notify_all()

    def until(self, count: int, watch: Child) -> None:
        """Wait for so many clips; a watch that ends or hangs is told."""
        quiet = time.monotonic() + SILENCE
        with self._news:
            while (before := len(self.at)) < count:
                self._news.wait(0.2)
                if len(self.at) > before:
                    quiet = time.monotonic() + SILENCE
                elif watch.poll() is not None or time.monotonic() > quiet:
                    raise SystemExit(f"bench: {before} of {count} messages came, and no more")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def watching(
    detector: Path, folder: Path, history: Path, port: int, *more: str, core: int | None = WATCH
) -> Iterator[tuple[Child, Counted]]:
    """`nearfar watch` of a folder, on a core of its own, and whoever hears what it says.

    `more` are further options; without a core it has what others leave it.
    """
    counted = Counted(port)
    command = [
        sys.executable, "-m", "nearfar", "watch", str(detector), str(folder), "--history",
        str(history), "--mqtt", f"mqtt://127.0.0.1:{port}", "-q", *more,
    ]  # fmt: skip
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would stop it
        watch = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=said,
            preexec_fn=None if core is None else pinned(core),
        )  # fmt: skip
        try:
            yield watch, counted
        except SystemExit as error:
            raise SystemExit(f"{error}; the watch said:\n{ended(watch, said)}") from None
        finally:
            ended(watch, said)
            counted.close()
        if watch.returncode:
            raise SystemExit(f"bench: the watch ended so:\n{ended(watch, said)}")


def ended(watch: Child, said: IO[bytes]) -> str:
    """The last that it said on standard error; it has ended then, or was killed."""
    if watch.poll() is None:
        watch.send_signal(signal.SIGTERM)
        try:
            watch.wait(GOODBYE)
        except subprocess.TimeoutExpired:
            watch.kill()
            watch.wait()
    said.seek(0)
    return said.read().decode(errors="replace")[-2000:]


# ---- sounds --------------------------------------------------------------------------------------


def fitted(folder: Path, machines: int, count: int, seconds: float) -> Path:
    """A detector of some machines."""
    for m in range(machines):
        place = folder / "normal" / f"m{m:02d}"
        place.mkdir(parents=True)
        for n in range(count):
            written(place / f"{n:04d}.wav", clip(1000 * m + n, seconds))
    with warnings.catch_warnings():  # of noise some clip stands out always
        warnings.simplefilter("ignore", NearfarWarning)
        return nf.fit(nf.s4(), nf.Clips.open(folder / "normal")).save(folder / "detector")


def written(path: Path, audio: np.ndarray[Any, np.dtype[np.float32]]) -> Path:
    soundfile.write(path, audio.T, RATE, subtype="PCM_16", format="WAV")
    return path


def prepared(place: Path, count: int) -> list[Path]:
    """Files of 10 s, no two alike."""
    place.mkdir()
    return [written(place / f"{n:05d}.wav", clip(20_000 + n)) for n in range(count)]


def staged(files: Sequence[Path], place: Path) -> list[Path]:
    """The same files once more, on the same disk and whole: to be renamed."""
    place.mkdir()
    for file in files:
        os.link(file, place / file.name)
    return [place / file.name for file in files]


# ---- what is measured ----------------------------------------------------------------------------


def alone(detector: Path, folder: Path) -> None:
    """Read, features and score of each file, in a loop; prints seconds of processor and clock."""
    fit = nf.load(detector)
    clips = [nf.Clip(path, machine="m00") for path in sorted(folder.iterdir())]
    fit.score(clips[:3])
    cpu, start = time.process_time(), time.perf_counter()
    for one in clips:
        fit.score([one])
    print(time.process_time() - cpu, time.perf_counter() - start)


def loop(detector: Path, folder: Path) -> Pace:
    """A clip of the loop, in a process on the watch's core."""
    script = (
        "import sys; from pathlib import Path; from bench.watch import alone; "
        "alone(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(detector), str(folder)], capture_output=True,
            text=True, preexec_fn=pinned(WATCH), timeout=SILENCE + CLIPS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"bench: the loop hung for {error.timeout:g} s") from None
    if done.returncode:
        raise SystemExit(f"bench: the loop failed:\n{done.stderr[-2000:]}")
    cpu, clock = map(float, done.stdout.split())
    return Pace(cpu / CLIPS, clock / CLIPS)


def through(detector: Path, files: Sequence[Path], folder: Path, port: int) -> Pace:
    """Of one watch: its processor seconds in all, and the clock's from first rename to last news.

    The first file is heard before the others are there, so that all is loaded.
    """
    first, *others = staged(files, folder.with_name(f"{folder.name}-staged"))
    folder.mkdir()
    before, clock = of_children(), 0.0
    with watching(detector, folder, folder.with_suffix(".db"), port) as (watch, counted):
        os.rename(first, folder / first.name)
        counted.until(1, watch)
        start = time.perf_counter()
        for file in others:
            os.rename(file, folder / file.name)
        counted.until(len(files), watch)
        if others:
            clock = max(counted.at.values()) - start
    return Pace(of_children() - before, clock)


def latencies(detector: Path, files: Sequence[Path], folder: Path, port: int) -> list[float]:
    """Seconds from a file's rename to its message, each file alone; without the first."""
    renamed: dict[str, float] = {}
    folder.mkdir()
    arriving = staged(files, folder.with_name("late-staged"))
    with watching(detector, folder, folder.with_suffix(".db"), port) as (watch, counted):
        for n, file in enumerate(arriving, 1):
            renamed[file.name] = time.perf_counter()
            os.rename(file, folder / file.name)
            counted.until(n, watch)
            time.sleep(APART)
    # The first waits for the start of the process.
    return [counted.at[file.name] - renamed[file.name] for file in arriving[1:]]


def soaked(detector: Path, folder: Path, port: int) -> Soak:
    """The long run."""
    for m in range(MACHINES):
        (folder / f"m{m:02d}").mkdir(parents=True)
    history, memory = folder.with_suffix(".db"), list[int]()
    with watching(detector, folder, history, port) as (watch, counted):
        fill(folder, 0, 1)
        counted.until(1, watch)
        start = time.perf_counter()
        for done in range(1, SOAK, AHEAD):
            # So the watch has always something to do, and what waits is not too much.
            fill(folder, done, min(done + AHEAD, SOAK))
            counted.until(max(1, done - AHEAD), watch)
            if len(counted.at) // (SOAK // 10) > len(memory):
                memory.append(resident(watch.pid))
        counted.until(SOAK, watch)
        clock = time.perf_counter() - start
        memory.append(resident(watch.pid))
    size = sum(file.stat().st_size for file in folder.parent.glob(f"{history.name}*"))
    return Soak(memory, size / SOAK, SOAK / clock)


def fill(folder: Path, first: int, last: int) -> None:
    """Clips of the long run, of all machines in turn."""
    base = clip(5, SHORT)
    for n in range(first, last):
        noise = np.random.default_rng(n).standard_normal(base.shape, dtype=np.float32)
        part = written(folder / f".{n}.part", base + np.float32(1e-3) * noise)
        os.rename(part, folder / f"m{n % MACHINES:02d}" / f"{n:06d}.wav")


def resident(process: int) -> int:
    """Bytes of memory that a process holds now."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def restarted(detector: Path, folder: Path, port: int) -> float:
    """Processor seconds of a watch that begins again with a big history, to the end of a clip."""
    grown(folder.with_suffix(".db"))
    before = of_children()
    with watching(detector, folder, folder.with_suffix(".db"), port) as (watch, counted):
        fill(folder, SOAK, SOAK + 1)
        counted.until(1, watch)
    return of_children() - before


def grown(history: Path, rows: int = ROWS) -> None:
    """Make a history of so many rows of one that has some, as if it had heard more before."""
    database = sqlite3.connect(history)
    columns = [row[1] for row in database.execute("PRAGMA table_info(clips)")]
    taken = ", ".join(
        {"digest": "randomblob(32)", "at": "at - 4000000000 * n.n"}.get(name, name)
        for name in columns
        if name != "id"
    )
    names = ", ".join(name for name in columns if name != "id")
    database.execute(
        f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows}) "
        f"INSERT INTO clips ({names}) SELECT {taken} FROM n JOIN clips LIMIT "
        f"{rows} - (SELECT count(*) FROM clips)"
    )
    database.commit()
    database.close()


def commits(folder: Path) -> dict[str, CommitCost]:
    """A row, its file and its machine's state, in one transaction."""
    seen, found = row(), dict[str, CommitCost]()
    changes = [
        Change(replace(seen, digest=f"{n:064x}"), (Stamp(f"/data/hall/{n}.wav", 640_044, n),),
               station=(("m00", "00"), f'{{"n":{n},"levels":[0,0,0,0,0]}}'))
        for n in range(COMMITS)
    ]  # fmt: skip
    for name, where in (("on disk", str(folder / "commits.db")), ("in memory", "")):
        store = HistoryStore.open(where, watching=True)
        found[name] = commit_cost(store, changes)
        store.close()
    return found


def row(**given: Any) -> Observation:
    usual: dict[str, Any] = {
        "source": "hall", "name": "hall/m00/000000.wav", "path": "/data/hall/m00/000000.wav",
        "machine": "m00", "section": "00", "time": None, "arrived": now(), "seconds": 10.0,
        "digest": "", "status": "judged", "score": 1.0, "percentile": 0.5, "p_value": 0.5,
        "threshold": 2.0, "anomalous": False, "nearest": "m00/0001.wav", "near_level": -30.0,
        "far_level": -36.0, "ratio": 6.0, "coherence": 0.4, "detector": "0123456789ab",
    }  # fmt: skip
    return Observation(**usual | given)


# ---- the section ---------------------------------------------------------------------------------


def run() -> str:
    if not Path(MOSQUITTO).exists():
        return "## Watch\n\nNot measured: there was no broker (Debian's package mosquitto)."
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {OTHERS})  # writer and subscriber are in this process
    try:
        with tempfile.TemporaryDirectory() as place, broker(Path(place)) as port:
            return measured(Path(place), port)
    finally:
        os.sched_setaffinity(0, allowed)


def measured(folder: Path, port: int) -> str:
    detector = fitted(folder / "one", 1, NORMALS, 10.0)
    files = prepared(folder / "files", 1 + CLIPS)
    made = files[0].parent
    os.rename(files[0], folder / files[0].name)  # what the watch hears first is none of the loop's
    files[0] = folder / files[0].name
    start = through(detector, files[:1], folder / "short", port).cpu
    loops, watches = list[Pace](), list[Pace]()
    for turn in range(TURNS):  # in turn, so that a busy moment strikes both
        loops.append(loop(detector, made))
        whole = through(detector, files, folder / f"all{turn}", port)
        watches.append(Pace((whole.cpu - start) / CLIPS, whole.clock / CLIPS))
    late = latencies(detector, files[: 1 + LATE], folder / "late", port)
    kept = commits(folder)
    many = fitted(folder / "many", MACHINES, 20, SHORT)
    soak = soaked(many, folder / "soak", port)
    again = restarted(many, folder / "soak", port)
    return told(loops, watches, late, kept, soak, start, again)


def middle(paces: Sequence[Pace]) -> Pace:
    median = statistics.median
    return Pace(median(pace.cpu for pace in paces), median(pace.clock for pace in paces))


def told(
    loops: Sequence[Pace], watches: Sequence[Pace], late: Sequence[float],
    kept: dict[str, CommitCost], soak: Soak, start: float, again: float,
) -> str:  # fmt: skip
    """The section as a page has it."""
    floor, whole = middle(loops), middle(watches)
    usual, worst = statistics.median(late), sorted(late)[int(0.95 * len(late))]
    memory = [size / 2**20 for size in soak.memory]
    costs = "; ".join(
        f"{name} {1e3 * cost.cpu:.2f} ms of CPU, {1e3 * cost.elapsed:.2f} ms by the clock"
        for name, cost in kept.items()
    )
    lines = [
        "## Watch",
        "",
        "`nearfar watch` with a history on disk and a broker, System 4, clips of 10 s, two "
        f"channels, 16-bit WAV at 16 kHz; {CLIPS} files renamed into the folder at once, the watch "
        "alone on one core, broker, writer and subscriber on another; medians of "
        f"{TURNS} runs, each beside a loop that only reads, computes the features and scores. The "
        "watch is timed from the first rename until the subscriber has the last message; its start "
        "is not counted.",
        "",
        "| what | CPU ms a clip | clips/s by the clock | pace by CPU | pace by the clock |",
        "|---|--:|--:|--:|--:|",
        f"| read, features and score alone | {1e3 * floor.cpu:.2f} | {1 / floor.clock:.0f} | 1 "
        "| 1 |",
        f"| the whole watch (wanted: 0.60) | {1e3 * whole.cpu:.2f} | {1 / whole.clock:.0f} | "
        f"{floor.cpu / whole.cpu:.2f} | {floor.clock / whole.clock:.2f} |",
        "",
        f"So one core serves {int(10 / whole.clock)} machines of one clip each 10 s.",
        "",
        f"From a file's rename to its message, {len(late)} files one by one: median "
        f"{1e3 * usual:.0f} ms, 95 % within {1e3 * worst:.0f} ms; wanted: a median of at most 3 × "
        f"the loop's time + 150 ms, here {3e3 * floor.clock + 150:.0f} ms.",
        "",
        "What a row kept exactly once costs (row, file and the machine's state, one transaction): "
        f"{costs}.",
        "",
        f"{SOAK:,} clips of {SHORT:g} s of {MACHINES} machines, as fast as they are heard: "
        f"{soak.pace:.0f} clips/s; memory {memory[1]:.0f} MiB after the second tenth, "
        f"{memory[-1]:.0f} MiB after the last ({memory[-1] / memory[1]:.3f} ×, wanted at most "
        f"1.05); history {soak.growth:.0f} bytes a clip with its file's name, wanted at most "
        "1,000.",
        "",
        f"Start, one clip and end of a watch with a new history take {start:.2f} s of CPU; of the "
        f"{MACHINES} machines with a history of {ROWS:,} rows and {SOAK:,} known files in the "
        f"folder {again:.2f} s, wanted at most 2.",
    ]
    return "\n".join(lines) + "\n"
