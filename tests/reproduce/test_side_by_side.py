"""A reproduction on a real Ray of this machine: who computes dies, and the bits are the local ones.

So do they where the one who asked dies.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile

import pytest

from conftest import PATIENCE, TESTS, TINY
from nearfar.reproduce.steps import schedule
from nearfar.runtime.runtime import Runtime

pytest.importorskip("torch")
pytest.importorskip("ray")

from dying_steps import EPOCHS, LAST, VICTIM, table, untimed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def begun(dcase, folder, who):
    """What a run on Ray in this folder ended with; who was killed in it."""
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    # A socket's path may have some hundred characters, and ours are long.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as short:
        told = {"PYTHONPATH": path, "RAY_TMPDIR": short, "OMP_NUM_THREADS": "1"}
        call = [sys.executable, "-c", "import dying_steps; dying_steps.main()"]
        return subprocess.run(
            [*call, dcase, TINY, folder / "run", folder / "saved", who],
            capture_output=True, text=True, env={**os.environ, **told}, timeout=PATIENCE,
        )  # fmt: skip


@pytest.fixture(scope="module")
def cluster_run(dcase, tmp_path_factory):
    """The folder of a run on Ray, one of whose workers was killed."""
    folder = tmp_path_factory.mktemp("side")
    ended = begun(dcase, folder, "worker")
    assert ended.returncode == 0, ended.stderr
    assert (folder / "saved").exists()
    return folder / "run"


@pytest.fixture(scope="module")
def local_run(dcase, tmp_path_factory):
    """The folder of the same on this machine. Read only."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "_timed", untimed)
        table(dcase, TINY, folder / "run", Runtime(device="cpu", cache=folder / "cache"))
    return folder / "run"


def test_a_run_on_a_cluster_ends_as_a_local_one_to_the_bit(cluster_run, local_run):
    check_equal(local_run, cluster_run)


def check_equal(local, found):
    assert (found / "results.md").read_bytes() == (local / "results.md").read_bytes()
    for pattern in ("scores/*/*.csv", "weights/*.safetensors"):
        names = sorted(path.relative_to(local) for path in local.glob(pattern))
        assert names == sorted(path.relative_to(found) for path in found.glob(pattern))
        assert names
        assert all((local / n).read_bytes() == (found / n).read_bytes() for n in names)
    assert timeless(found / "results.json") == timeless(local / "results.json")


def timeless(path):
    """What stands in a run's JSON but how long steps took, and when they ended."""

    def without(part):
        if isinstance(part, dict):
            return {k: without(v) for k, v in part.items() if k not in ("seconds", "finished")}
        return [without(one) for one in part] if isinstance(part, list) else part

    return without(json.loads(path.read_text(encoding="utf-8")))


def test_the_killed_training_went_on_from_its_checkpoint(dcase, cluster_run):
    lines = (cluster_run.parent / "saved").read_text().splitlines()
    steps, processes = zip(*(map(int, line.split()) for line in lines), strict=True)
    assert len(set(processes)) == 2
    again = processes.index(processes[-1])
    assert steps[again - 1] == LAST
    assert min(steps[again:]) >= LAST  # begun anew it would have saved the first again
    assert max(steps) == EPOCHS
    assert not list((cluster_run / "weights").glob("*.checkpoint.safetensors"))
    before = {p: p.stat().st_mtime_ns for p in (cluster_run / "steps").iterdir()}
    table(dcase, TINY, cluster_run, Runtime(device="cpu"), resume=True)  # nothing is left
    assert {p: p.stat().st_mtime_ns for p in (cluster_run / "steps").iterdir()} == before


def test_a_run_whose_driver_was_killed_goes_on_and_ends_as_any(
    dcase, local_run, tmp_path, monkeypatch
):
    ended = begun(dcase, tmp_path, "driver")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    run = tmp_path / "run"
    assert list((run / "weights").glob(f"{VICTIM}*.checkpoint.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in (run / "steps").iterdir()}
    monkeypatch.setattr(schedule, "_timed", untimed)
    runtime = Runtime(device="cpu", cache=tmp_path / "cache")
    table(dcase, TINY, run, runtime, resume=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # not done twice
    assert not list((run / "weights").glob("*.checkpoint.safetensors"))
    check_equal(local_run, run)
