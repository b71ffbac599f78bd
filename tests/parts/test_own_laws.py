"""A person's own file, in worker processes as here."""

import sys

import pytest

from nearfar.parts.own import USER_PREFIX, from_file, user_files, user_module
from nearfar.runtime.workers import run

TEXT = "class Mine:\n    number = 3\n"


@pytest.fixture
def mine(tmp_path):
    known = set(sys.modules)
    path = tmp_path / "mine.py"
    path.write_text(TEXT)
    yield path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def number_of(part):
    return part.number, type(part).__module__


@pytest.mark.slow
def test_worker_processes_know_the_parts_of_a_file(mine):
    """They are sent by name, and a new process has never seen the file."""
    part = from_file(f"{mine}:Mine")()
    numbers = list(run(number_of, [part, part], workers=2))
    assert numbers == [(3, type(part).__module__)] * 2


def test_a_module_is_called_by_its_place_and_not_by_its_content(mine):
    name = user_module(mine).__name__
    assert name.startswith(USER_PREFIX)
    del sys.modules[name]
    mine.write_text(TEXT + "# edited\n")
    assert user_module(mine).__name__ == name


def test_a_file_that_failed_is_run_again_when_it_is_mended(mine):
    mine.write_text("raise ValueError('not yet')")
    with pytest.raises(Exception, match="not yet"):
        user_module(mine)
    assert str(mine) not in user_files()
    mine.write_text(TEXT)
    assert from_file(f"{mine}:Mine").number == 3


def test_nothing_is_written_beside_a_file(mine, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    user_module(mine)
    assert [path.name for path in mine.parent.iterdir()] == [mine.name]
