"""A step is done with the weights that its key says, or not at all."""

import shutil

import pytest

from conftest import TINY
from nearfar.errors import StorageError
from nearfar.reproduce.steps.records import Folder
from reproduced import study


def test_weights_that_changed_in_place_are_not_scored(tmp_path):
    from nearfar.reproduce.steps.work import Work

    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    (step, *_) = (s for s in study().steps() if s.kind == "train")
    path = folder.weights(step)
    shutil.copyfile(TINY / "model.safetensors", path)
    shutil.copyfile(TINY / "config.json", path.parent / "config.json")
    folder.write(step, 1.0, [path], (), {}, {})

    class Held:  # a schedule, as far as it is asked
        pass

    work = Work.__new__(Work)
    work.schedule = Held()
    work.schedule.folder = folder
    assert work._checked(step) == folder.trained(step)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="changed since it was trained"):
        work._checked(step)
