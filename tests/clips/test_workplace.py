"""A folder to download into: refused early, and one download at a time."""

import os
from contextlib import suppress

import pytest

from conftest import refused
from nearfar.clips.download import download, workplace
from nearfar.clips.download.workplace import LOCK, WORK, refuse_place, working_in
from nearfar.errors import NetworkError, StorageError
from record_server import RecordServer, records


@pytest.fixture
def server():
    with RecordServer(records()) as running:
        yield running


def test_a_folder_that_is_a_file_or_cannot_be_written_is_refused(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        refused(
            lambda p=place: download("dcase2026", tmp_path / p, server=server.url), "file",
            error=StorageError,
        )  # fmt: skip
    monkeypatch.setattr(os, "access", lambda *_: False)  # this user may write everywhere
    refused(lambda: download("dcase2026", tmp_path / "d", server=server.url), "cannot be written")
    assert server.requests == []


def test_a_folder_that_is_not_there_yet_is_fine_and_not_made(tmp_path):
    refuse_place(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["dev_data", "dev_data/raw", "dev_data/raw/fan"])
@pytest.mark.parametrize("link", [True, False])
def test_what_stands_where_recordings_belong_is_told_before_any_is_fetched(
    place, link, server, tmp_path
):
    where = tmp_path / place
    where.parent.mkdir(parents=True, exist_ok=True)
    where.symlink_to(tmp_path / "nowhere") if link else where.write_text("mine")
    refused(
        lambda: download("dcase2026", tmp_path, split="dev", server=server.url), where,
        "leads nowhere" if link else "a file", error=StorageError,
    )  # fmt: skip
    assert [path for path, _ in server.requests if "/files/" in path] == []


def test_two_downloads_into_one_folder_are_refused(server, tmp_path):
    pytest.importorskip("fcntl")
    with working_in(tmp_path):
        refused(
            lambda: download("dcase2026", tmp_path, server=server.url), "another", "at work",
            error=StorageError,
        )  # fmt: skip
    download("dcase2026", tmp_path, split="dev", server=server.url)


def test_it_is_gone_when_nothing_is_left_in_it_and_stays_else(tmp_path):
    with working_in(tmp_path):
        assert [path.name for path in (tmp_path / WORK).iterdir()] == [LOCK]
    assert list(tmp_path.iterdir()) == []
    with suppress(NetworkError), working_in(tmp_path):
        (tmp_path / WORK / "a.zip").write_text("half")
        raise NetworkError("gone")
    assert (tmp_path / WORK / "a.zip").read_text() == "half"


def test_a_lock_that_another_removed_is_made_anew(tmp_path, monkeypatch):
    """It ends between our opening of the lock and our locking it: a third would make a new one."""
    pytest.importorskip("fcntl")
    true, times = workplace._lock, []

    def removed(handle, folder):
        if not times:
            (tmp_path / WORK / LOCK).unlink()
        times.append(1)
        true(handle, folder)

    monkeypatch.setattr(workplace, "_lock", removed)
    with working_in(tmp_path):
        assert (tmp_path / WORK / LOCK).exists()
    assert len(times) == 2
