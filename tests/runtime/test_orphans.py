"""A parent that is killed leaves no worker behind; SIGTERM ends a command as Ctrl-C does."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from conftest import PATIENCE, finish
from processes import python

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# The jobs say who they are, then sleep far longer than the test may take.
PARENT = """
import sys
sys.warnoptions.clear()  # as anybody runs it: Python's own process for tidying up may warn
from nearfar.runtime import workers
from orphan_jobs import sleep_long

if __name__ == "__main__":
    for _ in workers.run(sleep_long, [sys.argv[1]] * 2, workers=2):
        pass
"""
JOBS = """
import os, pathlib, time

def sleep_long(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(600)
"""
SCORE = """
import sys
from nearfar.cli import main
import nearfar.clips.collection as collection

def slow(*_, **__):
    print("begun", flush=True)
    import time
    time.sleep(600)

collection.Clips.open = slow
sys.argv = ["nearfar", "inspect", "."]
main.main()
"""


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # dead, and nobody has asked yet how it died


def wait_for(condition):
    latest = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_parent_leaves_no_worker(tmp_path):
    (tmp_path / "orphan_jobs.py").write_text(JOBS)
    (tmp_path / "parent.py").write_text(PARENT)
    (told := tmp_path / "told").mkdir()
    path = os.pathsep.join([str(tmp_path), *sys.path])
    code = (
        f"import runpy, sys; runpy.run_path({str(tmp_path / 'parent.py')!r}, run_name='__main__')"
    )
    parent = python(code, told, env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path)
    wait_for(lambda: len(list(told.iterdir())) == 2)
    pids = [int(p.name) for p in told.iterdir()]
    assert all(map(is_running, pids))
    parent.kill()
    _, said = parent.communicate()  # all that wrote there are gone
    wait_for(lambda: not any(map(is_running, pids)))
    assert said == ""


def test_terminated_is_said_in_one_line():
    process = python(SCORE)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    _, err = finish(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == "terminated\n"  # inspect keeps nothing
