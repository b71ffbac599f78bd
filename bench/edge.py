"""The edge: System 4 on one core with 256 MB, from start to verdict; what `[edge]` installs.

`NEARFAR_BENCH_INSTALL=1` installs this tree with its extra into an environment of its own, which
takes a minute and asks pip's own index; without it the size is said to be not measured.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nearfar as nf
from bench.startup import scored
from nearfar.detector.edge.departure import export

RUNS = 15
MEGABYTES = 256  # of address space, wanted
WANTED = 0.6  # s, start to verdict
SMALL = 40.0  # MB, wanted of all but these three
LARGE = ("numpy", "scipy", "onnxruntime")
# What every environment has, and no package of ours asks for.
TOOLS = ("pip", "setuptools", "wheel")
INSTALL = "NEARFAR_BENCH_INSTALL"
ROOT = Path(__file__).resolve().parents[1]
# Sizes by what each distribution lists as its own: name, bytes, bytes of compiled Python.
SIZES = """
import importlib.metadata, os
for one in importlib.metadata.distributions():
    sizes = [(str(f), f.locate()) for f in one.files or ()]
    sizes = [(name, os.path.getsize(path)) for name, path in sizes if os.path.exists(path)]
    compiled = sum(size for name, size in sizes if name.endswith(".pyc"))
    print(one.metadata["Name"].lower(), sum(size for _, size in sizes), compiled)
"""


@dataclass(frozen=True)
class Start:
    """A command's whole process, the best of its runs."""

    seconds: float
    cpu: float  # s of the processor, which a busy machine hardly changes
    peak: float  # MB of memory in use, not of address space


def confined(arguments: list[str], megabytes: int, runs: int = RUNS) -> Start:
    """On one core, one thread, and so much address space; a first run compiles, uncounted."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    with tempfile.TemporaryDirectory() as compiled:
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": compiled}
        # As installed: Python keeps what it has compiled.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        found = []
        for _ in range(runs + 1):
            begin = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *arguments], env=env, preexec_fn=limit,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise RuntimeError(f"{arguments} ended with {process.returncode}")
            took, cpu = time.perf_counter() - begin, used.ru_utime + used.ru_stime
            found.append(Start(took, cpu, used.ru_maxrss / 1000))
    return min(found[1:], key=lambda one: one.seconds)


def least(arguments: list[str], step: int = 8) -> int:
    """MB of address space, in steps, below which the command cannot be run."""
    most, fewest = MEGABYTES, 0
    while most - fewest > step:
        tried = (most + fewest) // 2
        try:
            confined(arguments, tried, runs=1)
            most = tried
        except (RuntimeError, OSError, subprocess.SubprocessError):
            fewest = tried
    return most


def parse(text: str) -> dict[str, tuple[float, float]]:
    """Package → MB, and MB of them that are compiled Python."""
    lines = (line.split() for line in text.splitlines())
    return {name: (int(size) / 1e6, int(compiled) / 1e6) for name, size, compiled in lines}


def installed() -> dict[str, tuple[float, float]]:
    """What `nearfar[edge]` puts into a new environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        python = str(Path(folder, "bin", "python"))
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        wanted = f"{ROOT}[edge]"
        subprocess.run(
            [python, "-m", "pip", "install", "-q", wanted], check=True, env=env, capture_output=True
        )
        done = subprocess.run(
            [python, "-c", SIZES], check=True, env=env, capture_output=True, text=True
        )
    return parse(done.stdout)


def sizes(packages: Mapping[str, tuple[float, float]]) -> list[str]:
    """A table: the three large ones each, all else together, and the largest of that."""
    rest = {n: s for n, s in packages.items() if n not in (*LARGE, *TOOLS)}
    total, compiled = (sum(s[i] for s in rest.values()) for i in (0, 1))
    largest = sorted(rest, key=lambda name: -rest[name][0])[:5]
    rows = [(name, *packages[name]) for name in LARGE if name in packages]
    rows += [("everything else", total, compiled)]
    lines = ["| installed by `nearfar[edge]` | MB | of it compiled Python |", "|---|--:|--:|"]
    lines += [f"| {name} | {mb:.1f} | {pyc:.1f} |" for name, mb, pyc in rows]
    named = ", ".join(f"{name} {rest[name][0]:.1f} MB" for name in largest)
    return [
        *lines,
        "",
        f"Wanted of everything else: at most {SMALL:.0f} MB; it is {total:.1f} MB, without what "
        f"pip compiles (`--no-compile`) {total - compiled:.1f} MB. The largest: {named}.",
    ]


def run() -> str:
    with tempfile.TemporaryDirectory() as folder:
        command = scored(Path(folder))
        full = Path(command[3])
        clips = nf.Clips.open(full.parent / "noise" / "train", machine="noise")
        export(full, full.parent / "edge", normals=clips)
        command[3] = str(full.parent / "edge")
        found, room = confined(command, MEGABYTES), least(command)
    lines = [
        "## The edge",
        "",
        f"System 4, exported: `nearfar score EDGE CLIP` of one clip of 10 s as a whole process on "
        f"one core, by the clock, the least of {RUNS} runs, with {MEGABYTES} MB of address space.",
        "",
        "| what | value | wanted |",
        "|---|--:|--:|",
        f"| start to verdict, s | {found.seconds:.2f} | {WANTED} |",
        f"| processor time of it, s | {found.cpu:.2f} | – |",
        f"| memory in use, MB | {found.peak:.0f} | – |",
        f"| least address space that it runs in, MB | {room} | {MEGABYTES} |",
        "",
    ]
    if os.environ.get(INSTALL):
        return "\n".join([*lines, *sizes(installed())])
    return "\n".join([*lines, f"Installed size: not measured; {INSTALL}=1 does, in a minute."])
