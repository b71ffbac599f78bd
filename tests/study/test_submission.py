"""What is refused before anything is heard, and where results of the development set come from."""

import json
import shutil
from types import SimpleNamespace

import pytest

import nearfar as nf
from conftest import refused
from nearfar.errors import DatasetError, FormatError, SettingError
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.official_files import write_official
from nearfar.scores.truth import Truth
from nearfar.study.submission import (
    Candidate,
    candidates,
    check_known,
    evaluation_clips,
    results_from,
    results_on,
    scored,
)

pytestmark = pytest.mark.filterwarnings("ignore::nearfar.errors.NearfarWarning")


@pytest.fixture(scope="module")
def evaluation(evaluation_set):
    return evaluation_set / "eval_data/raw"


def official(folder, clips, **changes):
    rows = [ScoredFile(c.machine, c.section, c.key, n / 7, n % 2 == 0) for n, c in enumerate(clips)]
    return write_official(folder, ScoreTable(tuple(rows[changes.get("skip", 0) :])))


def test_one_to_four_systems_each_once(both_folder, tmp_path):
    shutil.copytree(both_folder, tmp_path / "copy")
    (tmp_path / "link").symlink_to(both_folder)
    refused(lambda: candidates([]), "no detector", error=SettingError)
    refused(lambda: candidates([both_folder] * 5), "5 detectors", "leave 1 out", error=SettingError)
    for same in (both_folder, tmp_path / "copy", tmp_path / "link"):
        refused(lambda same=same: candidates([both_folder, same]), "the same", error=SettingError)
    refused(lambda: candidates([tmp_path]), error=FormatError)
    (one,) = candidates([both_folder])
    assert one.detector.machines
    assert one.known


def test_every_machine_has_test_clips(evaluation, tmp_path, recwarn):
    assert len(evaluation_clips(evaluation, {})) == 24
    assert "drill has 12, lathe has 12" in str(recwarn.list[0].message)
    shutil.copytree(evaluation, tmp_path / "raw")
    shutil.rmtree(tmp_path / "raw/lathe/test")
    refused(
        lambda: evaluation_clips(tmp_path / "raw", {}), "no test clips of lathe", error=DatasetError
    )


def test_a_machine_of_the_year_that_is_not_there_is_missed(evaluation, tmp_path, recwarn):
    for machine in ("ToyDrone", "ToothBrush", "Sander", "SewingMachine"):
        (tmp_path / machine).mkdir()
        (tmp_path / machine / "test").symlink_to(evaluation / "drill/test")
    evaluation_clips(tmp_path, {})
    assert "without BlowerDustCollector of the evaluation set of 2026" in str(recwarn[0].message)


def test_names_that_tell_labels_are_none_of_an_evaluation_set(dcase, recwarn):
    evaluation_clips(dcase, {})
    assert any("tell their label" in str(w.message) for w in recwarn.list)


def test_a_detector_knows_every_machine(detector_folder, both_folder, evaluation):
    clips = evaluation_clips(evaluation, {})
    check_known(candidates([both_folder]), clips)
    refused(
        lambda: check_known(candidates([both_folder, detector_folder]), clips),
        detector_folder, "does not know drill, lathe", "nearfar fit", error=DatasetError,
    )  # fmt: skip


def test_official_files_of_anyone_are_a_system(evaluation, tmp_path):
    clips = evaluation_clips(evaluation, {})
    official(tmp_path / "theirs", clips)
    systems = candidates([tmp_path / "theirs"])
    check_known(systems, clips)
    assert len(scored(systems[0], clips, nf.Runtime()).rows) == 24
    assert systems[0].known == {}
    official(tmp_path / "few", clips, skip=2)
    refused(
        lambda: check_known(candidates([tmp_path / "few"]), clips),
        "no score for", "2 clips lack a score", error=DatasetError,
    )  # fmt: skip
    for path in (tmp_path / "few").glob("decision*"):
        path.unlink()
    refused(lambda: candidates([tmp_path / "few"]), "without decisions", error=FormatError)
    refused(
        lambda: results_on(systems[0], evaluation, nf.Runtime(), (), ()), "nearfar evaluate",
        error=SettingError,
    )  # fmt: skip


def evaluation_json(path, machines=("fan", "pump"), **changes):
    table = {
        figure: {"machines": dict.fromkeys(machines, value)}
        for figure, value in (("auc_source", 0.84162), ("auc_target", 0.5), ("pauc", 0.61789))
    }
    data = {"rule": "omega", "table": table, "versions": {"nearfar": "1"}} | changes
    path.write_text(json.dumps(data))
    return path


def test_results_are_in_per_cent_and_of_the_development_set(tmp_path):
    system = Candidate(tmp_path, None, None)
    path = evaluation_json(tmp_path / "a.json", ("fan", "drill"))
    assert results_from(path, system, ["drill"]) == {
        "results": {
            "development_dataset": {"fan": {"auc_source": 84.16, "auc_target": 50.0, "pauc": 61.79}}
        }
    }
    refused(lambda: results_from(path, system, ["drill", "fan"]), "alone", error=DatasetError)
    for name, changes, said in (
        ("b", {"rule": "2020"}, "with domains"), ("c", {"table": []}, "with domains"),
        ("d", {"versions": 3}, "no evaluation"), ("e", {"table": {"auc_source": 3}}, "domains"),
    ):  # fmt: skip
        path = evaluation_json(tmp_path / f"{name}.json", **changes)
        refused(lambda path=path: results_from(path, system, []), said, error=FormatError)
    (tmp_path / "f.json").write_text("[")
    refused(lambda: results_from(tmp_path / "f.json", system, []), "no evaluation")
    refused(lambda: results_from(tmp_path / "gone", system, []), "no such file")


@pytest.mark.parametrize("value", [None, "x", float("nan"), 61.79, -0.1, "gone"])
def test_a_figure_that_is_none_is_refused(tmp_path, value):
    path = evaluation_json(tmp_path / "a.json", settings=[1])
    data = json.loads(path.read_text())
    rows = data["table"]["pauc"]["machines"]
    rows.update(fan=value)
    if value == "gone":
        del rows["fan"]
    path.write_text(json.dumps(data))
    refused(
        lambda: results_from(path, Candidate(tmp_path, None, None), []), "a.json", "with domains",
        error=FormatError,
    )  # fmt: skip


def test_results_of_another_system_are_told(tmp_path, recwarn):
    path = evaluation_json(tmp_path / "a.json", settings={"system": {"type": "Other"}})
    system = Candidate(tmp_path, SimpleNamespace(system=nf.s4()), None)
    results_from(path, system, [])
    assert "another system" in str(recwarn.list[0].message)


def test_results_are_what_evaluate_says(both_folder, dcase, evaluation, recwarn):
    (system,) = candidates([both_folder])
    found = results_on(system, dcase, nf.Runtime(workers=1), (), ["drill", "lathe"])
    rows = found["results"]["development_dataset"]
    assert set(rows) == {"fan", "pump"}
    test = nf.Clips.open(dcase, "test")
    told = nf.evaluate(system.detector.score(test), Truth.from_clips(test), draws=0)
    for machine, row in rows.items():
        for figure, value in row.items():
            assert value == round(100 * told.table[figure].machines[machine], 2)
    refused(
        lambda: results_on(system, evaluation, nf.Runtime(workers=1), (), []), "without labels",
        error=DatasetError,
    )  # fmt: skip
