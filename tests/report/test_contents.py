"""What a report says, put together."""

import numpy as np

from conftest import refused
from nearfar.report.contents import NORMAL, gather, highest
from nearfar.scores.alarms import AlarmRule
from nearfar.scores.truth import Truth
from reports import judged, official, plant


def test_panels_hold_every_clip_that_was_judged_once():
    run = judged([*official("fan", 3), *official("pump", 3)], silent=(0,))
    found = gather(run)
    assert [panel.name for panel in found.panels] == ["fan", "pump"]
    assert sum(len(panel.verdicts) for panel in found.panels) == 23
    for panel in found.panels:
        assert next(iter(panel.shown)) == NORMAL
        kinds = [scores for kind, scores in panel.shown.items() if kind != NORMAL]
        assert sorted(np.concatenate(kinds)) == sorted(v.score for v in panel.verdicts)
        assert len(panel.atlas.clips) == len(panel.verdicts)
        assert panel.curve.auc == found.evaluated.evaluation.machines[panel.name]["00"].auc


def test_the_highest_clips_come_first_and_none_above_them_is_missing():
    run = judged(official("fan", 4))
    (top,) = gather(run, top=3).top.values()
    scores = sorted((v.score for v in run.scores), reverse=True)
    assert [v.score for v in top] == scores[:3]


def test_by_domain_an_alarm_comes_before_a_higher_score_that_is_none():
    from dataclasses import replace

    low, high = judged(plant(count=2), scores=[1.0, 2.0]).scores
    low, high = replace(low, threshold=0.5), replace(high, threshold=3.0)
    assert highest([high, low], 2) == [low, high]


def test_without_labels_there_is_no_curve_and_times_are_in_order():
    run = judged(plant(count=8)[::-1])
    (panel,) = gather(run).panels
    assert panel.curve is None
    times = [v.clip.time for v in panel.history.verdicts]
    assert times == sorted(times)
    assert len(times) == 8


def test_a_machine_of_which_nothing_was_judged_has_an_empty_panel():
    (panel,) = gather(judged(plant(count=2), silent=(0, 1))).panels
    assert panel.verdicts == ()
    assert panel.histogram is None
    assert panel.atlas is None


def test_thresholds_by_domain_are_shown_where_they_judge():
    from dataclasses import replace

    run = judged(official("fan", 3))
    run = replace(run, detector=run.detector.with_threshold_by_domain())
    (panel,) = gather(run).panels
    assert set(panel.thresholds) == {"source", "target"}
    assert len(panel.promises) == 2


def test_published_numbers_wait_for_whole_machines():
    assert gather(judged(official("fan"))).published == {"fan"}
    assert gather(judged(official("fan"), silent=(3,))).published == frozenset()
    assert gather(judged(official("fan"), simulated="SIMULATED v1 seed 0")).published == frozenset()


def test_the_year_is_that_of_the_folders_as_in_evaluate():
    from dataclasses import replace
    from pathlib import Path

    clips = [replace(clip, path=Path(f"dev/fan/{clip.domain}_test") / clip.path.name)
             for clip in official("fan", 4)]  # fmt: skip
    assert gather(judged(clips)).evaluated.evaluation.rule == "2021"
    assert gather(judged(clips), rule="omega").evaluated.evaluation.rule == "omega"


def test_a_truth_of_other_clips_is_refused():
    refused(lambda: gather(judged(plant()), Truth(())), "no labelled clips")


def test_the_recording_that_raised_the_first_lasting_alarm_is_known():
    scores = [0.0, 9.0, 0.0, 0.0, 9.0, 9.0, 9.0, 50.0, 0.0]
    run = judged(plant(count=9), scores=scores)
    # By hand: of 1/1 the second, of 2/3 the sixth, of 3/3 the seventh; never 5 of 5.
    for rule, place in (("1/1", 1), ("2/3", 5), ("3/3", 6)):
        (panel,) = gather(run, alarm=AlarmRule.read(rule)).panels
        assert panel.raised.clip == run.scores[place].clip
    assert gather(run, alarm=AlarmRule(5, 5)).panels[0].raised is None
    assert gather(judged(official("fan", 3))).panels[0].raised is None


def test_a_recording_that_was_not_judged_raises_nothing_and_is_in_the_history():
    run = judged(plant(count=4), scores=[9.0, 9.0, 9.0, 9.0], silent=(1,))
    (panel,) = gather(run, alarm=AlarmRule(2, 2)).panels
    assert len(panel.history.verdicts) == 4
    assert panel.raised.clip == run.scores[2].clip
