"""The log of a training: whole lines, whatever was killed."""

import json

import pytest

from nearfar.errors import StorageError
from nearfar.training.log import EpochLine, Log, StepLine, is_begun, is_log, lines


def epoch(n):
    return EpochLine(n, 3, 4 * n, 6.0, 0.5, 0.9, 30.0, 20.0)


def step(n):
    return StepLine(1 + (n - 1) // 4, 3, n, 12, 8.0, 5e-6, 30.0, 430.0)


@pytest.fixture
def path(tmp_path):
    """Two epochs of four steps."""
    path = tmp_path / "s1.jsonl"
    with Log(path) as log:
        for n in range(1, 9):
            log(step(n))
            if n % 4 == 0:
                log(epoch(n // 4))
    return path


def test_every_line_is_json_with_all_that_was_said(path):
    found = [json.loads(text) for text in path.read_text().splitlines()]
    assert found == lines(path)
    assert len(found) == 10
    assert found[4] == vars(epoch(1))
    assert found[5] == vars(step(5))


def test_a_line_is_there_as_soon_as_it_is_said(path):
    with Log(path, after=2) as log:
        log(step(9))
        assert lines(path)[-1] == vars(step(9))


@pytest.mark.parametrize("after", [0, 1, 2])
def test_going_on_keeps_the_epochs_before_and_no_others(path, after):
    with Log(path, after):
        assert [line["epoch"] for line in lines(path)] == [e for e in (1, 2) for _ in range(5)][
            : 5 * after
        ]


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_a_writer_killed_in_mid_line_leaves_the_lines_before(path, kept):
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:3]) + whole[3][:kept])
    assert lines(path) == [json.loads(text) for text in whole[:3]]
    assert is_log(path)


def test_what_is_a_log(path, tmp_path):
    other = tmp_path / "notes.jsonl"
    assert is_log(other)  # there is none
    assert lines(other) == []
    other.write_text("")
    assert is_log(other)  # killed before its first line
    other.write_text('{"epochs": 3}\n')
    assert not is_log(other)
    assert lines(other) == []
    assert is_log(path)


def test_a_log_of_no_whole_epoch_is_of_a_training_that_was_killed_early(path, tmp_path):
    begun, steps = tmp_path / "begun.jsonl", path.read_text().splitlines(keepends=True)
    assert not is_begun(begun)  # there is none
    assert not is_begun(path)  # it has epochs
    begun.write_text("")
    assert is_begun(begun)
    begun.write_text("".join(line for line in steps if '"rate"' in line) + steps[0][:20])
    assert is_begun(begun)
    begun.write_text('{"text": "mine"}\n')
    assert not is_begun(begun)


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        Log(tmp_path / "none" / "s1.jsonl")
