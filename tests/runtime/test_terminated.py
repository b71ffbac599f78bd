"""SIGTERM ends a command though its workers are in long jobs, and leaves no worker behind."""

import os
import signal
import sys

import pytest
from test_orphans import is_running, pytestmark, wait_for

from command import nearfar
from conftest import finish, first_quick
from processes import python

__all__ = ["pytestmark"]

# Jobs that say who they are and then take far longer than any test may.
JOBS = """
import os, pathlib, time

def told(folder, word):
    pathlib.Path(folder, f"{word}-{os.getpid()}").touch()

def sleeping(folder):
    told(folder, "begun")
    try:
        time.sleep(36_000)
    finally:
        told(folder, "tidy")

def all_but_one(folder):
    try:
        pathlib.Path(folder, "first").touch(exist_ok=False)
    except FileExistsError:
        sleeping(folder)

def busy(folder):
    told(folder, "begun")
    try:
        while True:
            sum(range(1000))
    finally:
        told(folder, "tidy")

def stubborn(folder):
    told(folder, "begun")
    while True:
        try:
            time.sleep(36_000)
        except BaseException:
            pass
"""
PARENT = """
import sys, time
from nearfar.cli import main
from nearfar.runtime import workers
import nearfar.clips.collection as collection
import long_jobs

def slow(*_, **__):
    results = workers.run(job, [folder] * 6, workers=2)
    for _ in results:  # held by a name, they are closed late
        time.sleep(36_000)

folder, job = sys.argv[1], getattr(long_jobs, sys.argv[2])
collection.Clips.open = slow
sys.argv = ["nearfar", "inspect", "."]
main.main()
"""
# What every Python of a command does first: its jobs become long.
LONG = """
import long_jobs, os
import nearfar.embedding.jobs as embedding
import nearfar.sim.dataset as simulated

def slow(*_, **__):
    long_jobs.sleeping(os.environ["TOLD"])

embedding._read = simulated.render = slow
"""


def pids(folder, word):
    return {int(p.name.partition("-")[2]) for p in folder.glob(f"{word}-*")}


def environment(tmp_path):
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


def ended(process, told, number=signal.SIGTERM, jobs=2):
    """Once its jobs are at work the command is ended; who had worked for it."""
    wait_for(lambda: len(pids(told, "begun")) >= jobs or process.poll() is not None)
    workers = pids(told, "begun")
    process.send_signal(number)
    said = finish(process)  # it does not wait for its jobs
    assert process.returncode == 128 + number, said
    # Behind what was said before it: one line, with what is kept, if anything.
    last = [line for line in said[1].splitlines() if not line.startswith("warning: ")]
    assert len(last) == 1, said
    assert last[0].startswith(("terminated", "interrupted")), said
    assert process.pid not in workers
    wait_for(lambda: not any(map(is_running, workers)))
    return workers


@pytest.fixture
def told(tmp_path):
    (tmp_path / "long_jobs.py").write_text(JOBS)
    (folder := tmp_path / "told").mkdir()
    return folder


@pytest.mark.parametrize("number", first_quick([signal.SIGTERM, signal.SIGINT]))
@pytest.mark.parametrize("job", first_quick(["sleeping", "busy"]))
def test_a_long_job_is_left_and_tidies_up(told, tmp_path, job, number):
    process = python(PARENT, told, job, env=environment(tmp_path))
    workers = ended(process, told, number)
    assert pids(told, "tidy") == workers


@pytest.mark.slow
def test_jobs_are_left_whatever_their_results_wait_for(told, tmp_path):
    """The one who takes the results is at work, not the one who waits for them."""
    process = python(PARENT, told, "all_but_one", env=environment(tmp_path))
    workers = ended(process, told)
    assert pids(told, "tidy") == workers


@pytest.mark.slow
def test_a_job_that_does_not_leave_is_ended(told, tmp_path):
    ended(python(PARENT, told, "stubborn", env=environment(tmp_path)), told)


@pytest.mark.slow
def test_the_jobs_of_a_killed_parent_tidy_up_too(told, tmp_path):
    process = python(PARENT, told, "sleeping", env=environment(tmp_path))
    wait_for(lambda: len(pids(told, "begun")) == 2)
    process.kill()
    finish(process)
    wait_for(lambda: pids(told, "tidy") == pids(told, "begun"))
    wait_for(lambda: not any(map(is_running, pids(told, "begun"))))


def begun(tmp_path, told, *arguments):
    (tmp_path / "sitecustomize.py").write_text(LONG)
    where = environment(tmp_path) | {"TOLD": str(told)}
    return nearfar(*arguments, "--workers", 2, env=where)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "score", "simulate"])
def test_each_command_ends(command, told, tmp_path, request):
    given = {"simulate": lambda: [tmp_path / "set", "--machines", "fan"]}
    if command != "simulate":
        dcase, detector = map(request.getfixturevalue, ("dcase", "detector_folder"))
        given["fit"] = lambda: [dcase, "-s", "logmel", "-o", tmp_path / "det"]
        given["score"] = lambda: [detector, dcase]  # more than one job of clips
    workers = ended(begun(tmp_path, told, command, *given[command]()), told)
    assert pids(told, "tidy") == workers
    assert not (tmp_path / "det").exists()
    assert not list(tmp_path.rglob("*.nearfar"))
