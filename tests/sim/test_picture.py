"""Every machine is described."""

import os

import numpy as np
import pytest

from nearfar import sim
from nearfar.errors import StorageError
from nearfar.files import is_picture
from nearfar.sim import picture
from nearfar.sim.plan import PRESETS
from nearfar.sim.scene import Rendered
from processes import no_space, tree


def test_every_machine_is_described():
    for machine in PRESETS["dev"].machines:
        text = sim.describe(machine)
        for word in ("conditions", "faults", "scene", "sources"):
            assert word in text


@pytest.mark.slow
def test_a_picture_is_there_whole_or_as_it_was(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    noise = np.random.default_rng(0).standard_normal((2, 48_000)).astype(np.float32)
    monkeypatch.setattr(picture, "render", lambda *_: Rendered(*[noise] * 3, truth={}))
    path = sim.draw("fan", tmp_path)
    assert is_picture(path)
    before = tree(tmp_path)
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageError, match=r"fan\.png: cannot be written"):
        sim.draw("fan", tmp_path, 1)
    assert tree(tmp_path) == before
