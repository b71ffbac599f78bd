"""One law for whatever does jobs: their order, their errors, and nothing asked for too soon."""

import os
import time
import warnings
import weakref

import numpy as np
import pytest

from clusters import started_here
from conftest import PATIENCE
from nearfar.errors import AudioError, NearfarError, NearfarWarning, SettingError
from nearfar.runtime.executor import Resources
from nearfar.runtime.executors import Processes, executor_of, run_counted
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.workers import AHEAD
from ways import InShards

WAYS = ("one process", "two processes", "ray", "ray, encoders", "shards")
WORKERS = 2
CORES = Resources(encoder=True, device="cpu")


def early_last(job):
    """The earlier, the slower."""
    time.sleep(0.03 * max(0, 6 - job))
    return job, np.arange(job)


def array(job):
    return np.full(1000 * job, 1.0, dtype=np.float32)


def noted(job):
    """Leaves a file; the third cannot do its work."""
    folder, number = job
    (folder / str(number)).touch()
    if number == 2:
        raise AudioError("two is no good; leave it out with --skip-bad")
    return number


def bug(job):
    return 1 / job


def warned(job):
    for _ in range(2):
        warnings.warn(f"about {job}", NearfarWarning, stacklevel=1)
    return job


def long(job):
    folder, number = job
    (folder / f"{number}-begun").write_text(str(os.getpid()))
    if number:
        try:
            for _ in range(60_000):  # ten minutes, in which it hears that it may go
                time.sleep(0.01)
        finally:
            (folder / f"{number}-left").touch()
    return number


@pytest.fixture(scope="module")
def cluster():
    with started_here(WORKERS) as executor:
        yield executor


@pytest.fixture(params=WAYS)
def way(request):
    """Does jobs: as `way(task, jobs)`, a generator."""
    if request.param == "shards":
        return InShards(3).run
    if not request.param.startswith("ray"):
        return Processes(1 + WAYS.index(request.param)).run
    executor = request.getfixturevalue("cluster")
    needed = CORES if "encoders" in request.param else Resources()
    return lambda task, jobs: executor.run(task, jobs, needed)


pytestmark = pytest.mark.slow


def test_results_come_in_the_order_of_their_jobs(way):
    found = list(way(early_last, range(12)))
    assert [job for job, _ in found] == list(range(12))
    for job, some in found:
        assert np.array_equal(some, np.arange(job))
        some += 1  # a result is the taker's own


def test_without_jobs_there_are_no_results(way):
    assert list(way(early_last, iter(()))) == []


def test_a_job_is_asked_for_when_its_turn_comes(way):
    asked = []

    def jobs():
        for job in range(6, 36):
            asked.append(job)
            yield job

    for taken, _ in enumerate(way(early_last, jobs()), 1):
        assert len(asked) < taken + AHEAD * WORKERS
    assert asked == list(range(6, 36))


def test_a_result_is_forgotten_when_it_is_handed_over(way):
    for result in way(array, [1000] * 6):
        alive = weakref.ref(result)
        del result
        latest = time.monotonic() + PATIENCE
        while alive() is not None and time.monotonic() < latest:
            time.sleep(0.01)
        assert alive() is None


def test_an_error_comes_in_its_turn_with_its_own_type_and_text(way, tmp_path):
    results = way(noted, [(tmp_path, i) for i in range(200)])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(AudioError) as caught:
        next(results)
    assert str(caught.value) == "two is no good; leave it out with skip_bad=True"
    assert len(list(tmp_path.iterdir())) <= 2 + AHEAD * WORKERS


def test_a_bug_is_raised_as_what_it_is(way):
    with pytest.raises(ZeroDivisionError):
        list(way(bug, [2, 1, 0]))


def test_warnings_come_home(way):
    with pytest.warns(NearfarWarning) as caught:
        assert list(way(warned, range(5))) == list(range(5))
    told = [str(w.message) for w in caught]
    assert list(dict.fromkeys(told)) == [f"about {job}" for job in range(5)]


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_whoever_stops_early_has_what_runs_leave_or_end(way, tmp_path):
    """A job tidies up; where that takes too long, as on a busy machine, its process is ended."""
    results = way(long, [(tmp_path, i) for i in range(50)])
    assert next(results) == 0
    results.close()

    def going_on():
        begun = [p for p in tmp_path.glob("*-begun") if p.name != "0-begun" and p.read_text()]
        return [
            p for p in begun
            if not p.with_name(p.name.replace("begun", "left")).exists()
            and not is_gone(int(p.read_text()))
        ]  # fmt: skip

    latest = time.monotonic() + PATIENCE
    while going_on() and time.monotonic() < latest:
        time.sleep(0.05)
    assert going_on() == []
    assert len(list(tmp_path.glob("*-begun"))) <= 1 + AHEAD * WORKERS


def short(job):
    if job == 5:
        raise NearfarError("not this one")
    return job


def test_to_stop_while_jobs_end_by_themselves_ends_nothing_else(cluster):
    """Ray ends the process that cancels a job just as its reply has come."""
    for _ in range(6):
        with pytest.raises(NearfarError, match="not this one"):
            list(cluster.run(short, range(40)))
        some = cluster.run(short, range(4))
        assert next(some) == 0
        some.close()


def fatal(job):
    os._exit(1)


def test_a_process_that_dies_again_and_again_is_one_line(cluster):
    with pytest.raises(NearfarError, match=r"gave a job up.*out of memory\?") as caught:
        list(cluster.run(fatal, range(2)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", ["dask", "", "ray:", "ray:// a", 3])
def test_an_engine_that_is_none_is_refused_with_those_that_are(engine):
    with pytest.raises(SettingError, match="it is local, ray, or ray://HOST:PORT"):
        Runtime(engine=engine)


def test_an_executor_that_is_given_goes_before_the_engine():
    mine = Processes(1)
    assert executor_of(Runtime(workers=2, executor=mine)) is mine


def test_progress_counts_what_each_result_is_worth():
    told = []
    runtime = Runtime(progress=lambda *line: told.append(line))
    done = run_counted(np.arange, [1, 3], runtime, "counting", 4, len)
    assert [list(some) for some in done] == [[0], [0, 1, 2]]
    assert told == [("counting", 0, 4), ("counting", 1, 4), ("counting", 4, 4)]
