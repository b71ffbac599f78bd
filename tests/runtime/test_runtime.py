"""The settings that say how to compute: what they may be, and that no system has any of them."""

import pickle
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

import nearfar as nf
from nearfar.errors import SettingError
from nearfar.parts.data import TYPES
from nearfar.runtime.runtime import Runtime


def test_without_a_word_it_is_here_and_keeps_nothing():
    assert Runtime() == Runtime(1, None, None, "auto", None)


def test_it_is_plain_data(tmp_path):
    runtime = Runtime(2, tmp_path, print, "cpu", 8)
    assert pickle.loads(pickle.dumps(runtime)) == runtime  # it is sent to worker processes
    assert hash(runtime) == hash(Runtime(2, tmp_path, print, "cpu", 8))
    with pytest.raises(FrozenInstanceError):
        runtime.workers = 3


def test_a_folder_may_be_a_text(tmp_path):
    assert Runtime(cache=str(tmp_path)) == Runtime(cache=tmp_path)
    assert isinstance(Runtime(cache=str(tmp_path)).cache, Path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": 0}, "workers is 0; it is a number of processes from 1 to 1024"),
        ({"workers": True}, "workers is True; it is a number of processes from 1 to 1024"),
        ({"workers": 2.0}, "workers is 2.0; it is a number of processes from 1 to 1024"),
        ({"batch_size": 0}, "batch_size is 0; it is a number of clips from 1 up"),
        ({"batch_size": "8"}, "batch_size is '8'; it is a number of clips from 1 up"),
        ({"device": None}, "device is None; it is auto, cpu, cuda, cuda:1 … or mps"),
    ],
)
def test_impossible_settings_are_one_line(settings, words):
    with pytest.raises(SettingError) as caught:
        Runtime(**settings)
    assert str(caught.value) == words


@pytest.mark.parametrize("name", TYPES)
def test_no_part_has_a_setting_of_the_runtime(name):
    """How is never what: it would be saved with a detector and be part of cache keys."""
    how = {field.name for field in fields(Runtime)}
    assert not how & {field.name for field in fields(getattr(nf, name))}
