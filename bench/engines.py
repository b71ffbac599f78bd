"""The same fit by processes of this machine and by a Ray cluster of it, with one worker and two."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import nearfar as nf
from bench.fit import in_pool, write_clips

COUNT, SECONDS, ROUNDS = 2000, 4, 3
FEW = 64  # clips of a fit that shows how long a cluster needs to begin
RATIO, EFFICIENCY = 1.15, 0.85  # asked: at most, at least
ENGINES = {"local": "processes of this machine", "ray": "Ray"}


@dataclass
class Times:
    """Seconds of the clock, the least of all rounds: work beside it only adds to them."""

    fits: dict[tuple[str, int], float] = field(default_factory=dict)  # engine, workers → s
    begin: dict[tuple[str, int], float] = field(default_factory=dict)  # s until workers can work

    def took(self, engine: str, workers: int, fit: float, begin: float) -> None:
        key = engine, workers
        self.fits[key] = min(fit, self.fits.get(key, fit))
        self.begin[key] = min(begin, self.begin.get(key, begin))

    @property
    def ratio(self) -> float:
        """Of Ray to local processes, two workers each, without anybody's start-up."""
        return self.fits["ray", 2] / self.fits["local", 2]

    def efficiency(self, engine: str) -> float:
        """What a second worker is worth: 1 halves the time."""
        return self.fits[engine, 1] / self.fits[engine, 2] / 2


def fit_seconds(folder: Path, engine: str, workers: int) -> float:
    clips = nf.Clips.open(folder, split="train")
    start = time.perf_counter()
    nf.fit(nf.s4(), clips, nf.Runtime(workers=workers, engine=engine))
    return time.perf_counter() - start


def by_processes(folder: Path, workers: int) -> tuple[float, float]:
    """Seconds of a fit without its processes' start-up, and of that."""
    # Of one worker there is none: the process does the work itself.
    begin = 0.0 if workers == 1 else in_pool([], workers)[0]
    return fit_seconds(folder, "local", workers) - begin, begin


def by_ray(folder: Path, few: Path, workers: int) -> tuple[float, float]:
    """Seconds of a fit on a cluster that has begun, and until it had."""
    first = fit_seconds(few, "ray", workers)
    import ray  # only now: what it reads as it is imported is set by the first fit

    begin = first - fit_seconds(few, "ray", workers)
    took = fit_seconds(folder, "ray", workers)
    ray.shutdown()
    return took, begin


def measured(count: int = COUNT, seconds: int = SECONDS, rounds: int = ROUNDS) -> Times:
    """Each way in turn, so that what else the machine does meets all of them."""
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = "local"  # never a cluster that happens to be here
    times = Times()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder, few = Path(name, "all"), Path(name, "few")
            write_clips(folder, count, seconds)
            write_clips(few, min(count, FEW), seconds)
            fit_seconds(few, "local", 1)  # so that nobody's first fit warms files and libraries
            for _ in range(rounds):
                for workers in (1, 2):
                    times.took("local", workers, *by_processes(folder, workers))
                    times.took("ray", workers, *by_ray(folder, few, workers))
    finally:
        os.environ.pop("RAY_ADDRESS")
        if before is not None:
            os.environ["RAY_ADDRESS"] = before
    return times


def text(times: Times, count: int = COUNT, seconds: int = SECONDS, rounds: int = ROUNDS) -> str:
    rows = [
        "## Engines",
        "",
        f"A fit of System 4 on {count} clips of {seconds} s, by the clock, without a cache: the "
        f"least of {rounds} rounds in which all four were run in turn. Start-up is apart: of "
        "processes until they have imported what a job needs, of Ray until its cluster has begun "
        "and its workers have.",
        "",
        "| engine | 1 worker, s | 2 workers, s | efficiency | start-up of 2 workers, s |",
        "|---|--:|--:|--:|--:|",
    ]
    for engine, name in ENGINES.items():
        worth = times.efficiency(engine)
        mark = "" if worth >= EFFICIENCY else f" **below {EFFICIENCY}**"
        rows.append(
            f"| {name} | {times.fits[engine, 1]:.2f} | {times.fits[engine, 2]:.2f} "
            f"| {worth:.2f}{mark} | {times.begin[engine, 2]:.2f} |"
        )
    mark = "" if times.ratio <= RATIO else f" **above {RATIO}**"
    load = f" The load of the machine was {os.getloadavg()[0]:.1f}." if os.name != "nt" else ""
    rows += [
        "",
        f"With two workers Ray takes {times.ratio:.2f} times as long as processes{mark}; at most "
        f"{RATIO} are asked for, and an efficiency of {EFFICIENCY}.{load}",
    ]
    return "\n".join(rows)


def run() -> str:
    if find_spec("ray") is None:
        return "## Engines\n\nNot run: Ray is not installed (`nearfar[fleet]`)."
    return text(measured())
