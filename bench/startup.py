"""Start-up time of whole processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "`python -c pass`": ["-c", "pass"],
    "`import nearfar`": ["-c", "import nearfar"],
    "`nearfar --help`": ["-m", "nearfar", "--help"],
    "`nearfar fit --help`": ["-m", "nearfar", "fit", "--help"],
    "`nearfar systems s4`": ["-m", "nearfar", "systems", "s4"],
}


def seconds(arguments: list[str]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run() -> str:
    taken = {name: seconds(arguments) for name, arguments in COMMANDS.items()}
    floor = taken["`python -c pass`"]
    rows = [
        "## Start-up",
        "",
        f"Whole processes, median of {RUNS}, warm page cache.",
        "",
        "| command | seconds | × an empty Python |",
        "|---|--:|--:|",
    ]
    rows += [f"| {name} | {t:.3f} | {t / floor:.1f} |" for name, t in taken.items()]
    return "\n".join(rows)
