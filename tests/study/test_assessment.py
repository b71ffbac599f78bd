"""One number for a data set: what is fitted, what is judged, and what stands beside it."""

import json
import shutil
import warnings

import pytest

import nearfar as nf
from nearfar.errors import DatasetError, SettingError
from nearfar.scores.files import write_scores
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth
from nearfar.study.assessment import of_data, of_files

PLAIN = nf.System(nf.Near(), nf.LogMel(n_mels=20))


@pytest.fixture(scope="module")
def detector(dcase, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fan") / "detector"
    train = nf.Clips.open(dcase, split="train", machines=["fan"])
    return nf.fit(PLAIN, train).save(folder)


def test_it_is_fit_score_and_evaluate(dcase):
    result = of_data(dcase, PLAIN, nf.Runtime())
    train, test = (nf.Clips.open(dcase, split=split) for split in ("train", "test"))
    scores = nf.fit(PLAIN, train).score(test)
    assert result.evaluation == nf.evaluate(scores)
    below = nf.fit(nf.logmel(), train).score(test)
    assert result.floor["score"] == nf.evaluate(below).score
    assert result.floor["difference"]["difference"] == nf.compare(scores, below).difference


def test_text_and_json_say_the_same(dcase):
    result = of_data(dcase, PLAIN, nf.Runtime(), name="mine")
    data = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert f"{100 * data['omega']:.2f} %" in result.text
    assert f"floor: logmel Ω = {100 * data['floor']['omega']:.2f} %" in result.text
    assert data["settings"]["name"] == "mine"
    assert data["versions"]["nearfar"] == nf.__version__


def test_the_floor_is_not_compared_with_itself_and_can_be_left_out(dcase):
    for system, floor in ((nf.logmel(), True), (PLAIN, False)):
        result = of_data(dcase, system, nf.Runtime(), floor=floor)
        assert result.floor is None
        assert "floor" not in result.text
        assert "floor" not in result.as_dict()


def test_a_detector_is_judged_on_the_machines_that_it_knows(dcase, detector):
    result = of_data(dcase, None, nf.Runtime(), detector=detector)
    assert list(result.evaluation.machines) == ["fan"]
    assert "left out, unknown to the detector: pump" in result.text
    test = nf.Clips.open(dcase, split="test", machines=["fan"])
    assert result.evaluation == nf.evaluate(nf.load(detector).score(test))


def test_a_detector_needs_no_training_clips_and_then_has_no_floor(dcase, detector, tmp_path):
    shutil.copytree(dcase / "fan" / "test", tmp_path / "fan" / "test")
    result = of_data(tmp_path, None, nf.Runtime(), detector=detector)
    assert result.floor is None
    assert "no training clips to fit logmel on" in result.text


def test_machines_that_only_the_detector_has_take_no_floor_away(dcase, detector_folder, tmp_path):
    """As in a researcher's day: fitted on both sets, judged on the development set."""
    shutil.copytree(dcase / "fan", tmp_path / "fan")
    result = of_data(tmp_path, None, nf.Runtime(), detector=detector_folder)
    clips = nf.Clips.open(tmp_path, split="train")
    below = nf.fit(nf.logmel(), clips).score(nf.Clips.open(tmp_path, split="test"))
    assert result.floor is not None
    assert result.floor["score"] == nf.evaluate(below).score


def test_a_detector_of_other_machines_is_refused(dcase, detector, tmp_path):
    shutil.copytree(dcase / "pump", tmp_path / "pump")
    with pytest.raises(DatasetError, match="has pump, the detector knows fan"):
        of_data(tmp_path, None, nf.Runtime(), detector=detector)


def test_clips_left_out_are_left_out_of_the_labels_too(dcase, tmp_path):
    shutil.copytree(dcase, tmp_path / "data")
    bad = next((tmp_path / "data" / "fan" / "test").iterdir())
    bad.write_bytes(b"no sound")
    with pytest.raises(nf.NearfarError, match=bad.name):
        of_data(tmp_path / "data", PLAIN, nf.Runtime())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = of_data(tmp_path / "data", PLAIN, nf.Runtime(), skip_bad=True)
    assert any(bad.name in str(warning.message) for warning in said)
    counts = result.evaluation.machines["fan"]["00"].counts
    assert counts["normal"] + counts["anomaly"] == 11


def test_score_files_give_the_number_that_their_scores_give(dcase, tmp_path):
    test = nf.Clips.open(dcase, split="test")
    scores = nf.fit(PLAIN, nf.Clips.open(dcase, split="train")).score(test)
    (tmp_path / "scores").mkdir()
    write_scores(tmp_path / "scores", ScoreTable.from_verdicts(scores))
    truth = tmp_path / "truth.csv"
    rows = [
        f"{r.machine},{r.section},{r.file},{r.domain},{r.label}"
        for r in Truth.from_clips(test).rows
    ]
    truth.write_text("\n".join(["machine,section,file,domain,label", *rows]) + "\n")
    result = of_files(tmp_path / "scores", truth, None)
    assert result.evaluation.omega == pytest.approx(nf.evaluate(scores).omega, abs=1e-12)
    assert result.as_dict()["settings"]["truth"] == "truth.csv"


def test_what_is_missing_is_said(dcase, tmp_path):
    with pytest.raises(SettingError, match="truth=FILE"):
        of_files(tmp_path, None, None)
    with pytest.raises(SettingError, match="a system or a detector"):
        of_data(dcase, None, nf.Runtime())
    with pytest.raises(SettingError, match="DCASE folder or a CSV"):
        of_data(None, PLAIN, nf.Runtime())
