"""The door of a cluster's process: what is like us comes in, and errors leave by it as they are."""

import os
import pickle

import pytest

from nearfar.errors import AudioError
from nearfar.runtime.cluster_entrance import did, kernels, packed, stamp

pytest.importorskip("ray")


def test_a_stamp_is_the_same_each_time_and_names_the_sources():
    assert stamp() == stamp.__wrapped__()
    assert stamp()["nearfar"].startswith("0.")
    assert kernels() == kernels.__wrapped__()


@pytest.mark.slow  # Ray's import
def test_a_job_is_done_and_its_outcome_comes_with_the_kernels():
    kind, content = did(packed(abs, -3, (), 0))
    assert (kind, pickle.loads(content)) == ("done", ((3, []), kernels()))


@pytest.mark.slow
def test_a_job_has_the_folder_that_its_paths_are_relative_to(tmp_path, monkeypatch):
    (tmp_path / "DATA").mkdir()
    monkeypatch.chdir(tmp_path)
    job = packed(os.listdir, ".", (), 0)
    monkeypatch.chdir(tmp_path / "DATA")
    assert pickle.loads(did(job)[1])[0] == (["DATA"], [])


def unheard(job):
    raise AudioError(f"{job}: unheard")


@pytest.mark.slow
def test_an_error_is_kept_as_it_is():
    kind, content = did(packed(unheard, "a.wav", (), 0))
    error = pickle.loads(content)
    assert (kind, type(error), str(error)) == ("raised", AudioError, "a.wav: unheard")


@pytest.mark.slow
def test_a_file_of_ones_own_that_is_not_there_is_an_error_of_the_job():
    kind, content = did(packed(abs, 1, ("gone.py",), 0))
    assert kind == "raised"
    assert "gone.py" in str(pickle.loads(content))
