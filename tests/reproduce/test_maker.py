"""One step: what it leaves, and what it refuses."""

import json
import shutil
from dataclasses import replace

import pytest

import nearfar as nf
from conftest import TINY
from nearfar.errors import SettingError, StorageError
from nearfar.reproduce.steps import stereo
from nearfar.reproduce.steps.maker import Maker
from nearfar.reproduce.steps.records import Folder
from nearfar.runtime.runtime import Runtime
from nearfar.scores.files import read_scores
from nearfar.study.features import choose_features
from reproduced import stub, study


def begun(tmp_path):
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    return folder


def test_weights_that_changed_in_place_are_not_scored(tmp_path):
    folder, asked = begun(tmp_path), study()
    (step, *_) = (s for s in asked.steps() if s.kind == "train")
    path = folder.weights(step)
    shutil.copyfile(TINY / "model.safetensors", path)
    shutil.copyfile(TINY / "config.json", path.parent / "config.json")
    folder.write(step, 1.0, [path], (), {}, {})
    maker = Maker(asked, folder, Runtime(), "")
    assert maker._checked(step) == folder.trained(step)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="changed since it was trained"):
        maker._checked(step)


def test_what_a_step_fails_of_is_a_line_with_its_name_and_its_log(tmp_path, monkeypatch):
    def broken(*_):
        raise SettingError("the far microphone fell off")

    monkeypatch.setattr(stereo, "measure", broken)
    folder, asked = begun(tmp_path), study(("text",))
    (step,) = (s for s in asked.steps() if s.kind == "stereo")
    ended = Maker(asked, folder, Runtime(), "").ended(step, folder.tell, "node7")
    assert ended.record is None
    assert isinstance(ended.error, SettingError)
    told = str(ended.error)
    assert told.startswith("stereo statistics failed on node7: the far microphone fell off")
    assert str(folder.log) in told
    started, failed = map(json.loads, folder.log.read_text().splitlines())
    assert (started["event"], started["node"]) == ("start", "node7")
    assert (failed["event"], failed["step"]) == ("failed", step.name)
    assert "fell off" in failed["traceback"]


@pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")
def test_features_chosen_on_the_data_are_those_of_the_command(dcase, tmp_path):
    """And the scores are System 4's with them."""
    train, test = (nf.Clips.open(dcase, split=split) for split in ("train", "test"))
    (step,) = (s for s in study(["readings"]).steps() if s.entry.selects)
    folder, runtime = begun(tmp_path), Runtime(cache=tmp_path / "cache")
    asked = replace(study(["readings"]), data=stub(train=train, test=test))
    _, facts = Maker(asked, folder, runtime, "").made(step)
    names = choose_features(dcase, runtime).names
    assert facts["features"] == list(names)
    system = replace(nf.s4(), embedder=nf.DIF(names))
    verdicts = nf.fit(system, train).score(test)
    wanted = {(v.clip.machine, v.clip.key): v.score for v in verdicts}
    rows = read_scores(folder.scores(step)).rows
    found = {(row.machine, row.file): row.score for row in rows}
    assert found == pytest.approx(wanted, rel=1e-9)
