"""Weights that lie here are named with what they are; nothing is fetched."""

import json
import shutil

import pytest

from conftest import TINY
from nearfar.doctor.encoders_found import encoders_found, hub_cache
from nearfar.embedder import weights


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    asked = []
    monkeypatch.setattr(weights, "_download", asked.append)
    yield tmp_path / "hub"
    assert asked == []


def lay(cache, owner, tensors=TINY / "model.safetensors"):
    folder = cache / f"models--{owner.replace('/', '--')}" / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    shutil.copyfile(TINY / "config.json", folder / "config.json")
    shutil.copyfile(tensors, folder / "model.safetensors")
    return folder


def test_the_cache_is_where_its_library_has_it(tmp_path, monkeypatch):
    assert hub_cache() == tmp_path / "hub"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert hub_cache() == tmp_path / "home" / "hub"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert hub_cache() == tmp_path / "xdg" / "huggingface" / "hub"


def test_none_is_no_fault(cache):
    (found,) = encoders_found()
    assert (found.state, str(cache) in found.told) == ("note", True)


def test_encoders_in_the_cache_are_named_and_other_models_are_not(cache, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"lm_head.weight": np.zeros(2, np.float32)}, tmp_path / "other.safetensors")
    lay(cache, "somebody/chat", tmp_path / "other.safetensors")
    folder = lay(cache, "owner/eat")
    (found,) = encoders_found()
    assert (found.name, found.state) == ("owner/eat", "ok")
    assert "EAT" in found.told
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    (found,) = encoders_found()
    assert found.state in ("broken", "note")  # a header that is whole still says what it was


def test_places_that_are_named(tmp_path):
    for place in (TINY, TINY / "model.safetensors"):
        found, *_ = encoders_found([place])
        assert (found.name, found.state) == (str(place), "ok"), found
    for gone in (tmp_path / "gone", type(tmp_path)("owner/name")):  # which looks like an id
        assert next(encoders_found([gone])).state == "broken"
    (tmp_path / "empty").mkdir()
    found = next(encoders_found([tmp_path / "empty"]))
    assert (found.state, "weights check" in found.way) == ("broken", True)


def detector(folder, *places):
    folder.mkdir()
    data = {"embedders": [{"fingerprint": "", "dim": 1, "place": str(p)} for p in places]}
    (folder / "detector.json").write_text(json.dumps(data))
    return folder


def test_what_detectors_record(tmp_path):
    found = next(encoders_found([detector(tmp_path / "a", "")]))
    assert (found.state, "no weights" in found.told) == ("ok", True)
    assert "EAT" in next(encoders_found([detector(tmp_path / "b", TINY)])).told
    gone = detector(tmp_path / "c", tmp_path / "gone")
    found = next(encoders_found([gone]))
    assert (found.state, "--weights" in found.way) == ("broken", True)
    (gone / f"weights-{'0' * 16}").mkdir()
    assert next(encoders_found([gone])).state == "ok"
    assert next(encoders_found([detector(tmp_path / "d", "owner/name")])).state == "ok"
    (gone / "detector.json").write_text("damaged")
    assert next(encoders_found([gone])).state == "broken"
