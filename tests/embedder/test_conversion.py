"""What a conversion writes is there whole or not at all."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import refused
from nearfar.embedder.conversion import check_folder, write_folder
from nearfar.errors import StorageError, WeightsError
from nearfar.files import STALE

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.float32([7])}


def write(out, tensors=TENSORS, check=Path.is_dir):
    shapes = {name: values.shape for name, values in tensors.items()}
    write_folder(Path("x.pt"), out, {"model_type": "x"}, shapes, tensors.__getitem__, check)


def test_config_and_numbers_are_what_was_given(tmp_path):
    out = tmp_path / "new" / "folder"
    write(out)
    have = load_file(out / "model.safetensors")
    assert have.keys() == TENSORS.keys()
    assert all(np.array_equal(have[name], TENSORS[name]) for name in have)
    assert json.loads((out / "config.json").read_text()) == {"model_type": "x"}
    assert [p.name for p in out.parent.iterdir()] == ["folder"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    check_folder(tmp_path / "out")
    write(tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_numbers_that_are_not_finite_leave_nothing(tmp_path):
    bad = TENSORS | {"a": np.float32([np.inf])}
    refused(lambda: write(tmp_path / "out", bad), "x.pt: tensor 'a'", error=WeightsError)
    assert list(tmp_path.iterdir()) == []


def test_what_the_check_refuses_leaves_nothing(tmp_path):
    def check(folder):
        assert (folder / "model.safetensors").is_file()
        raise WeightsError("not one of ours")

    refused(lambda: write(tmp_path / "out", check=check), "not one of ours")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_place_is_refused(tmp_path):
    check_folder(tmp_path / "not there")
    (tmp_path / "file").touch()
    refused(lambda: check_folder(tmp_path), "has files in it; choose a new", error=StorageError)
    refused(lambda: check_folder(tmp_path / "file"), "is a file; choose a new", error=StorageError)


@pytest.mark.parametrize(("age", "stays"), [(0, True), (2 * STALE, False)])
def test_what_a_killed_writer_left_is_swept(tmp_path, age, stays):
    left = tmp_path / ".out.abc"
    left.mkdir()
    (left / "config.json").write_text("{}")
    then = time.time() - age
    for place in (left / "config.json", left):
        os.utime(place, (then, then))
    write(tmp_path / "out")
    assert left.exists() == stays
