"""What fitting and scoring cost for ten times the machines, and the memory that takes.

Whole commands in processes of their own: `nearfar fit`, `score` of one clip a machine, `fleet`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from nearfar.detector.fitting import SPLIT
from nearfar.sound.spectral import SAMPLE_RATE

MACHINES, ROUNDS = (200, 2_000), 3
CLIPS, SECONDS = 4, 1.0  # of a machine: the shortest that a fit takes, and as few as tell anything
RATIO, SPREAD = 10.0, 1.5  # of the processor time, wanted
FLAT = 1.25  # times the memory of the smaller fleet that still is called flat


@dataclass(frozen=True)
class Ran:
    """One command: its own processes and those it started."""

    cpu: float  # s of the processor, children too
    clock: float  # s
    peak: float  # MB of memory, of the largest process


@dataclass(frozen=True)
class FleetCost:
    """What the commands took on one fleet."""

    machines: int
    fit: Ran
    score: Ran
    fleet: Ran


def ran(arguments: list[str]) -> Ran:
    """A nearfar command, with two workers and no cache.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "nearfar", *arguments], stdout=subprocess.DEVNULL, stderr=said
        )
        _, status, used = os.wait4(process.pid, 0)  # its children too, which it waited for
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        last = said.read().decode(errors="replace")[-500:]
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}: {last}")
    # Of memory it is the most that any one of them had.
    took = time.perf_counter() - begin
    return Ran(used.ru_utime + used.ru_stime, took, used.ru_maxrss / 1000)


def write_fleet(folder: Path, machines: int) -> None:
    """Noise that is a little other for each machine: normal clips, and one to be scored."""
    rng = np.random.default_rng(0)
    for m in range(machines):
        for part, count in (("normal", CLIPS), ("new", 1)):
            place = folder / part / f"m{m:04d}"
            place.mkdir(parents=True)
            for i in range(count):
                sound = (0.02 + 0.1 * rng.random()) * rng.standard_normal(
                    (int(SECONDS * SAMPLE_RATE), 2)
                )
                soundfile.write(place / f"{i}.wav", sound, SAMPLE_RATE, subtype="PCM_16")


def cost(folder: Path, machines: int, system: str, workers: int = 2) -> FleetCost:
    """Fit a fleet, score one clip of each machine, list them."""
    write_fleet(folder, machines)
    detector, work = str(folder / "det"), ["--workers", str(workers), "--no-cache"]
    fit = ran(["fit", str(folder / "normal"), "-s", system, "-o", detector, *work])
    score = ran(["score", detector, str(folder / "new"), "--csv", os.devnull, *work])
    return FleetCost(machines, fit, score, ran(["fleet", detector]))


def start_up(one: FleetCost, none: FleetCost, two: FleetCost) -> FleetCost:
    """What does not grow with a fleet: what one machine costs, and two workers beside none.

    One machine starts no workers, so theirs is what they add to the smallest fleet whose machines
    are fitted in them too.
    """

    def begun(alone: Ran, none: Ran, two: Ran) -> Ran:
        return replace(alone, cpu=alone.cpu + max(0.0, two.cpu - none.cpu))

    fit, score = begun(one.fit, none.fit, two.fit), begun(one.score, none.score, two.score)
    return FleetCost(1, fit, score, one.fleet)


def least(rounds: list[FleetCost]) -> FleetCost:
    """Of each command the least time, which work beside it only adds to, and the most memory."""

    def of(command: str) -> Ran:
        all_of: list[Ran] = [getattr(one, command) for one in rounds]
        cpu, clock = min(ran.cpu for ran in all_of), min(ran.clock for ran in all_of)
        return Ran(cpu, clock, max(ran.peak for ran in all_of))

    return FleetCost(rounds[0].machines, of("fit"), of("score"), of("fleet"))


def told(system: str, one: FleetCost, small: FleetCost, large: FleetCost) -> str:
    """The section of docs/benchmarks.md."""
    lines = [
        "## Fleets",
        "",
        f"Made fleets of {small.machines:,} and {large.machines:,} machines, {CLIPS} normal clips "
        f"of {SECONDS:g} s each (noise, stereo), system {system}, two workers, no cache; scored is "
        f"one clip of each machine. Processor seconds with the workers', the least of {ROUNDS} "
        "rounds; memory is the most that any one process had. Start-up is what one machine costs, "
        f"and what two workers add to {SPLIT}; the ratio is without it.",
        "",
        f"| command | start-up, CPU s | CPU s, {small.machines:,} | CPU s, {large.machines:,} "
        f"| ratio | wanted | MB, {small.machines:,} | MB, {large.machines:,} | ratio |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in ("fit", "score", "fleet"):
        few, many = getattr(small, name), getattr(large, name)
        alone = getattr(one, name).cpu
        # Where all is start-up, the rest of it divides to anything.
        ratio = f"{_ratio(alone, few, many):.1f}" if few.cpu > 1.2 * alone else "–"
        wanted = f"{RATIO:g} ± {SPREAD:g}" if name == "fit" else "–"
        lines.append(
            f"| nearfar {name} | {alone:.1f} | {few.cpu:.1f} | {many.cpu:.1f} "
            f"| {ratio} | {wanted} "
            f"| {few.peak:.0f} | {many.peak:.0f} | {many.peak / few.peak:.2f} |"
        )
    return "\n".join([*lines, "", _judged(one, small, large)])


def _ratio(alone: float, few: Ran, many: Ran) -> float:
    """Of the processor time, start-up apart."""
    return (many.cpu - alone) / max(few.cpu - alone, 1e-9)


def _judged(one: FleetCost, small: FleetCost, large: FleetCost) -> str:
    ratio, memory = _ratio(one.fit.cpu, small.fit, large.fit), large.fit.peak / small.fit.peak
    linear = "met" if abs(ratio - RATIO) <= SPREAD else "missed"
    flat = "met" if memory <= FLAT else "missed"
    return (
        f"Fit linear in the machines: {linear}. Its memory flat (at most {FLAT:g} times): {flat}. "
        f"{large.machines:,} machines are fitted in {large.fit.clock:.0f} s of the clock, scored "
        f"in {large.score.clock:.0f}, listed in {large.fleet.clock:.1f}."
    )


def run(machines: tuple[int, int] = MACHINES, system: str = "s4", rounds: int = ROUNDS) -> str:
    """The section, measured: all fleets in turn, so that other work meets each of them."""
    fleets = [(1, 2), (SPLIT, 1), (SPLIT, 2), *((n, 2) for n in machines)]  # machines, workers
    took: list[list[FleetCost]] = [[] for _ in fleets]
    for _ in range(rounds):
        for (count, workers), costs in zip(fleets, took, strict=True):
            with tempfile.TemporaryDirectory() as place:
                costs.append(cost(Path(place), count, system, workers))
    one, none, two, small, large = map(least, took)
    return told(system, start_up(one, none, two), small, large)
