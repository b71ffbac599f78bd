"""The page beside a watch: its first screen, a month of one machine, uploads, and the watch's pace.

Real processes on loopback and Debian's chromium; server, browser and whoever asks share all cores.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

import nearfar as nf
from bench.dif import clip
from bench.watch import (
    APART,
    GOODBYE,
    SILENCE,
    broker,
    fitted,
    free_port,
    prepared,
    row,
    staged,
    watching,
    written,
)
from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore

MACHINES, ROWS = 100, 1_000_000
STEP = 259  # s between two clips of a machine: 10,000 in a month
DENSE = 260_000  # clips of one machine in a month, one each 10 s
VISITS, ASKS, UPLOADS = 7, 21, 41
AT_ONCE, LATE = 50, 40  # uploads in parallel; clips of the watch meanwhile
FIRST = datetime(2026, 1, 1)


@dataclass(frozen=True)
class Visit:
    """One opening of the first screen, in a browser that has nothing of it yet."""

    bytes: int  # of bodies and heads, as they were sent
    seconds: float  # until all machines are drawn
    requests: int


@dataclass(frozen=True)
class Served:
    """All that is measured."""

    visits: Sequence[Visit]
    month: Sequence[float]  # s of the clock, of a month of 10,000 clips
    dense: Sequence[float]  # of 260,000
    loop: Sequence[float]  # s of read, features and score
    uploads: Sequence[float]  # s from the first byte to the verdict
    failed: int  # of those at once
    alone: Sequence[float]  # s of latency of the watch
    beside: Sequence[float]  # with uploads at once


# ---- a big history -------------------------------------------------------------------------------


def grown(history: Path, machines: int, rows: int, step: float) -> None:
    """Make a history of so many rows, of all machines in turn, each with a clip every `step` s."""
    store = HistoryStore.open(str(history))
    for m in range(machines):
        store.keep(Change(row(machine=f"m{m:02d}", digest=f"{m:064x}", time=FIRST)))
    store.close()
    drawn = "abs(random()) / 9223372036854775808.0"
    others = {"at": f"at + {int(step * 1e6)} * n.n", "p_value": drawn}
    repeated(history, -(-rows // machines) - 1, f"clips.id <= {machines}", others)


def thicken(history: Path) -> None:
    """One machine of a history has a clip each 10 s for a month."""
    repeated(history, DENSE - 1, "clips.id = 8", {"at": "at + 10000000 * n.n"})


def repeated(history: Path, times: int, which: str, others: Mapping[str, str]) -> None:
    """Insert some rows again and again, each time with other sound and other values."""
    others = {"digest": "randomblob(32)", "time": "NULL"} | dict(others)
    database = sqlite3.connect(history)
    names = [one[1] for one in database.execute("PRAGMA table_info(clips)") if one[1] != "id"]
    taken = ", ".join(others.get(name, name) for name in names)
    database.execute(
        f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {times}) "
        f"INSERT INTO clips ({', '.join(names)}) SELECT {taken} FROM n JOIN clips "
        f"WHERE n.n <= {times} AND {which}"
    )
    database.execute("ANALYZE")
    database.commit()
    database.close()


# ---- who takes part ------------------------------------------------------------------------------


@contextmanager
def serving(detector: Path, history: Path) -> Iterator[str]:
    """`nearfar serve` of a detector and a history; where it is."""
    port = free_port()
    command = [
        sys.executable, "-m", "nearfar", "serve", str(detector), "--page", f"127.0.0.1:{port}",
        "--history", str(history), "-q",
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until_answers(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(GOODBYE)


def until_answers(place: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SILENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx.get(f"{place}/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise SystemExit("bench: the page did not begin")


def opened(place: str, machines: int) -> list[Visit]:
    """The first screen, each time in a browser that has nothing of it yet."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise SystemExit("bench: no chromium here")
    visits = []
    with sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        chromium = started.chromium.launch(executable_path=found, args=flags)
        for _ in range(VISITS + 1):
            context = chromium.new_context()
            tab = context.new_page()
            sent: list[Any] = []
            tab.on("requestfinished", lambda request, sent=sent: sent.append(request))
            start = time.perf_counter()
            tab.goto(place, wait_until="commit")
            # Asked from outside: the page's own policy lets nobody evaluate within it.
            while tab.evaluate("document.querySelectorAll('a[href^=\"#/m/\"]').length") < machines:
                tab.wait_for_timeout(5)
            took = time.perf_counter() - start
            tab.wait_for_timeout(1000)  # what comes behind the first picture counts, too
            sizes = [one.sizes() for one in sent]
            size = sum(s["responseBodySize"] + s["responseHeadersSize"] for s in sizes)
            visits.append(Visit(size, took, len(sent)))
            context.close()
        chromium.close()
    return visits[1:]  # the first starts a renderer


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Seconds of the clock, without the first time."""
    found = []
    for _ in range(times + 1):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found[1:]


# ---- what is measured ----------------------------------------------------------------------------


def months(place: str, client: httpx.Client) -> list[float]:
    """A month of one machine at the API."""
    asked = {"since": FIRST.isoformat(), "until": (FIRST + timedelta(days=30)).isoformat()}
    return timed(
        lambda: client.get(f"{place}/api/machines/m07/timeline", params=asked).raise_for_status(),
        ASKS,
    )


def verdicts(place: str, files: Sequence[Path], detector: Path) -> tuple[list[float], list[float]]:
    """Each file in a loop that reads and scores, and sent to the page, in turn."""
    fit, loops, uploads = nf.load(detector), list[float](), list[float]()
    with httpx.Client(timeout=60) as client:
        for n, file in enumerate(files):
            start = time.perf_counter()
            fit.score([nf.Clip(file, machine="m00")])
            middle = time.perf_counter()
            send(client, place, file)
            if n:  # the first loads
                loops.append(middle - start)
                uploads.append(time.perf_counter() - middle)
    return loops, uploads


def send(client: httpx.Client, place: str, file: Path) -> int:
    """One recording; HTTP's number of the answer."""
    with file.open("rb") as body:
        reply = client.post(f"{place}/api/machines/m00/score", files={"audio": (file.name, body)})
    return reply.status_code


def latencies(
    detector: Path, files: Sequence[Path], folder: Path, port: int, *, uploads: int
) -> tuple[list[float], int]:
    """Seconds from a file's rename to its message, with so many uploads at once all the while.

    Returns:
        The latencies; how many uploads were not answered by a verdict.
    """
    page = free_port()
    place, renamed, failed = f"http://127.0.0.1:{page}", dict[str, float](), 0
    folder.mkdir()
    arriving, over = staged(files, folder.with_name(f"{folder.name}-staged")), [False]

    def sending() -> int:
        wrong = 0
        with httpx.Client(timeout=120) as client:
            while not over[0]:
                wrong += send(client, place, files[0]) != 200
        return wrong

    more = ("--page", f"127.0.0.1:{page}")
    with (
        watching(detector, folder, folder.with_suffix(".db"), port, *more, core=None) as (
            watch, counted,
        ),
        ThreadPoolExecutor(max(uploads, 1)) as pool,
    ):  # fmt: skip
        until_answers(place, watch)
        senders = [pool.submit(sending) for _ in range(uploads)]
        try:
            for n, file in enumerate(arriving, 1):
                renamed[file.name] = time.perf_counter()
                os.rename(file, folder / file.name)
                counted.until(n, watch)
                time.sleep(APART)
        finally:
            over[0] = True
        failed = sum(sender.result() for sender in senders)
    return [counted.at[file.name] - renamed[file.name] for file in arriving[1:]], failed


def run() -> str:
    """The section of docs/benchmarks.md."""
    with tempfile.TemporaryDirectory() as place, broker(Path(place)) as port:
        return told(measured(Path(place), port))


def measured(folder: Path, port: int) -> Served:
    one = fitted(folder / "one", 1, 60, 10.0)
    files = prepared(folder / "files", 1 + UPLOADS)
    many = fitted(folder / "many", MACHINES, 12, 1.0)
    grown(folder / "fleet.db", MACHINES, ROWS, STEP)
    grown(folder / "dense.db", MACHINES, MACHINES, STEP)
    thicken(folder / "dense.db")
    with serving(many, folder / "fleet.db") as place, httpx.Client(timeout=60) as client:
        visits, month = opened(place, MACHINES), months(place, client)
    with serving(many, folder / "dense.db") as place, httpx.Client(timeout=60) as client:
        dense = months(place, client)
    with serving(one, folder / "none.db") as place:
        loop, uploads = verdicts(place, files, one)
    late = [written(folder / f"late{n:03d}.wav", clip(40_000 + n)) for n in range(1 + LATE)]
    alone, _ = latencies(one, late, folder / "alone", port, uploads=0)
    beside, failed = latencies(one, late, folder / "beside", port, uploads=AT_ONCE)
    return Served(visits, month, dense, loop, uploads, failed, alone, beside)


def told(found: Served) -> str:
    """The section as a page has it."""
    median = statistics.median
    visit, seconds = found.visits[0], median(v.seconds for v in found.visits)
    read, sent = median(found.loop), median(found.uploads)
    before, during = median(found.alone), median(found.beside)
    worst = [sorted(one)[int(0.95 * len(one))] for one in (found.alone, found.beside)]
    lines = [
        "## Page",
        "",
        f"The page beside a watch, over loopback, all on the same cores. {MACHINES} machines, "
        f"{ROWS:,} rows of history, Debian's chromium without anything in its cache: the first "
        f"screen is {visit.bytes / 1000:.0f} kB in {visit.requests} requests (wanted: at most 150 "
        f"kB), and all machines are drawn after {1e3 * seconds:.0f} ms (median of "
        f"{len(found.visits)}; wanted: at most 1,000 ms).",
        "",
        "| what | ms by the clock | wanted, at most |",
        "|---|--:|--:|",
        f"| a month of one machine at the API, 10,000 clips of {ROWS:,} rows | "
        f"{1e3 * median(found.month):.0f} | 150 |",
        f"| a month of one machine at the API, {DENSE:,} clips | {1e3 * median(found.dense):.0f} | "
        "150 |",
        f"| read and score a clip of 10 s, in a loop | {1e3 * read:.1f} | – |",
        f"| the same clip sent to the page, to its verdict | {1e3 * sent:.1f} | "
        f"{1.3e3 * read + 20:.1f} |",
        f"| latency of the watch, {len(found.alone)} clips one by one | {1e3 * before:.1f} | – |",
        f"| the same with {AT_ONCE} uploads at once all the while | {1e3 * during:.1f} | "
        f"{2e3 * before:.1f} |",
        "",
        f"95 % of the latencies are within {1e3 * worst[0]:.0f} ms, with the uploads within "
        f"{1e3 * worst[1]:.0f} ms. Of the uploads {found.failed} were not answered with a verdict.",
    ]
    return "\n".join(lines) + "\n"
