"""What is left to do, and whether the disks have room for it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nearfar.clips import Clips
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import StorageError
from nearfar.reproduce.data import Data
from nearfar.reproduce.steps import schedule as of_schedule
from nearfar.reproduce.steps.estimate import Speed
from nearfar.reproduce.steps.plan import Request
from nearfar.reproduce.steps.records import Folder
from nearfar.reproduce.steps.schedule import Schedule
from nearfar.runtime.runtime import Runtime
from nearfar.scores.truth import Truth
from nearfar.training import FineTuning


@pytest.fixture
def schedule(tmp_path, monkeypatch):
    """Of Table 2, for two seeds."""
    monkeypatch.setattr(of_schedule, "measure", lambda *what: Speed("cpu", {"fp32": 1e12}))
    weights = open_weights("tests/data/eat/tiny")
    data = Data(
        Path("data"), Clips(), Clips(), Truth(()), None, "near-far", "", False, (), "a", "b", 10.0
    )
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    return lambda: Schedule(
        Request(("2",), (0, 1), FineTuning(), data, "w"), weights, folder,
        Runtime(cache=tmp_path / "cache"),
    )  # fmt: skip


def test_what_is_done_is_not_left(schedule):
    before = schedule()
    step = next(s for s in before.steps if s.name == "score s4")
    before.folder.write(step, 1.0, [], [], {"weights": []}, {})
    after = schedule()
    assert [s for s in before.left if s not in after.left] == [step]
    assert after.records.keys() == {step.key}
    assert f"{len(after.steps)} steps, 1 done; left: " in after.told
    lines = after.text.splitlines()[1:-1]
    assert len(lines) == len(after.steps)
    assert [line.endswith("done") for line in lines] == [s == step for s in after.steps]


def test_a_finished_run_has_no_time_left(schedule):
    found = schedule()
    found.left = []
    assert found.told == f"{len(found.steps)} steps, all done"


def test_needs_of_one_disk_add_up(schedule, monkeypatch):
    found = schedule()
    usage = shutil.disk_usage(found.folder.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(10e9)))
    for disk, cache, fits in ((9e9, 0, True), (0, 9e9, True), (6e9, 6e9, False), (11e9, 0, False)):
        found.estimate = replace(found.estimate, disk=disk, cache=cache)
        if fits:
            found.check_disk()
        else:
            with pytest.raises(StorageError, match=r"10\.0 GB free, the run needs some 1[12]\.0"):
                found.check_disk()


def test_what_will_be_replaced_makes_room(schedule, monkeypatch):
    found = schedule()
    usage = shutil.disk_usage(found.folder.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    found.estimate = replace(found.estimate, disk=1500, cache=0)
    with pytest.raises(StorageError):
        found.check_disk()
    (found.folder.path / "weights" / "train.checkpoint.safetensors").write_bytes(bytes(600))
    found.check_disk()
    # What a smaller checkpoint leaves over is no room for log-mels: the old one goes last.
    found.estimate = replace(found.estimate, disk=100, cache=1200)
    with pytest.raises(StorageError):
        found.check_disk()
