"""What stops a fit of one section, and what a person is told of it."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.checks import (
    FEWEST,
    check_section,
    warn_of_deafness,
    warn_of_fit,
    warn_of_suspects,
)
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.embedding.jobs import Heard
from nearfar.errors import DatasetError, Once
from nearfar.health.suspects import Suspect

PLAIN = nf.System(nf.Near(), nf.LogMel())
FLAT = replace(PLAIN, calibration=nf.Percentile())
LINEAR = replace(PLAIN, calibration=nf.Percentile("linear"))


def pairs_of(sounds):
    """Clips called by their place, each with the sound of a letter."""
    return [
        (nf.Clip(Path(f"{i}.wav"), machine="fan"),
         Heard((), 1.0, digest=sound))
        for i, sound in enumerate(sounds)
    ]  # fmt: skip


def checked(sounds):
    """Warnings of a check of clips with these sounds."""
    everything = pairs_of(sounds)
    group = list({what.digest: (clip, what) for clip, what in everything[::-1]}.values())[::-1]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_section("fan", everything, group, Once())
    return [str(warning.message) for warning in said]


def warned(system, members):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_fit(system, "fan", members, Once())
    return [str(warning.message) for warning in said]


def member(*self_scores, shift=0.0, spread=1.0):
    n = len(self_scores)
    rows, domain = np.zeros((n, 1), np.float32), np.zeros(n, np.int8)
    facts = {"shift": shift, "spread": spread}
    return Member(rows, np.arange(n), domain, None, np.array(self_scores), facts)


# ---- before a fit ----------------------------------------------------------------------------


@pytest.mark.parametrize("sounds", ["a", "ab", "aab", "aaaa"])
def test_too_few_different_clips_are_refused(sounds):
    with pytest.raises(
        DatasetError, match=rf"fan: {len(sounds)} clip.* at least {FEWEST}"
    ) as caught:
        checked(sounds)
    copies = len(sounds) - len(set(sounds))
    assert (f"({copies} of them copies of others)" in str(caught.value)) == (copies > 0)
    assert "\n" not in str(caught.value)


def test_three_different_clips_are_enough_and_nothing_is_said():
    assert checked("abc") == []


def test_copies_are_named_with_the_clip_that_counts():
    (said,) = checked("abca")
    assert said.startswith("3.wav: the same audio as 0.wav")
    (said,) = checked("abcaab")
    assert "(3 such copies in all)" in said


# ---- after it --------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "count"), [(0.9, 0), (1.0, 0), (1.1, 1), (float("nan"), 0)])
def test_a_shift_beyond_the_sources_spread_is_said(shift, count):
    """The report's own caveat (§2.3); without both domains there is no shift."""
    said = warned(nf.s4(), [member(1, 2, 3, shift=shift)])
    assert len(said) == count
    assert warned(PLAIN, [member(1, 2, 3, shift=9.0)]) == []  # nothing was moved


def test_each_member_beyond_its_spread_is_said():
    both = nf.Ensemble((nf.s4(), replace(nf.s4(), seed=1)))
    said = warned(both, [member(1, 2, shift=3.0), member(1, 2, shift=4.0)])
    assert ["lie 3.0 apart" in said[0], "lie 4.0 apart" in said[1]] == [True, True]


@pytest.mark.parametrize(
    ("system", "members", "hint"),
    [
        (FLAT, [member(1, 2, 3)], "with_setting(…, 'calibration.tail=linear"),
        (LINEAR, [member(1, 2, 3)], None),
        (PLAIN, [member(1, 2, 3)], None),
        (FLAT, [member(*range(10))], None),  # one of ten may be above
        (replace(FLAT, false_alarm_rate=0.5), [member(1, 2, 3)], None),
        (nf.Ensemble((FLAT, FLAT)), [member(1, 2, 3)] * 2, "'members.0.calibration.tail"),
        (nf.Ensemble((FLAT, LINEAR)), [member(1, 2, 3)] * 2, None),
        # No clip is the loudest of both, so none is at 1.
        (nf.Ensemble((FLAT, FLAT)), [member(1, 2, 3), member(3, 2, 1)], None),
    ],
)  # fmt: skip
def test_flat_percentiles_of_few_clips_are_said(system, members, hint):
    said = warned(system, members)
    assert len(said) == (hint is not None)
    assert all(hint in text for text in said)


def test_suspects_are_one_line_a_machine_and_kind():
    clips = [nf.Clip(Path(f"{i}.wav"), machine="fan") for i in range(9)]
    found = [Suspect(clip, kind, "") for kind in ("twice", "clipped") for clip in clips[:2]]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_suspects(found, {"fan": len(clips)}, Once())
    assert len(said) == 2
    assert all(str(w.message).startswith("fan: 2 of 9 clips: ") for w in said)
    assert all("0.wav, 1.wav" in str(w.message) for w in said)


@pytest.mark.parametrize(
    ("system", "rate", "count"),
    [(FLAT, 0.5, 0), (FLAT, None, 1), (replace(FLAT, false_alarm_rate=0.5), 0.1, 1)],
)
def test_flat_percentiles_are_judged_by_the_rate_that_judges(system, rate, count):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_fit(system, "fan", [member(1, 2, 3)], Once(), rate)
    assert len(said) == count


def test_sections_are_told_apart_where_a_suspect_draws_the_threshold():
    scores = [1.0] * 12 + [9.0]
    clips = [nf.Clip(Path(f"{i}.wav"), machine="fan") for i in range(13)]
    names = tuple(TrainingClip(clip.name, "") for clip in clips)
    sections = {("fan", key): Section((member(*scores),), names, None, 1.0) for key in ("00", "01")}
    found = [Suspect(replace(clips[12], section=key), "score", "") for key in ("00", "01")]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_deafness(nf.Detector(nf.logmel(), sections), found, Once())
    assert [str(w.message).partition(":")[0] for w in said] == ["fan", "fan 01"]
