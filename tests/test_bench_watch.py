"""What `python -m bench watch` prints: ratios of what was measured together, and nothing hidden."""

import subprocess
import sys
from itertools import pairwise

import pytest
from bench.page import parsed, printed
from bench.watch import MACHINES, ROWS, SOAK, Counted, Pace, Soak, ended, fill, grown, row, told

from nearfar.service.history.changes import Change
from nearfar.service.history.cost import CommitCost
from nearfar.service.history.store import HistoryStore

MIB = 2**20
KEPT = {"on disk": CommitCost(0.5e-3, 0.25e-3), "in memory": CommitCost(0.2e-3, 0.1e-3)}


def text():
    loops = [Pace(0.006, 0.008), Pace(0.5, 0.5), Pace(0.006, 0.008)]  # one that was disturbed
    watches = [Pace(0.008, 0.010)] * 3
    memory = [90 * MIB, 100 * MIB, *[101 * MIB] * 7, 103 * MIB]
    late = [0.030] * 19 + [0.300]
    return told(loops, watches, late, KEPT, Soak(memory, 434.4, 250.0), 1.0, 1.5)


def test_ratios_are_of_medians_and_what_is_wanted_stands_beside_them():
    page = text()
    assert "| read, features and score alone | 6.00 | 125 | 1 | 1 |" in page
    assert "| the whole watch (wanted: 0.60) | 8.00 | 100 | 0.75 | 0.80 |" in page
    assert "serves 1000 machines" in page
    assert "median 30 ms, 95 % within 300 ms" in page
    assert "at most 3 × the loop's time + 150 ms, here 174 ms" in page
    assert "on disk 0.25 ms of CPU, 0.50 ms by the clock" in page
    assert "100 MiB after the second tenth, 103 MiB after the last (1.030 ×" in page
    assert "434 bytes a clip" in page
    assert f"{ROWS:,} rows and {SOAK:,} known files in the folder 1.50 s, wanted at most 2" in page


def test_the_page_of_one_machine_has_it_as_it_was_printed():
    of_one = f"- AMD: EPYC, 2 cores.\n\n{text()}"
    numbers = [cell for line in text().splitlines() if line.startswith("| ")
               for cell in line.split("|")[2:]]  # fmt: skip
    page = printed(parsed(of_one), "Printed by a test.")
    assert all(number.strip() in page for number in numbers)
    for line in text().splitlines():
        assert line.startswith("|") or line in page


def test_clips_of_the_long_run_are_of_all_machines_in_turn_and_no_two_alike(tmp_path):
    for m in range(MACHINES):
        (tmp_path / f"m{m:02d}").mkdir()
    fill(tmp_path, MACHINES - 1, MACHINES + 1)
    files = sorted(tmp_path.rglob("*.wav"), key=lambda file: file.name)
    assert [file.parent.name for file in files] == [f"m{MACHINES - 1:02d}", "m00"]
    assert all(a.read_bytes() != b.read_bytes() for a, b in pairwise(files))
    assert not list(tmp_path.glob(".*"))


def test_a_big_history_is_one_that_can_be_read(tmp_path):
    store = HistoryStore.open(str(tmp_path / "plant.db"))
    store.keep(Change(row()))
    store.close()
    grown(tmp_path / "plant.db", 50)
    store = HistoryStore.open(str(tmp_path / "plant.db"))
    clips = list(store.observations(machine="m00"))
    store.close()
    assert len(clips) == len({clip.digest for clip in clips}) == 50


def test_a_watch_that_ended_or_hangs_is_told(tmp_path):
    said = (tmp_path / "said").open("w+b")
    gone = subprocess.Popen([sys.executable, "-c", "raise SystemExit('no broker')"], stderr=said)
    counted = object.__new__(Counted)  # without a broker
    counted.begin()
    with pytest.raises(SystemExit, match="0 of 3 messages"):
        counted.until(3, gone)
    assert "no broker" in ended(gone, said)
    said.close()
