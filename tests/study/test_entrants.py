"""What is compared is read and named as asked, and is of the same clips or is refused."""

import json
import warnings
from dataclasses import replace

import pytest

import nearfar as nf
from conftest import refused
from evaluations import as_files, as_json, noisy, truth_file
from made_scores import made
from nearfar.errors import DatasetError, FormatError, SettingError
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth, read_truth
from nearfar.study.entrants import (
    check_clips,
    check_transductive,
    read_entrants,
    rule_for,
    truth_for,
    warn_of_twins,
)
from submissions import zipped

TABLE, TRUTH = made(21, machines=2, each=7, ties=False)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, sd in (("a", 0), ("b", 0.5), ("c", 1)):
        as_json(tmp_path / f"{name}.json", noisy(TABLE, sd), TRUTH)
    return tmp_path


def names(*asked):
    return [(e.name, [str(run.path) for run in e.runs]) for e in read_entrants(asked)]


def test_names_are_those_of_files_or_as_asked(files):
    assert names("a.json", "b.json") == [("a", ["a.json"]), ("b", ["b.json"])]
    assert names("a.json", "ours=b.json,c.json") == [
        ("a", ["a.json"]), ("ours", ["b.json", "c.json"]),
    ]  # fmt: skip
    # A group of one is a name.
    assert names("x=a.json", "y=b.json") == [("x", ["a.json"]), ("y", ["b.json"])]
    for folder in ("one", "two"):
        (files / folder).mkdir()
        as_json(files / folder / "a.json", noisy(TABLE, 1, len(folder)), TRUTH)
    (files / "two" / "a.json").write_text((files / "b.json").read_text())
    assert [n for n, _ in names("one/a.json", "two/a.json")] == ["one/a", "two/a"]


def test_a_system_of_a_package_is_called_with_it(files):
    inside = {f"task2/Kim_LUDO_task2_1/{p.name}": p.read_bytes()
              for p in as_files(files / "folder", TABLE).iterdir()}  # fmt: skip
    zipped(files / "p.zip", inside)
    found = names("p.zip/1", "b.json", "x=p.zip/Kim_LUDO_task2_1")
    assert [name for name, _ in found] == ["p.zip/1", "b", "x"]


def test_a_file_may_have_the_signs_of_a_group_in_its_name(files):
    (files / "a.json").rename(files / "k=1,2.json")
    assert names("k=1,2.json", "b.json")[0] == ("k=1,2", ["k=1,2.json"])
    assert names("one=k=1,2.json", "b.json")[0] == ("one", ["k=1,2.json"])


def test_all_that_has_scores_is_read(files):
    as_files(files / "folder.v2", TABLE)
    (files / "s.json").write_text(json.dumps({"schema": 1, "scores": [
        {"machine": r.machine, "section": r.section, "clip": r.file, "score": r.score,
         "anomalous": None, "path": f"/x/{r.file}"} for r in TABLE.rows]}))  # fmt: skip
    found = read_entrants(["folder.v2", "s.json", "b.json"])
    assert [e.name for e in found] == ["folder.v2", "s", "b"]
    assert [e.runs[0].truth is None for e in found] == [True, True, False]
    check_clips(found, truth_for(found, None))  # the labels are those of b.json


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["a.json"], ("1 result", "B.json")),
        (["a.json", "./a.json"], ("a.json", "named twice")),
        (["x=a.json,a.json"], ("named twice",)),
        (["x=a.json", "x=b.json"], ("'x'", "a name of its own")),
        (["=a.json", "b.json"], ("NAME=A.json,B.json",)),
        (["x=", "b.json"], ("NAME=A.json,B.json",)),
        (["x=a.json,,b.json", "c.json"], ("NAME=A.json,B.json",)),
    ],
)
def test_what_is_asked_wrongly(files, asked, words):
    refused(lambda: read_entrants(asked), *words, error=SettingError)


def test_a_link_to_a_file_is_that_file(files):
    (files / "link.json").symlink_to("a.json")
    refused(lambda: read_entrants(["a.json", "link.json"]), "named twice", error=SettingError)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"scores": 3}', '{"scores": [3]}',
                                  '{"scores": [{"machine": "fan"}]}', '{"variants": []}',
                                  '{"scores": [{"machine": "m", "section": "0", "file": "f", '
                                  '"score": "x"}]}',
                                  '{"scores": [{"machine": "m", "section": "0", "file": "f", '
                                  '"score": true}]}',
                                  '{"scores": [{"machine": "m", "section": "0", "file": "f", '
                                  '"score": 1, "anomalous": "maybe"}]}'])  # fmt: skip
def test_what_is_no_evaluation_is_refused(files, text):
    (files / "x.json").write_text(text)
    line = refused(lambda: read_entrants(["a.json", "x.json"]), "x.json", error=FormatError)
    assert "nearfar evaluate DATA --json FILE" in line


def test_what_cannot_be_read_says_so(files):
    refused(lambda: read_entrants(["a.json", "no.json"]), "no.json", "No such file")
    (files / "empty").mkdir()
    refused(lambda: read_entrants(["a.json", "empty"]), "empty", "no anomaly_score_<machine>")
    (files / "x.csv").write_text("a,b\n")
    refused(lambda: read_entrants(["a.json", "x.csv"]), "x.csv", "name the folder")


def test_figures_alone_cannot_be_paired(files):
    data = json.loads((files / "a.json").read_text())
    (files / "x.json").write_text(json.dumps({**data, "scores": []}))
    refused(lambda: read_entrants(["x.json", "b.json"]), "no scores of clips", error=FormatError)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_score_that_is_no_number(files, value):
    text = (files / "a.json").read_text()
    score = json.loads(text)["scores"][4]["score"]
    (files / "x.json").write_text(text.replace(f'"score": {score}', f'"score": {value}'))
    refused(lambda: read_entrants(["b.json", "x.json"]), "x.json", "finite", error=FormatError)


def test_older_evaluations_have_no_labels_and_take_a_truth(files):
    data = json.loads((files / "a.json").read_text())
    for row in data["scores"]:
        del row["label"], row["domain"], row["anomalous"]
    (files / "old.json").write_text(json.dumps(data))
    (files / "old2.json").write_text(json.dumps(data))
    found = read_entrants(["old.json", "old2.json"])
    refused(lambda: truth_for(found, None), "old.json", "without labels", "--truth FILE")
    truth = read_truth(truth_file(files / "truth.csv", TRUTH))
    assert truth_for(found, truth) is truth
    check_clips(found, truth)


def test_other_labels_of_a_clip_are_named(files):
    rows = list(TRUTH.rows)
    rows[3] = replace(rows[3], label="anomaly")
    as_json(files / "x.json", TABLE, Truth(tuple(rows)))
    found = read_entrants(["a.json", "x.json"])
    refused(lambda: truth_for(found, None), "x.json: 1 clip ", "a.json", rows[3].file,
            error=DatasetError)  # fmt: skip


def test_a_ground_truth_goes_before_labels_in_files_and_says_so(files):
    rows = list(TRUTH.rows)
    rows[3] = replace(rows[3], label="anomaly")
    mine = Truth(tuple(rows))
    found = read_entrants(["a.json", "b.json"])
    with pytest.warns(nf.NearfarWarning, match=r"json: 1 clip with another label .* counts"):
        assert truth_for(found, mine) is mine
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert truth_for(found, TRUTH) is TRUTH


def test_other_clips_are_counted_and_named(files):
    gone = {(r.machine, r.file) for r in TABLE.rows[:5]}
    fewer = [tuple(r for r in rows if (r.machine, r.file) not in gone)
             for rows in (TABLE.rows, TRUTH.rows)]  # fmt: skip
    as_json(files / "x.json", ScoreTable(fewer[0]), Truth(fewer[1]))
    found = read_entrants(["a.json", "x.json"])
    line = refused(lambda: check_clips(found, truth_for(found, None)), "x.json against a.json",
                   "5 clips missing", "and 2 more", error=DatasetError)  # fmt: skip
    assert TABLE.rows[0].file.removesuffix(".wav") in line
    found = read_entrants(["x.json", "a.json", "y=b.json"])
    with pytest.raises(DatasetError, match="5 clips too many") as caught:
        check_clips(found, truth_for(found, None))
    assert [fault.split(" against")[0] for fault in caught.value.faults] == ["a.json", "b.json"]


def test_another_machine_is_named(files):
    renamed = [tuple(replace(r, machine="other") if r.machine == "m_0" else r for r in rows)
               for rows in (TABLE.rows, TRUTH.rows)]  # fmt: skip
    as_json(files / "x.json", ScoreTable(renamed[0]), Truth(renamed[1]))
    found = read_entrants(["a.json", "x.json"])
    line = refused(lambda: check_clips(found, truth_for(found, None)), "missing (m_0/", "too many")
    assert "(other/" in line
    assert len(line) <= 500


def test_of_a_clip_renamed_in_front_both_names_show(files):
    long = [tuple(replace(r, file=f"section_00_source_test_anomaly_0004_{r.file}") for r in rows)
            for rows in (TABLE.rows, TRUTH.rows)]  # fmt: skip
    other = [tuple(replace(r, file=f"S{r.file[1:]}") for r in rows) for rows in long]
    for name, (table, truth) in (("x", long), ("y", other)):
        as_json(files / f"{name}.json", ScoreTable(table), Truth(truth))
    found = read_entrants(["x.json", "y.json"])
    line = refused(lambda: check_clips(found, truth_for(found, None)), "/section_00", "/Section_00")
    assert len(line) <= 500


def test_the_rule_is_that_of_the_results(files):
    found = read_entrants(["a.json", "b.json"])
    assert (rule_for(found, None), rule_for(found, "2021")) == ("omega", "2021")
    as_json(files / "x.json", TABLE, TRUTH, rule="2021")
    found = read_entrants(["a.json", "x.json"])
    refused(lambda: rule_for(found, None), "a.json by omega", "x.json by 2021", error=SettingError)
    assert rule_for(found, "2020") == "2020"


def test_scores_made_with_the_other_clips_are_refused_or_called_so(files):
    order = sorted(TABLE.rows, key=lambda r: r.score)
    rows = [replace(r, score=float(rank)) for rank, r in enumerate(order, 1)]
    as_json(files / "x.json", ScoreTable(tuple(rows)), TRUTH)
    as_json(files / "y.json", noisy(TABLE, 1, 9), TRUTH, transductive=True)
    found = read_entrants(["a.json", "x.json", "y.json"])
    refused(lambda: check_transductive(found, False), "x.json", "the ranks of", "--transductive")
    refused(lambda: check_transductive(found[::2], False), "y.json", "calls itself transductive")
    assert check_transductive(found, True) == ("x", "y")
    assert check_transductive(found[:1], False) == ()


def test_one_run_twice_is_no_second_seed(files):
    (files / "copy.json").write_text((files / "a.json").read_text())
    with pytest.warns(nf.NearfarWarning, match=r"copy\.json: has the scores of a\.json"):
        warn_of_twins(read_entrants(["s=a.json,copy.json", "b.json"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_twins(read_entrants(["s=a.json,b.json", "copy.json"]))
