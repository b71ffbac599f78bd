"""The whole watch killed a hundred times, and what it has in the end is what one run has.

What is killed is `nearfar watch` itself, forked off with its imports done, for these would take
most of the time. Half of the moments are random, half are chosen: around the one transaction.
"""

import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import time
from contextlib import suppress

import numpy as np
import pytest

from conftest import write
from nearfar.cli import main as cli
from nearfar.service import finite_source
from nearfar.service.history.questions import Wanted
from nearfar.service.history.store import HistoryStore
from nearfar.service.outputs.command import CommandOutput
from nearfar.service.watch import Watch
from watches import detector_in, sound

FILES, KILLS, SEED = 250, 100, 17
NORMAL_AT = 1_700_000_000  # s since 1970; of the first file
# Where the child kills itself: (what, of which class, before or after).
POINTS = ((HistoryStore, "keep", 0), (HistoryStore, "_mark", 0), (HistoryStore, "_news", 1),
          (HistoryStore, "keep", 1), (Watch, "_tell", 0), (Watch, "_tell", 1))  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A detector, and a folder with all that a plant has: read only."""
    folder = tmp_path_factory.mktemp("killed")
    detector_in(folder)
    new = folder / "in" / "pump"
    for i in range(FILES):
        # An alarm that comes and goes; a machine that stands now and then.
        kind = {"anomaly": True} if i % 30 > 20 else {}
        level = 0.05 if i % 10 == 4 else 1.0
        write(new / f"{i:03}.wav", level * sound(i, **kind))
    long = np.concatenate([sound(500 + i, anomaly=i > 5) for i in range(9)], axis=1)
    write(new / "040_long.wav", long)
    for side, row in (("near", 0), ("far", 1)):
        write(new / f"050x_{side}.wav", sound(600)[row : row + 1])
    shutil.copy(new / "003.wav", new / "060_again.wav")
    shutil.copy(new / "007.wav", new / "061_again.wav")
    write(new / "070_silent.wav", np.zeros((2, 24_000)))
    (new / "080_bad.wav").write_bytes(b"RIFF of nothing")
    (new / b"090_\xff\n.wav".decode(errors="surrogateescape")).write_bytes(
        write(folder / "odd.wav", sound(700)).read_bytes()
    )
    for place, file in enumerate(sorted(new.iterdir())):
        os.utime(file, (NORMAL_AT + place, NORMAL_AT + place))
    return folder


def arguments(place, where):
    told = f"{sys.executable} -c 'import sys; open(sys.argv[1], \"a\").write(sys.stdin.read())' "
    return [
        "watch", place / "det", place / "in", "--once", "--settle", "0s", "--quiet",
        "--history", where / "plant.db", "--keep-audio", "alarms", "--alarm", "2/3",
        "--on-alarm", f"{told} {where / 'told'}",
    ]  # fmt: skip


def killed_at(point, count, monkeypatch):
    """Have this process killed at a point, when it comes there for the count-th time."""
    owner, name, after = point
    done = getattr(owner, name)

    def dying(*given, **more):
        nonlocal count
        count -= 1
        if not count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return done(*given, **more)
        finally:
            if not count:
                os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(owner, name, dying)


def child(argv, say, prepare, patch, most):
    """`nearfar watch` in a fork of this process; says a byte for each clip that it has kept."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    errors = os.open(argv.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, handle in ((0, quiet), (1, quiet), (2, errors)):
        os.dup2(handle, number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, m) for n, m in ((0, "r"), (1, "w"), (2, "w")))
    patch.setattr(finite_source, "CALM", 0.1)
    patch.setattr(finite_source, "LOOK", 0.02)
    keep = HistoryStore.keep
    kept = []

    def told(*given):
        row = keep(*given)
        kept.append(os.write(say, b"."))
        while len(kept) == most:  # slow machines kill late, and fast ones would be done too soon
            signal.pause()
        return row

    patch.setattr(HistoryStore, "keep", told)
    prepare(patch)
    patch.setattr(sys, "argv", ["nearfar", *map(str, argv.arguments)])
    cli.main()


@dataclasses.dataclass
class Call:
    arguments: list
    log: str


def begun(call, prepare=lambda patch: None, most=None):
    hear, say = os.pipe()
    process = os.fork()
    if process == 0:
        code = 70
        try:
            with pytest.MonkeyPatch.context() as patch:
                child(call, say, prepare, patch, most)
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(say)
    return process, hear


def ended(process, hear):
    """Kill it, if it still lives; its exit code, negative for a signal."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.close(hear)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def one_kill(call, rng, number):
    """Begin it and kill it; its exit code."""
    kind = number % 4
    if kind == 3:  # where it hurts
        point, count = POINTS[number // 4 % len(POINTS)], rng.randint(2, 4)
        process, hear = begun(call, lambda patch: killed_at(point, count, patch))
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        return ended(process, hear)
    # The first byte comes before the first clip.
    process, hear = begun(call, most=4 if kind else 2)
    for _ in range(rng.randint(1, 2) if kind else 0):
        os.read(hear, 1)
    wait = rng.expovariate(1 / 0.004) if kind else rng.uniform(0, 0.3)  # s; also while it begins
    time.sleep(wait)
    return ended(process, hear)


def content(where):
    """All that is kept, but for what this computer's clock said."""
    store = HistoryStore.open(str(where / "plant.db"), make=False)

    def timeless(thing, *names):
        return {key: value for key, value in thing.as_dict().items() if key not in names}

    found = {
        "rows": [timeless(row.observation, "arrived") for row in store.rows(Wanted())],
        "events": [timeless(event, "at") for event in store.events()],
        "alarms": [timeless(alarm, "since", "cleared") for alarm in store.alarms(closed=True)],
        "stations": {key: stateless(json.loads(said)) for key, said in store.stations().items()},
        "said": store.said(), "highest": store.highest(),
        "audio": sorted(file.name for file in (where / "plant.db-audio").iterdir()),
    }  # fmt: skip
    store.close()
    return found


def stateless(state):
    """A station's state without times."""
    if isinstance(state, dict):
        aside = ("heard", "since", "at", "cleared")
        return {key: stateless(value) for key, value in state.items() if key not in aside}
    return [stateless(one) for one in state] if isinstance(state, list) else state


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_a_hundred_times_it_has_what_one_run_has(place, tmp_path, run):
    folders = {}
    for name in ("once", "killed"):
        folders[name] = tmp_path / name
        folders[name].mkdir()
    # In this process: with it all is imported that its forks need.
    assert run(*arguments(place, folders["once"]))[0] == 0
    rng, log = random.Random(SEED), tmp_path / "log2"
    call = Call(arguments(place, folders["killed"]), str(log))
    codes = [one_kill(call, rng, number) for number in range(KILLS)]
    assert codes == [-signal.SIGKILL] * KILLS, (codes, log.read_text()[-2000:])
    process, hear = begun(call)
    first = os.read(hear, 1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, log.read_text()
    os.close(hear)
    assert first, "the last run had nothing left to do"
    assert "Traceback" not in log.read_text()
    one, other = content(folders["once"]), content(folders["killed"])
    assert one == other
    # Each sound once, and what is only silent or broken once for each file.
    assert len(one["rows"]) == FILES + 9 + 1 + 1 + 1 + 1
    assert len({row["digest"] for row in one["rows"]}) == len(one["rows"])
    assert {row["status"] for row in one["rows"]} == {"judged", "idle", "unjudged"}
    assert len(one["events"]) > 5
    assert one["audio"]
    # An alarm is told once at least, whatever was killed.
    for folder in folders.values():
        lines = (folder / "told").read_text().splitlines()
        told = {json.loads(line)["event"]["id"] for line in lines}
        assert told == {
            event["id"] for event in one["events"] if event["verb"] in CommandOutput.verbs
        }
        left = {file.name for file in folder.iterdir()}
        assert left <= {"plant.db", "plant.db-audio", "plant.db-lock", "plant.db-shm",
                        "plant.db-wal", "told"}  # fmt: skip
