"""What most commands need is really tried, and one fault is one line."""

import sys

import pytest
import soundfile

from nearfar.doctor import trials as module
from nearfar.doctor.trials import trials


@pytest.mark.slow
def test_here_all_works():
    found = list(trials())
    assert [sign.state for sign in found] == ["ok"] * len(found), found
    assert {"WAV", "FLAC", "fit and score", "worker process"} <= {sign.name for sign in found}


def test_what_does_not_work_hides_nothing_else(monkeypatch, tmp_path):
    def wrong(*given, **more):
        raise RuntimeError("Format not recognised.\nfile does not exist")

    monkeypatch.setattr(soundfile, "write", wrong)
    monkeypatch.setattr(module, "_fit", lambda folder: "left out here")
    monkeypatch.setattr(module, "_worker", lambda folder: "left out here")
    monkeypatch.setitem(sys.modules, "torch", None)
    found = {sign.name: sign for sign in trials()}
    assert found["FLAC"].state == "broken"
    assert found["FLAC"].told.isprintable()
    assert found["WAV"].state == found["safetensors"].state == "ok"
    assert "PyTorch" not in found
