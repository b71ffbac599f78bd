"""`nearfar check`: clips per second on two cores, and where a clip's time goes against decoding."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

import soundfile

import nearfar as nf
from bench.dif import clip, milliseconds
from bench.startup import of_children
from nearfar.clips.survey import Glance, do_glance
from nearfar.embedding.jobs import Job, do_job
from nearfar.health.glimpse import sound_of
from nearfar.runtime.runtime import Runtime

CLIPS, TESTS = 1000, 200  # of one machine, as many as in the real set
FEW = 200  # clips of a small set, to tell what a further clip takes without the start
RUNS = 3
ROUNDS = 60
CORES = 2


def written(folder: Path, count: int) -> Path:
    """A DCASE set of one machine, 16-bit WAV; the small one is a part of the large one."""
    for n in range(count):
        split = "test" if n % (CLIPS // TESTS + 1) == 0 else "train"
        name = f"section_00_source_{split}_normal_{n:04d}_noAttribute.wav"
        path = folder / "saw" / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip(n).T, 16_000, subtype="PCM_16")
    return folder


def whole(folder: Path) -> tuple[float, float]:
    """Seconds by the clock and of processor time of one `nearfar check`, without a cache."""
    command = [sys.executable, "-m", "nearfar", "check", str(folder), "--no-cache"]
    used, start = of_children(), time.perf_counter()
    done = subprocess.run([*command, "--workers", str(CORES)], capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr.decode())
    return time.perf_counter() - start, of_children() - used


def parts(folder: Path) -> dict[str, float]:
    """Milliseconds of a clip in one process, taken in turn."""
    clips = nf.Clips.open(folder, split="train")[:40]
    chains = tuple(member.chain for member in nf.s4().members)
    turn = cycle(clips)

    def judged() -> object:
        one = nf.Clips([next(turn)])
        return do_job(Job(one, chains, "near-far", Runtime(), digest=True, near=True))

    works = {
        "decoded by soundfile": lambda: soundfile.read(next(turn).path, dtype="float32"),
        "a test clip": lambda: do_glance(Glance((next(turn),), 2, "near-far", sound_of)),
        "a training clip, with System 4's features": judged,
    }
    return milliseconds(works, ROUNDS)


def run() -> str:
    load = os.getloadavg()[0]  # of others: its own comes on top
    with tempfile.TemporaryDirectory() as place:
        folder, small = written(Path(place, "all"), CLIPS + TESTS), written(Path(place, "few"), FEW)
        taken = parts(folder)
        whole(folder)  # the first fills the page cache
        runs = [(*whole(folder), *whole(small)) for _ in range(RUNS)]
    clock, busy, _, busy_few = (statistics.median(column) for column in zip(*runs, strict=True))
    total = CLIPS + TESTS
    further = (busy - busy_few) / (total - FEW)
    floor = taken["decoded by soundfile"]
    rows = [
        "## Checking a data set",
        "",
        f"`nearfar check` of {CLIPS} training and {TESTS} test clips of 10 s, two channels, 16-bit "
        f"WAV, without a cache, start-up and judgement included; {CORES} worker processes, median "
        f"of {RUNS}. A clip's parts are processor time of one core.",
        "",
        "| what | ms a clip | × decoding |",
        "|---|--:|--:|",
        *(f"| {name} | {ms:.2f} | {ms / floor:.1f} |" for name, ms in taken.items()),
        f"| the whole command, of both cores together | {1e3 * busy / total:.2f} | "
        f"{1e3 * busy / total / floor:.1f} |",
        f"| a further clip of a larger set | {1e3 * further:.2f} | {1e3 * further / floor:.1f} |",
        "",
        f"By the clock {total / clock:.0f} clips a second ({total / min(runs)[0]:.0f} in the best "
        f"of the {RUNS} runs), with a load of {load:.1f} on {os.cpu_count()} cores before "
        f"they began. By processor time {CORES} cores of its own do "
        f"{CORES * total / busy:.0f} a second, start-up included, and {CORES / further:.0f} of the "
        "further clips of a larger set.",
    ]
    return "\n".join(rows)
