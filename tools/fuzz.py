"""`python -m tools.fuzz --cases 10000 --seed 0`: damaged files of every kind, thrown at nearfar.

A case is a pure function of seed and number: `--only 4711 --seed 0` runs one again. What must hold:
an error is a `NearfarError` of one line with at most 500 characters, printable; what is read
without one equals the samples on disk; no case hangs; memory stays below 300 MB. What does not hold
is printed, its files are kept, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

import numpy as np

from nearfar.errors import NearfarError
from nearfar.text import aligned
from tools.fuzzing import detectors, sounds, texts

LONGEST = 500  # characters of a message
MOST_MEMORY = 300  # MB
PATIENCE = 60  # s; a case takes milliseconds
ROOM = 8 << 30  # bytes of address space: what asks for 512 GiB fails at once instead of swapping
Case = Callable[[Path, np.random.Generator], str]


@dataclass
class Finding:
    """What did not hold in one case."""

    number: int
    kind: str
    what: str


@dataclass
class Campaign:
    """What came of the cases."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)  # kind → outcome → cases
    findings: list[Finding] = field(default_factory=list)

    def table(self) -> str:
        """One row a kind."""
        outcomes = ("taken", "refused", "finding")
        rows = [["kind", "cases", *outcomes]]
        for kind, counted in sorted(self.counts.items()):
            cells = [str(counted[outcome]) for outcome in outcomes]
            rows.append([kind, str(sum(counted.values())), *cells])
        return aligned(rows)


def kinds(home: Path) -> dict[str, tuple[float, Case]]:
    """Name → share of the cases, and the case; `home` holds what is made once."""
    return {
        "sound": (0.5, sounds.run),
        "scores": (0.2, texts.run_scores),
        "list": (0.12, texts.run_list),
        "names": (0.08, texts.run_names),
        "detector": (0.1, partial(detectors.run, home=home)),
    }


def run_case(seed: int, number: int, folder: Path, home: Path) -> tuple[str, str, str]:
    """(kind, outcome, what is wrong) of one case, its files in `folder`."""
    rng = np.random.default_rng([seed, number])
    known = kinds(home)
    kind = str(rng.choice(list(known), p=[share for share, _ in known.values()]))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            with _limited():
                wrong = known[kind][1](folder, rng)
            outcome = "taken"
        except NearfarError as error:
            wrong, outcome = _unfit(str(error)), "refused"
        except Exception as error:  # every other one is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error).splitlines()[:1]
            wrong = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno} {text}"
    for warning in said:
        wrong = wrong or _unfit(str(warning.message))
    return kind, "finding" if wrong else outcome, wrong


def _unfit(message: str) -> str:
    """What is wrong with a message, if anything."""
    if "\n" in message or "\r" in message:
        return f"a message of several lines: {message[:200]!r}"
    if len(message) > LONGEST:
        return f"a message of {len(message)} characters: {message[:200]!r}"
    # An escape would colour or clear the terminal of whoever reads it.
    raw = [c for c in message if not c.isprintable() and c != " "]
    return f"a message with {raw[0]!r}: {message[:200]!r}" if raw else ""


@contextmanager
def _limited() -> Iterator[None]:
    """A case that hangs is ended."""

    def late(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def campaign(seed: int, numbers: range, keep: Path | None = None) -> Campaign:
    """Run cases; the files of those with a finding are copied below `keep`."""
    found = Campaign()
    allowed = peak_memory() + MOST_MEMORY  # what was before is not ours
    with tempfile.TemporaryDirectory(prefix="nearfar-fuzz-") as place:
        home = Path(place) / "once"
        for number in numbers:
            folder = Path(place) / "case"
            folder.mkdir()
            before = peak_memory()
            kind, outcome, wrong = run_case(seed, number, folder, home)
            if (now := peak_memory()) > max(before, allowed):
                outcome, wrong = "finding", wrong or f"{now:.0f} MB of memory, {before:.0f} before"
            found.counts.setdefault(kind, Counter())[outcome] += 1
            if wrong:
                found.findings.append(Finding(number, kind, wrong))
                if keep is not None:
                    shutil.copytree(folder, keep / str(number), dirs_exist_ok=True)
            shutil.rmtree(folder)
    return found


def peak_memory() -> float:
    """Of this process so far, MB."""
    kilo = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / kilo


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign and print what came of it; 1 with findings."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case, by its number")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    given = parser.parse_args(arguments)
    numbers = range(given.cases) if given.only is None else range(given.only, given.only + 1)
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, resource.getrlimit(resource.RLIMIT_AS)[1]))
    start = time.monotonic()
    found = campaign(given.seed, numbers, given.keep)
    print(f"seed {given.seed}, cases {numbers.start} to {numbers.stop - 1}\n{found.table()}")
    print(f"{time.monotonic() - start:.0f} s, peak memory {peak_memory():.0f} MB")
    alike = Counter(f"{f.kind}: {_kind_of(f.what)}" for f in found.findings)
    first = {f"{f.kind}: {_kind_of(f.what)}": f for f in reversed(found.findings)}
    for name, count in alike.most_common():
        one = first[name]
        print(f"{count} × {one.kind}, first case {one.number}: {one.what}")
    if found.findings:
        print(f"{len(found.findings)} findings, their files are in {given.keep}/NUMBER; "
              f"again: python -m tools.fuzz --seed {given.seed} --only NUMBER")  # fmt: skip
    return 1 if found.findings else 0


def _kind_of(what: str) -> str:
    """Findings that differ by numbers and names only are of one kind."""
    return "".join("#" if c.isdigit() else c for c in what.split("'")[0])[:90]


if __name__ == "__main__":
    sys.exit(main())
