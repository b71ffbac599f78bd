"""Another result is paired where its clips are known one by one, and is not where they are not."""

import json
from dataclasses import replace

import pytest

from conftest import refused
from nearfar.errors import DatasetError
from nearfar.metrics.comparison import compare
from nearfar.report.compared import hold_beside, read_other
from nearfar.report.evaluated import assess
from nearfar.scores.verdict import Scores
from nearfar.study.assessment import Result
from nearfar.study.data import is_result
from reports import judged, official, plant

CLIPS = [*official("fan", 5), *official("pump", 5)]


@pytest.fixture(scope="module")
def ours():
    return judged(CLIPS).scores


@pytest.fixture(scope="module")
def theirs(ours):
    return Scores(replace(v, score=v.score * (1 + n % 3)) for n, v in enumerate(ours))


def written(path, said, **changed):
    """What evaluate --json writes of them."""
    from nearfar.scores.join import ScoreTable

    table = ScoreTable.from_verdicts(said)
    data = Result(assess(said).evaluation, settings={"name": "theirs"}, scores=table).as_dict()
    path.write_text(json.dumps({**data, **changed}), encoding="utf-8")
    return read_other(path)


def test_with_scores_of_clips_it_is_the_paired_difference(tmp_path, ours, theirs):
    found = hold_beside(written(tmp_path / "o.json", theirs), ours, assess(ours))
    assert found.why == ""
    assert found.other.name == "theirs"
    assert found.paired == compare(ours, theirs)
    for machine in ("fan", "pump"):
        mine, other = (Scores(v for v in s if v.clip.machine == machine) for s in (ours, theirs))
        both = found.paired_machines[machine]
        assert both.difference == pytest.approx(compare(mine, other, draws=1).difference)
        assert found.machines[machine] == both.difference
        low, high = both.interval
        assert low <= both.difference <= high


def test_scores_made_with_the_other_test_clips_are_refused_or_called_so(tmp_path, ours):
    from scipy.stats import rankdata

    ranks = rankdata(ours.values, method="ordinal")
    said = Scores(replace(v, score=float(r)) for v, r in zip(ours, ranks, strict=True))
    refused(lambda: written(tmp_path / "o.json", said), "the ranks of", "transductive")
    found = written(tmp_path / "t.json", said, transductive=True)
    assert found.name == "theirs (transductive)"


def test_what_score_writes_is_as_good(tmp_path, ours, theirs):
    path = tmp_path / "today.json"
    path.write_text(json.dumps(theirs.as_dict()), encoding="utf-8")
    assert not is_result(path)
    found = hold_beside(read_other(path), ours, assess(ours))
    assert found.paired == compare(ours, theirs)
    assert found.other.name == "today"


def test_alarms_of_both_are_counted_without_labels(tmp_path):
    ours = judged(plant(count=6), scores=[2, 2, 2, 0, 0, 0], silent=(5,)).scores
    other = judged(plant(count=6), scores=[2, 0, 2, 2, 0, 2]).scores
    path = tmp_path / "o.json"
    path.write_text(json.dumps(other.as_dict()), encoding="utf-8")
    found = read_other(path).agreement(ours)
    assert (found.clips, found.here, found.there, found.both) == (5, 3, 3, 2)
    bare = judged(plant("fan", 3)).scores
    assert read_other(path).agreement(bare) is None


def test_clips_in_folders_of_labels_are_found_again(tmp_path):
    """MIMII numbers the clips of normal/ and abnormal/ alike; what is joined tells them apart."""
    clips = [
        replace(clip, path=tmp_path / folder / f"{n}.wav", domain=None)
        for label, folder in (("normal", "normal"), ("anomaly", "abnormal"))
        for n, clip in enumerate(c for c in official("fan", 4) if c.label == label)
    ]
    ours = judged(clips).scores
    path = tmp_path / "o.json"
    path.write_text(json.dumps(ours.as_dict()), encoding="utf-8")
    found = hold_beside(read_other(path), ours, assess(ours))
    assert found.difference == 0


def test_figures_alone_give_a_difference_without_an_interval(tmp_path, ours, theirs):
    found = hold_beside(written(tmp_path / "o.json", theirs, scores=[]), ours, assess(ours))
    assert found.paired is None
    assert "no scores of clips" in found.why
    assert found.difference == pytest.approx(compare(ours, theirs, draws=1).difference)
    assert set(found.machines) == {"fan", "pump"}


def test_other_clips_are_not_paired_and_it_is_said_why(tmp_path, ours, theirs):
    fewer = Scores(v for v in theirs if not v.clip.file.endswith("0004_noAttribute.wav"))
    found = hold_beside(written(tmp_path / "o.json", fewer), ours, assess(ours))
    assert found.paired is None
    assert "other clips" in found.why
    pump = Scores(v for v in theirs if v.clip.machine == "pump")
    found = hold_beside(written(tmp_path / "p.json", pump), ours, assess(ours))
    assert set(found.machines) == {"pump"}
    assert "has not judged fan" in found.why


def test_what_cannot_be_compared_says_why(tmp_path, ours, theirs):
    bare = judged(plant()).scores
    other = written(tmp_path / "o.json", theirs)
    refused(lambda: hold_beside(other, bare, assess(bare)), "no labels")
    refused(
        lambda: hold_beside(
            written(tmp_path / "p.json", theirs, scores=[], rule="2021"), ours, assess(ours)
        ),
        "2021",
    )
    bus = judged(official("bus", 5)).scores
    refused(lambda: hold_beside(written(tmp_path / "q.json", bus, scores=[]), ours, assess(ours)),
            "none of these machines")  # fmt: skip


def test_scores_alone_of_other_clips_are_told_by_their_clips_not_by_a_rule(tmp_path, ours):
    """They have no figures, so a rule in common would not help."""
    other = tmp_path / "bus.json"
    other.write_text(json.dumps(judged(official("bus", 5)).scores.as_dict()), encoding="utf-8")
    with pytest.raises(DatasetError) as raised:
        hold_beside(read_other(other), ours, assess(ours))
    assert "bus" in str(raised.value)
    assert "rule" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", '{"scores": 1}', '{"scores": [1]}', '{"scores": [{"clip": "a"}]}',
     '{"table": {}}', '{"table": {"total": 1}, "interval": null}', "[" * 3000,
     '{"table": {"total": {"machines": {}}}, "score": 0.5, "rule": "omega", "interval": [1]}'],
)  # fmt: skip
def test_what_is_no_result_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "o.json"
    path.write_text(text, encoding="utf-8")
    refused(lambda: read_other(path), "o.json", "evaluate --json")
    refused(lambda: read_other(tmp_path / "gone.json"), "gone.json", "No such file")
