"""A report's figures are those of `evaluate`; what cannot be evaluated says why."""

from dataclasses import replace

import pytest

import nearfar as nf
from conftest import refused
from nearfar.report.evaluated import assess, by_clip, place_of
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.scores.verdict import Scores
from reports import judged, official, plant


def test_figures_and_interval_are_those_of_evaluate():
    scores = judged([*official("fan", 5), *official("pump", 5)]).scores
    found, wanted = assess(scores), nf.evaluate(scores)
    assert found.evaluation == wanted
    assert [m.machine for m in found.machines] == ["fan", "pump"]
    for m in found.machines:
        assert m.total == wanted.table["total"].machines[m.machine]
        assert m.interval[0] < m.total < m.interval[1]


def test_of_one_machine_its_interval_is_the_whole_one():
    found = assess(judged(official("fan", 5)).scores)
    (fan,) = found.machines
    assert (fan.interval, fan.doubt) == (found.evaluation.interval, found.evaluation.doubt)


def test_recordings_without_labels_are_no_error():
    found = assess(judged(plant()).scores)
    assert not found.labelled
    assert "no labels" in found.why


def test_some_labels_are_not_all():
    clips = official("fan", 2)
    found = assess(judged([*clips[1:], replace(clips[0], label=None)]).scores)
    assert found.why.startswith("1 of 8 clips have no label")


def test_machines_without_labels_leave_the_others_their_figures():
    fan, pump = judged(official("fan", 4)).scores, judged(plant("pump", 5)).scores
    found = assess(Scores([*fan, *pump]))
    assert found.bare == ("pump",)
    assert found.evaluation == nf.evaluate(fan)


def test_a_machine_without_anomalies_says_so():
    clips = [clip for clip in official("fan", 3) if clip.label == "normal"]
    assert "no anomaly" in assess(judged(clips).scores).why


def test_clips_not_judged_have_no_part_in_it():
    scores = judged(official("fan", 5), silent=(0, 7)).scores
    assert assess(scores).evaluation == nf.evaluate(Scores(v for v in scores if v.judged))


def truth_of(clips):
    """Labels of clips as a list has them whose names tell none, each under another name too."""
    return Truth(
        tuple(
            LabelledFile(c.machine, c.section, f"{n:04d}.wav", c.domain, c.label, alias=c.file)
            for n, c in enumerate(clips)
        )
    )


def test_a_truth_gives_the_labels_that_names_lack():
    clips = official("fan", 5)
    bare = [replace(c, label=None, domain=None) for c in clips]
    scores = judged(bare, silent=(3,)).scores
    found = assess(scores, truth_of(clips))
    assert found.labelled
    known = by_clip(found.labels)
    assert [known[place_of(v)].label for v in scores if v.judged] == [
        c.label for n, c in enumerate(clips) if n != 3
    ]


def test_a_truth_that_lacks_clips_is_refused():
    clips = official("fan", 5)
    refused(lambda: assess(judged(clips).scores, truth_of(clips[:-1])), "not in the truth")
    refused(lambda: assess(judged(clips[:-1]).scores, truth_of(clips)), "no score for")


def test_sections_of_a_machine_share_its_row():
    clips = [*official("fan", 3), *(replace(c, section="01") for c in official("fan", 3))]
    run = judged(official("fan", 3))
    scores = Scores(replace(v, clip=c) for c in clips for v in run.scores[:1])
    scores = Scores(replace(v, score=float(n % 7)) for n, v in enumerate(scores))
    (fan,) = assess(scores).machines
    assert fan.total == pytest.approx(nf.evaluate(scores).score)
