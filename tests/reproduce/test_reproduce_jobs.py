"""A step on a worker: the same folder, nothing twice, no file of two hosts."""

import platform
from dataclasses import replace
from types import SimpleNamespace

import pytest

from nearfar.clips import Clips
from nearfar.errors import SettingError, StorageError
from nearfar.reproduce.steps import jobs as of_jobs
from nearfar.reproduce.steps import stereo
from nearfar.reproduce.steps.jobs import (
    StepJob,
    do_step,
    elsewhere,
    first_of,
    levels,
    marked,
    within,
)
from nearfar.reproduce.steps.maker import Maker
from nearfar.reproduce.steps.records import Folder
from nearfar.runtime.executors import Processes
from nearfar.runtime.runtime import Runtime
from reproduced import Backwards, study


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Stereo statistics of no clips, in a folder that is marked."""
    asked, folder = study(("text",), train=Clips()), Folder(tmp_path / "run")
    folder.begin(resume=False)
    found = SimpleNamespace(to_data=lambda: {"clips": 0})
    monkeypatch.setattr(stereo, "measure", lambda *what: found)
    (step,) = (s for s in asked.steps() if s.kind == "stereo")
    with marked(folder.path) as mark:
        yield StepJob(Maker(asked, folder, Runtime(), ""), step.key, mark, platform.node())


def test_a_job_that_is_done_again_does_nothing_twice(job, monkeypatch):
    first = do_step(job)
    assert [what for what, _ in first.log] == ["start", "done"]
    assert all("node" not in told for _, told in first.log)
    monkeypatch.setattr(stereo, "measure", None)  # whoever asks again fails
    again = do_step(job)
    assert again.record == replace(first.record, finished=again.record.finished)
    assert again.log == ()


def test_a_folder_that_is_another_there_is_refused_and_stays_empty(job, tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "node7")
    other = Folder(tmp_path / "not mounted")
    ended = do_step(replace(job, maker=replace(job.maker, folder=other)))
    assert isinstance(ended.error, StorageError)
    told = str(ended.error)
    assert told.startswith(f"{other.path}: node7 does not see what {job.home} wrote there; ")
    assert not other.path.exists()


def test_another_version_plans_other_steps(job):
    ended = do_step(replace(job, key="0" * 64))
    assert isinstance(ended.error, SettingError)
    assert "install the same version on all nodes" in str(ended.error)


def test_where_a_step_was_done_stands_in_its_log_and_its_error(job, monkeypatch):
    monkeypatch.setattr(stereo, "measure", None)
    monkeypatch.setattr(platform, "node", lambda: "node7")
    ended = do_step(job)
    assert str(ended.error).startswith("stereo statistics failed on node7: TypeError: ")
    assert ended.log[0][1]["node"] == "node7"


def test_the_mark_goes_whatever_happens(tmp_path):
    def fails():
        with marked(tmp_path) as name:
            assert (tmp_path / name).is_file()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not list(tmp_path.iterdir())


def test_a_host_keeps_what_it_heard_in_a_folder_of_its_own(tmp_path):
    runtime = Runtime(cache=tmp_path, keep=True)
    assert of_jobs._kept_apart(runtime, "head", "head") == runtime
    other = of_jobs._kept_apart(runtime, "node7", "head")
    assert other == replace(runtime, cache=tmp_path / "hosts" / "node7", keep=False)
    assert of_jobs._kept_apart(Runtime(), "node7", "head") == Runtime()
    everybodys = Runtime(cache="memory://cache", keep=True)
    found = of_jobs._kept_apart(everybodys, "node7", "head")
    assert found == replace(everybodys, keep=False)


def test_what_needs_nothing_that_is_left_comes_first():
    steps = study(("2", "3")).steps()
    first, then = levels(steps)
    assert [step.needs for step in first] == [()] * len(first)
    assert all(step.needs for step in then)
    assert sorted(map(steps.index, [*first, *then])) == list(range(len(steps)))
    assert levels(then) == [then]  # all trainings are done
    assert levels([]) == []


def test_a_job_is_of_one_process_and_one_gpu():
    runtime = Runtime(workers=8, device="cuda:3", executor=Backwards(), progress=print)
    assert within(runtime, runtime.executor) == Runtime(device="cuda")
    assert within(replace(runtime, device="cpu"), runtime.executor).device == "cpu"


def test_steps_are_done_here_by_local_processes_and_by_what_puts_jobs_off():
    class Later(Backwards):
        defers = True

    assert elsewhere(Runtime(workers=2)) is None
    assert elsewhere(Runtime(executor=Processes(2))) is None
    assert elsewhere(Runtime(executor=Later())) is None
    executor = Backwards()
    assert elsewhere(Runtime(executor=executor)) is executor
    assert first_of(executor, abs, -3) == first_of(None, abs, -3) == 3
    assert executor.runs == [1]
