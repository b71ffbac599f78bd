"""Start-up of whole processes, in processor time; what one clip in a new process takes."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import nearfar as nf
from bench.fit import write_clips

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
        start = of_children()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        times.append(of_children() - start)
    return statistics.median(times)


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scored(folder: Path) -> list[str]:
    """How to score one clip of 10 s by System 4, fitted on 20."""
    write_clips(folder, 20)
    nf.fit(nf.s4(), nf.Clips.open(folder, split="train")).save(folder / "detector")
    clip = next((folder / "noise" / "train").iterdir())
    # As plainly as a person would; a clip of the fit costs no more than another.
    options = ["--machine", "noise", "--no-cache", "--workers", "1"]
    return ["-m", "nearfar", "score", str(folder / "detector"), str(clip), *options]


def run() -> str:
    with tempfile.TemporaryDirectory() as folder:
        commands = {**COMMANDS, "`nearfar score` of one clip": scored(Path(folder))}
        taken = {name: seconds(arguments) for name, arguments in commands.items()}
    floor = taken["`python -c pass`"]
    rows = [
        "## Start-up",
        "",
        f"Whole processes, processor time, median of {RUNS}, warm page cache.",
        "",
        "| command | CPU s | × an empty Python |",
        "|---|--:|--:|",
    ]
    rows += [f"| {name} | {t:.3f} | {t / floor:.1f} |" for name, t in taken.items()]
    return "\n".join(rows)
